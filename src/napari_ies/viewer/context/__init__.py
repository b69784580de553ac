"""The tab "Context": how much of its surroundings the network needs to find a lesion."""
