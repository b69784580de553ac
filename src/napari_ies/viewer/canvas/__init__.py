"""What is seen in the image: layers, outlines, where they lie, and what is clicked."""
