"""The viewer's layers as volumes with a place in mm; no Qt."""
