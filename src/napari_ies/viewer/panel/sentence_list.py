"""SentenceList: sentences under a title that says how many there are; they fold away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QPoint, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap, QPolygonF
from qtpy.QtWidgets import QDockWidget, QFrame, QMainWindow, QScrollArea, QWidget

from napari_ies.printable import printable
from napari_ies.viewer.panel.controls import button, column, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QHideEvent, QResizeEvent

AMBER = "#d9a441"
"""As the lesions' outlines and the notices: told from the grey around it by everybody."""

SIGN_SIZE = 14
"""Width and height of the sign of a warning, in the screen's units."""

AROUND = 10
"""What the border of the sentences over the rest takes with its padding, in pixels."""
WIDE = 10_000
"""Pixels in which each sentence has one line."""
MOST_LINES, PLACE_LINES = 16, 7
"""More text than this scrolls: over what is below, and in a place of its own."""


class SentenceList(QFrame):
    """A title, and sentences that a click on it shows or hides.

    What is shown unasked has a place of its own; what a click shows beyond that lies over what is
    below. So a click moves nothing.

    Parameters
    ----------
    name, tooltip
        Of the title's button.
    lines
        Of text that have a place of their own when they are shown unasked.
    """

    def __init__(
        self, name: str, tooltip: str, lines: int = PLACE_LINES, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName(f"{name}_list")
        self.title = ""
        """The title on show, without the arrow before it."""
        self._lines, self._kept = lines, False
        self._button = button("", name, tooltip, self._on_clicked)
        plain = "border: none; background: transparent; padding: 1px"
        self._button.setStyleSheet(f"text-align: left; {plain};")
        self._text = words(selectable=True)
        self._text.setObjectName(f"{name}_text")
        self._text.setAlignment(Qt.AlignmentFlag.AlignTop)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self._text)
        self._bar = scroll.verticalScrollBar()
        self._place, self._sheet = QWidget(), QFrame()
        self._sheet.setObjectName(f"{name}_sheet")
        column(self._sheet, scroll)
        column(self._place, self._sheet)
        column(self, self._button, self._place, spacing=0)
        self._over: QWidget | None = None
        self.unfold(False)

    @property
    def text(self) -> str:
        """The sentences, folded away or not."""
        return str(self._text.text())

    @property
    def unfolded(self) -> bool:
        """Whether the sentences are on show, or as many as have a place."""
        return not self._sheet.isHidden()

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
        """Show the sentences in a place of their own, or hide them and give up the place."""
        self._kept = on
        self._lay_back()
        self._show(on)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Give the sentences the height they need at another width."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Leave nothing over the rest of the panel."""
        super().hideEvent(event)
        if self._over is not None:
            self._lay_back()
            self._show(self._kept)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Stay below the title, wherever that goes."""
        if event.type() in (QEvent.Type.Move, QEvent.Type.Resize):
            self._place_over()
        return bool(super().eventFilter(watched, event))

    def _show(self, on: bool) -> None:
        self._sheet.setVisible(on)
        self._show_title()

    def _show_title(self) -> None:
        arrow = "▾" if self.unfolded else "▸"
        self._button.setText(f"{arrow} {self.title}" if self._text.text() else self.title)

    def _height(self, lines: int) -> int:
        """Return what all of the text needs, or so many lines of it."""
        width = max(self.width() - self._bar.sizeHint().width(), 100)
        line = self._text.fontMetrics().lineSpacing()
        # What a style adds above and below.
        around = self._text.heightForWidth(WIDE) - line * (self._text.text().count("\n") + 1)
        # Of a line more than there is room for nothing is seen, not the upper half of its letters.
        whole, room = self._text.heightForWidth(width), lines * line + around
        return int((whole if whole <= room else room - around // 2) + 2)

    def _fit(self) -> None:
        self._place.setFixedHeight(self._height(self._lines) if self._kept else 0)
        self._place_over()

    def _on_clicked(self) -> None:
        whole = self._place.height() >= self._height(MOST_LINES)
        if self._over is not None or (self.unfolded and whole):
            self._lay_back()
            self._show(False)
        elif whole:
            self._show(True)
        else:
            self._lay_over()
            self._show(True)
            self._sheet.raise_()

    def _lay_over(self) -> None:
        """Lay the sentences over what is below, in the outermost widget of the panel."""
        over: QWidget = self
        while (parent := over.parentWidget()) and not isinstance(parent, QDockWidget | QMainWindow):
            over.installEventFilter(self)
            over = parent
        over.installEventFilter(self)
        self._over = over
        self._sheet.setParent(over)
        frame = f"#{self._sheet.objectName()} {{ border: 1px solid {AMBER}; }}"
        self._sheet.setStyleSheet(frame)
        self._place_over()

    def _place_over(self) -> None:
        if self._over is not None:
            at = self._place.mapTo(self._over, QPoint(0, 0))
            height = self._height(MOST_LINES) + AROUND
            self._sheet.setGeometry(at.x(), at.y(), self.width(), height)

    def _lay_back(self) -> None:
        if self._over is None:
            return
        over: QWidget | None = self
        while over is not None:
            over.removeEventFilter(self)
            over = None if over is self._over else over.parentWidget()
        self._over = None
        self._sheet.setStyleSheet("")
        self._place.layout().addWidget(self._sheet)


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
