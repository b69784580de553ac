"""Files as they lie on disk, whatever they mean: written whole, and checked when read."""
