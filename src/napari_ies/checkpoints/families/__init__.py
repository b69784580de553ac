"""Network families: how each is recognised and built from its weights."""
