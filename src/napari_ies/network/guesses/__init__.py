"""Guesses about a network, tested on a case."""
