"""How much of a lesion's surroundings a network needs to find it."""
