"""Help: the pages behind the Help button."""
