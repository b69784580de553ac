"""What the mouse does on a canvas, whichever plane it shows: as radiologists are used to."""
