"""SentenceList: sentences under a title that says how many there are; they fold away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap, QPolygonF
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget

from napari_ies.printable import printable
from napari_ies.viewer.panel.controls import button, column, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QResizeEvent

AMBER = "#d9a441"
"""As the lesions' outlines and the notices: told from the grey around it by everybody."""

SIGN_SIZE = 14
"""Width and height of the sign of a warning, in the screen's units."""

MOST_LINES = 7
"""More text than this scrolls, so that the table below keeps its room."""


class SentenceList(QFrame):
    """A title, and sentences that a click on it shows or hides.

    Parameters
    ----------
    name, tooltip
        Of the title's button.
    """

    toggled = Signal(bool)
    """A person showed the sentences, or hid them."""

    def __init__(self, name: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"{name}_list")
        self.title = ""
        """The title on show, without the arrow before it."""
        self.unfolded = False
        """Whether the sentences are on show."""
        self._button = button("", name, tooltip, self._on_clicked)
        self._button.setStyleSheet("text-align: left; border: none; background: transparent;")
        self._text = words(selectable=True)
        self._text.setObjectName(f"{name}_text")
        self._text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(self._text)
        column(self, self._button, self._scroll, spacing=0)
        self.unfold(False)

    @property
    def text(self) -> str:
        """The sentences, folded away or not."""
        return str(self._text.text())

    def set_sentences(
        self, title: str, sentences: Sequence[str], *, keep_height: bool, warning: bool = True
    ) -> None:
        """Show other sentences.

        Parameters
        ----------
        title
            What they are and how many.
        sentences
            Plain text, one each.
        keep_height
            Whether this keeps its height, whatever the sentences need.
        warning
            Whether there is a warning among them, which the sign before the title shows.
        """
        text = printable("\n".join(f"• {sentence}" for sentence in sentences))
        if (title, text) == (self.title, self._text.text()):
            return
        self.title = title
        self._text.setText(text)
        self._button.setIcon(QIcon(warning_sign()) if sentences and warning else QIcon())
        self._button.setIconSize(QSize(SIGN_SIZE, SIGN_SIZE))
        self._button.setEnabled(bool(sentences))
        self._show_title()
        if not sentences:
            self.unfold(False)
        elif not keep_height:
            self._fit()

    def unfold(self, on: bool) -> None:
        """Show the sentences, or hide them."""
        self.unfolded = on
        self._scroll.setVisible(on)
        self._show_title()
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Give the sentences the height they need at another width."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()

    def _show_title(self) -> None:
        arrow = "▾" if self.unfolded else "▸"
        self._button.setText(f"{arrow} {self.title}" if self._text.text() else self.title)

    def _fit(self) -> None:
        most = MOST_LINES * self._text.fontMetrics().lineSpacing()
        width = max(self.width() - self._scroll.verticalScrollBar().sizeHint().width(), 100)
        self._scroll.setFixedHeight(min(self._text.heightForWidth(width) + 2, most))

    def _on_clicked(self) -> None:
        self.unfold(not self.unfolded)
        self.toggled.emit(self.unfolded)


def warning_sign() -> QPixmap:
    """Draw a triangle with an exclamation mark: known by its shape, too."""
    picture = QPixmap(2 * SIGN_SIZE, 2 * SIGN_SIZE)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(AMBER))
    painter.drawPolygon(QPolygonF([QPointF(14, 2), QPointF(27, 26), QPointF(1, 26)]))
    painter.setBrush(QColor("#1d1d1d"))
    painter.drawRect(QRectF(12.6, 10, 2.8, 8.5))
    painter.drawEllipse(QRectF(12.4, 20.4, 3.2, 3.2))
    painter.end()
    picture.setDevicePixelRatio(2)
    return picture
