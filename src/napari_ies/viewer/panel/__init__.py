"""The panel: its frame, and the small widgets that every part uses."""
