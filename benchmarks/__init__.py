"""Measurements of the saliency engine: `python -m benchmarks.saliency --help`."""
