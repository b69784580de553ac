"""Many patients: the original scripts' job, the paper's experiments, and the report on them."""
