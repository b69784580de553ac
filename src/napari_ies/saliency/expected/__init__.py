"""How long a map will take: the work counted, a little of it timed."""
