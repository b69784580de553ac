"""One page on a cohort for whoever checks a model: the lesions to look at first, on top."""
