"""Several jobs in one folder of results: what keeps them apart, and what puts them together."""
