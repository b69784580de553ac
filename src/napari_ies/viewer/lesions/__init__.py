"""The table of lesions and regions, and what must be said of the result."""
