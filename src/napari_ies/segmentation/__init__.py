"""The probability map with its lesions, and what can be explained: lesions and regions."""
