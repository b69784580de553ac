"""Whether maps of true positive, false positive and missed lesions differ."""
