"""The console command ``napari-ies``; it uses the core only, and imports PyTorch when it works."""

from __future__ import annotations

from napari_ies.cli.app import app, main

__all__ = ["app", "main"]
