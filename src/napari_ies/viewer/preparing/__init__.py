"""Before a lesion can be clicked: images, checkpoint, reference, Segment."""
