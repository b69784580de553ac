"""Sessions: what was read is kept beside the images, and opened again."""
