"""The button Save: lesions and maps as files in a folder."""
