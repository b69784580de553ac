"""Work in the background: cancellable, the newest request wins."""
