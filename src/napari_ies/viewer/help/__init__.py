"""Help: the pages behind the Help button."""

from __future__ import annotations

from napari_ies.viewer.help.pages import HelpPages

__all__ = ["HelpPages"]
