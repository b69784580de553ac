"""One case, from its files to results on disk: what ``segment`` and ``explain`` do alone."""
