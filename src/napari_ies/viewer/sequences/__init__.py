"""One sequence at a time: its image and its map, named on every canvas."""
