"""Explaining a lesion, or all of them; the maps that are kept."""
