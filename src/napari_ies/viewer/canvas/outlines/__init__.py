"""Outlines of lesions, drawn as lines of constant width in any canvas that shows their slices."""
