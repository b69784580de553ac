"""The network with its profile, where it runs, and its forward over a volume."""
