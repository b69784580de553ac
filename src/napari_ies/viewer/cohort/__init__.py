"""The cohort: cases and lesions of many patients, listed, and opened one after another."""
