"""How probably each lesion is a false positive, by a model that a person chose."""
