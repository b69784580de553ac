"""A cohort as the window lists it: its cases and lesions, filtered and sorted. No Qt."""
