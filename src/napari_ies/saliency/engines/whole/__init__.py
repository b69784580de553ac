"""Engines for networks whose gradients need whole windows, and their passes on the CPU."""
