"""The Figure dialog."""
