"""Entries of a combo box that tell why they cannot be chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItemModel

from napari_ies.viewer.panel.plain_text import shown_name, tool_tip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtWidgets import QComboBox

Unsuitable = tuple[str, str]
"""A name, and what it is instead of what may be chosen: ``("scan", "an RGB picture")``."""


def add_unsuitable(combo: QComboBox, entries: Sequence[Unsuitable]) -> None:
    """Add entries at the end that are greyed and say why."""
    for name, reason in entries:
        combo.addItem(f"{shown_name(name)} ({reason})")
        about = f"{name} cannot be chosen: it is {reason}, not a single 3-d volume."
        refuse(combo, combo.count() - 1, about)


def refuse(combo: QComboBox, index: int, about: str) -> None:
    """Grey an entry that cannot be chosen, and say why."""
    combo.setItemData(index, tool_tip(about), Qt.ItemDataRole.ToolTipRole)
    model = combo.model()
    if isinstance(model, QStandardItemModel):
        model.item(index).setEnabled(False)


def permit(combo: QComboBox, index: int) -> None:
    """Let an entry be chosen again."""
    combo.setItemData(index, None, Qt.ItemDataRole.ToolTipRole)
    model = combo.model()
    if isinstance(model, QStandardItemModel):
        model.item(index).setEnabled(True)
