"""A module for each command; what one works with is imported when it runs, not for ``--help``."""
