"""Spacing and orientation of the images that a network was trained on, as the panel asks them."""
