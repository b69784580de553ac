"""Image files: opened by content, checked, and what they mean in mm."""
