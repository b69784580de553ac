"""The tab "Readout": the numbers of the map on screen, and how far from the lesion it looks."""
