"""Caption: a few words in the corner of a canvas, over what is drawn there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt

from napari_ies.viewer.panel.plain_text import PlainLabel

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

MARGIN, LETTER = 6, 14
"""Pixels from the border, and those that half of the letter in the middle takes."""

_LOOK = "color: white; background: rgba(0, 0, 0, 160); font-size: 12px; padding: 1px 3px;"
"""Legible on any image, in either theme."""


class Caption(PlainLabel):
    """Words at the top left of a canvas, as many lines as they need beside the letter there.

    Parameters
    ----------
    native
        The canvas.
    """

    def __init__(self, native: QWidget) -> None:
        super().__init__()
        self.setParent(native)
        self.setObjectName("caption")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setStyleSheet(_LOOK)
        self.setWordWrap(True)
        self._native = native
        native.installEventFilter(self)
        self.setText("")

    def setText(self, text: str) -> None:  # noqa: N802
        """Show a text; none hides the caption."""
        super().setText(text)
        if self.parent() is not None:
            self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Take the room there is, whatever the canvas's size."""
        if event.type() == QEvent.Type.Resize:
            self._fit()
        return bool(super().eventFilter(watched, event))

    def release(self) -> None:
        """Leave the canvas."""
        self._native.removeEventFilter(self)
        self.hide()
        self.setParent(None)
        self.deleteLater()

    def _fit(self) -> None:
        self.setVisible(bool(self.text()))
        if not self.text():
            return
        most = max(self._native.width() // 2 - LETTER - MARGIN, 80)
        lines = self.text().splitlines()
        needed = max(map(self.fontMetrics().horizontalAdvance, lines)) + 10
        self.setFixedWidth(min(needed, most))
        self.setFixedHeight(self.heightForWidth(self.width()))
        self.move(MARGIN, MARGIN)
        self.raise_()
