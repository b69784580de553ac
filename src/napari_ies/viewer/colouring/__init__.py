"""The tab View: how maps are coloured."""
