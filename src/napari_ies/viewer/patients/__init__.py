"""A patient in one step: files and folder recognised, and those read last remembered."""
