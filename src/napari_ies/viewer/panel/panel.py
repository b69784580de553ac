"""Panel: the frame of the dock widget, filled by features in the order of work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QBoxLayout,
    QFrame,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_ies.viewer.feature import Place
from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.controls import column, row
from napari_ies.viewer.panel.status import StatusLine
from napari_ies.viewer.reader import may_be_cohort, may_be_patient, may_be_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtGui import QDragEnterEvent, QDropEvent, QResizeEvent

    from napari_ies.viewer.feature import Placed

COLUMN_HEIGHT, TAB_HEIGHT = 200, 44
"""The least height of what scrolls: all that is above the status line, and a tab's page."""

LOW = 740
"""Height of the panel in a window of 800 pixels: what is more, table and tabs share."""

DISCLAIMER = "Research software, not a medical device."


class Panel(QWidget):
    """Preparation, lesions, tabs, status and buttons: an empty frame that features fill."""

    session_dropped = Signal(str)
    """The folder of a saved session, or its ``session.json``, was dropped on the panel."""
    cohort_dropped = Signal(str)
    """The folder of a cohort's results was dropped on the panel."""
    patient_dropped = Signal(list)
    """A patient's files, or the folder that holds them, were dropped on the panel."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAcceptDrops(True)
        self.status = StatusLine()
        self.preparation = self._preparation()
        self.tabs = QTabWidget()
        self.tabs.setObjectName("tabs")
        # Each place grows downwards, or to the right; what welcomes lies over the lesions.
        self._welcome, self._result = QVBoxLayout(), QVBoxLayout()
        self._lesions, self._notices, self._lines = QVBoxLayout(), QVBoxLayout(), QVBoxLayout()
        self._views, self._buttons = QHBoxLayout(), QHBoxLayout()
        self._buttons.addStretch(1)
        self._halves, self._divided = QSplitter(Qt.Orientation.Vertical), False

    def place(self, placed: Placed) -> None:
        """Put widgets where they belong, behind those that are there."""
        rows: dict[Place, QBoxLayout] = {
            Place.NOTICE: self._notices,
            Place.WELCOME: self._welcome,
            Place.RESULT: self._result,
            Place.VIEW_BUTTON: self._views,
            Place.BUTTON: self._buttons,
            Place.LINE: self._lines,
        }
        if placed.place is Place.TAB:
            page = QWidget()
            column(page, *placed.widgets, None, margins=(4, 4, 4, 4))
            number = self.tabs.addTab(_Column(page, TAB_HEIGHT), placed.title)
            self.tabs.setTabToolTip(number, placed.tooltip)
        elif placed.place is Place.PREPARATION:
            self.preparation.addWidget(_section(placed.title, *placed.widgets))
        elif placed.place is Place.LESIONS:
            self._lesions.addWidget(_section(placed.title, *placed.widgets), 1)
        else:
            for widget in placed.widgets:
                if placed.place is Place.BUTTON:
                    # Before napari's style comes, each claims 80 pixels or more, and the dock would
                    # stay as wide as all of them claimed together. The rest is wider than they are.
                    widget.setMinimumWidth(1)
                elif placed.place is Place.LINE:
                    # What appears there later moves no button up.
                    policy = widget.sizePolicy()
                    policy.setRetainSizeWhenHidden(True)
                    widget.setSizePolicy(policy)
                rows[placed.place].addWidget(widget)

    def lay_out(self) -> None:
        """Lay out what was placed, from top to bottom: the order of the Tab key, too.

        The tabs alone take or give what room there is, so that nothing above them moves when
        something is said below, and their own content scrolls. Only another height of the window
        moves the border between table and tabs, until a person has moved it.
        """
        lesions = QWidget()
        over = QGridLayout(lesions)
        over.setContentsMargins(0, 0, 0, 0)
        over.addLayout(self._lesions, 0, 0)
        over.addLayout(self._welcome, 0, 0, Qt.AlignmentFlag.AlignTop)
        halves = self._halves
        halves.setObjectName("lesions_and_tabs")
        halves.setChildrenCollapsible(False)
        halves.splitterMoved.connect(self._on_divided)
        for half, stretch in ((lesions, 0), (self.tabs, 1)):
            halves.addWidget(half)
            halves.setStretchFactor(halves.indexOf(half), stretch)
        content = QWidget()
        parts = self.preparation, self._result, (halves, 1)
        column(content, *parts, spacing=2, margins=(4, 4, 4, 4))
        # Status and Cancel stay in sight however far the rest is scrolled.
        below = self._notices, self.status, self._footer()
        above = _Column(content, COLUMN_HEIGHT), 1
        column(self, above, *below, spacing=3, margins=(0, 2, 4, 4))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Give the table its share of another height, once the layout has followed."""
        super().resizeEvent(event)
        if self.height() != event.oldSize().height() and self._halves.count() and not self._divided:
            QTimer.singleShot(0, self._divide)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take a session, a cohort or a patient's files; leave everything else to others."""
        if _dragged(event, self) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Say what was dropped."""
        dropped = _dragged(event, self)
        if dropped is not None:
            event.acceptProposedAction()
            dropped()

    def _divide(self) -> None:
        """Share what a tall window has more than a low one between table and tabs."""
        table = self._halves.widget(0).minimumSizeHint().height() + max(0, self.height() - LOW) // 2
        self._halves.setSizes([table, max(1, self._halves.height() - table)])

    def _on_divided(self) -> None:
        self._divided = True

    def _preparation(self) -> QCollapsible:
        """Return what is set up once for a patient; it can be folded away."""
        # Unanimated: its height is asked for at once by the column around it.
        section = QCollapsible(
            "Images, checkpoint, segmentation", expandedIcon="▾", collapsedIcon="▸"
        )
        section.setDuration(0)
        section.setObjectName("preparation")
        section.setToolTip("What is set up once for a patient; a click folds it away.")
        section.layout().setContentsMargins(0, 0, 0, 0)
        section.content().layout().setContentsMargins(0, 0, 0, 0)
        section.content().layout().setSpacing(2)
        section.expand(animate=False)
        return section

    def _footer(self) -> QVBoxLayout:
        disclaimer = QLabel(DISCLAIMER)
        describe(
            disclaimer, "For research on how networks decide; not for diagnosis.", "disclaimer"
        )
        font = disclaimer.font()
        font.setPointSizeF(font.pointSizeF() * 0.85)
        disclaimer.setFont(font)
        parts = row(self._views, None), self._buttons, self._lines, disclaimer
        return column(None, *parts, spacing=3)


class _Column(QScrollArea):
    """Scrolls up and down only: asks for the width of its content instead of cutting it off."""

    def __init__(self, content: QWidget, least: int) -> None:
        super().__init__()
        self._least = least
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)
        content.installEventFilter(self)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the content's least width beside the scroll bar, and a modest height."""
        bar = self.verticalScrollBar().sizeHint().width()
        return QSize(self.widget().minimumSizeHint().width() + bar, self._least)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the same: the content has what room there is."""
        return self.minimumSizeHint()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Ask for the width anew when the content's changed, as when a theme is applied."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))


def _dragged(event: QDropEvent, panel: Panel) -> Callable[[], None] | None:
    """Return what says that this was dropped, or None for what is not ours."""
    paths = [str(url.toLocalFile()) for url in event.mimeData().urls()]
    alone = paths[0] if len(paths) == 1 else ""
    if may_be_session(alone):
        return partial(panel.session_dropped.emit, alone)
    if may_be_cohort(alone):
        return partial(panel.cohort_dropped.emit, alone)
    return partial(panel.patient_dropped.emit, paths) if may_be_patient(paths) else None


def _section(title: str, *widgets: QWidget) -> QGroupBox:
    box = QGroupBox(title)
    column(box, *widgets, spacing=3, margins=(4, 2, 4, 4))
    return box
