"""Which lesions are errors of the network, guessed from their maps."""
