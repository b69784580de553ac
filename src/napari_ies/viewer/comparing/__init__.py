"""The tab Compare, and the second view beside the image."""
