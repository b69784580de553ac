"""Kernels for a graphics card: rows through strided convolutions, and into the extremes."""
