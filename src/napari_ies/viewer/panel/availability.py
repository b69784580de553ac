"""Availability: a control that cannot be used is disabled, and its tooltip says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.viewer.panel.plain_text import tool_tip

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

_OWN_TOOLTIP, _REASON = "napari_ies_tooltip", "napari_ies_reason"


def describe(widget: QWidget, tooltip: str, name: str = "") -> None:
    """Give a control its own tooltip and, if not empty, its object name."""
    widget.setProperty(_OWN_TOOLTIP, tooltip)
    widget.setToolTip(tool_tip(tooltip))
    if name:
        widget.setObjectName(name)
        widget.setAccessibleName(name.replace("_", " "))


def allow(widget: QWidget, reason: str = "") -> None:
    """Enable a control, or disable it for a reason that its tooltip then gives.

    Parameters
    ----------
    widget
        The control, described with :func:`describe`.
    reason
        Why it cannot be used now, in plain words; empty if it can.
    """
    own = widget.property(_OWN_TOOLTIP) or ""
    widget.setProperty(_REASON, reason)
    widget.setEnabled(not reason)
    widget.setToolTip(tool_tip(f"{own}\n{reason}".strip() if reason else own))


def why_not(widget: QWidget) -> str:
    """Return the reason for which a control cannot be used now, or an empty text."""
    return str(widget.property(_REASON) or "")
