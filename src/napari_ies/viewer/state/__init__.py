"""What the window knows: no Qt and no napari, tested without a window."""
