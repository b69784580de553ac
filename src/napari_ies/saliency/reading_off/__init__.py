"""What is read off a finished map: numbers, profiles, differences."""
