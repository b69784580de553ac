"""What is said on a canvas of what it shows: a caption over it, and colour bars below it."""
