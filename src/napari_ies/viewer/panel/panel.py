"""Panel: the small widgets in the order of work, and when each of them can be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtWidgets import (
    QFrame,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_ies.viewer.explaining.saliency_form import SaliencyForm
from napari_ies.viewer.help.first_steps import FirstSteps
from napari_ies.viewer.lesions.lesion_table import LesionTable
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.status import StatusLine
from napari_ies.viewer.preparing.checkpoint_form import CheckpointForm
from napari_ies.viewer.preparing.images_form import ImagesForm
from napari_ies.viewer.preparing.naming import typed_label
from napari_ies.viewer.preparing.patient_form import PatientForm
from napari_ies.viewer.preparing.result_notes import ResultNotesView
from napari_ies.viewer.preparing.segmentation_form import SegmentationForm
from napari_ies.viewer.reader import may_be_session

if TYPE_CHECKING:
    from qtpy.QtGui import QDragEnterEvent, QDropEvent

DEFAULT_SEQUENCES = ("FLAIR", "T1")
"""What is asked for until a checkpoint says what it takes."""

DISCLAIMER = "Research software, not a medical device."


class Panel(QWidget):
    """Images, checkpoint, Segment, lesions, saliency, status: built here, wired elsewhere."""

    save_requested = Signal(str, bool)
    """A folder to save to, and whether files there may be replaced."""
    session_dropped = Signal(str)
    """The folder of a saved session, or its ``session.json``, was dropped on the panel."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAcceptDrops(True)
        self.first_steps = FirstSteps()
        self.images = ImagesForm(DEFAULT_SEQUENCES)
        self.patient = PatientForm(typed_label)
        self.checkpoint = CheckpointForm()
        self.segmentation = SegmentationForm()
        self.lesions = LesionTable()
        self.saliency = SaliencyForm()
        self.notes = ResultNotesView()
        self.status = StatusLine()
        self.save = QPushButton("Save…")
        describe(self.save, "Save the lesions and every finished map to a folder.", "save")
        self.save.clicked.connect(self._on_save)
        self.preparation = self._preparation()
        self.tabs = QTabWidget()
        self.tabs.setObjectName("tabs")
        self.add_tab("Saliency", self.saliency, "What is computed for the selected lesion.")
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(2)
        column.addWidget(self.first_steps)
        column.addWidget(self.preparation)
        column.addWidget(self.notes)
        column.addWidget(_section("Lesions", self.lesions), 1)
        column.addWidget(self.tabs)
        scroll = _Column(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 4, 4)
        layout.addWidget(scroll, 1)
        # Status and Cancel stay in sight however far the rest is scrolled.
        layout.addWidget(self.status)
        layout.addLayout(self._footer())

    def add_tab(self, title: str, view: QWidget, tooltip: str) -> None:
        """Add a view behind the others below the lesions."""
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(view)
        layout.addStretch(1)
        self.tabs.setTabToolTip(self.tabs.addTab(page, title), tooltip)

    def add_button(self, button: QPushButton) -> None:
        """Add a button to the footer, before Save."""
        self._buttons.insertWidget(self._buttons.count() - 1, button)

    def add_notice(self, notice: QWidget) -> None:
        """Add what shows itself when there is something to know or to decide, on top of all."""
        self.layout().insertWidget(0, notice)

    def add_line(self, line: QWidget) -> None:
        """Add a line of text below the buttons."""
        self._bottom.insertWidget(self._bottom.count() - 1, line)

    def add_view_button(self, button: QPushButton) -> None:
        """Add a button that changes how the viewer shows the patient."""
        self._views.insertWidget(self._views.count() - 1, button)

    def allow_actions(self, *, segment: str, explain: str, save: str) -> None:
        """Enable the buttons, or disable each for the reason given (empty: it can be used)."""
        allow(self.segmentation.button, segment)
        allow(self.saliency.button, explain)
        allow(self.save, save)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take a saved session that is dragged here; leave everything else to others."""
        if _dragged_session(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Say that a saved session was dropped."""
        session = _dragged_session(event)
        if session:
            event.acceptProposedAction()
            self.session_dropped.emit(session)

    def _on_save(self) -> None:
        folder = dialogs.choose_folder(self, "Save lesions and maps to a folder")
        if not folder:
            return
        used = any(Path(folder).glob("sub-*"))
        if not used or dialogs.may_replace(self, folder):
            self.save_requested.emit(folder, used)

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
        section.addWidget(_section("Images", self.images, self.patient))
        section.addWidget(_section("Checkpoint", self.checkpoint))
        section.addWidget(_section("Segmentation", self.segmentation))
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
        self._views = QHBoxLayout()
        self._views.addStretch(1)
        self._buttons = QHBoxLayout()
        self._buttons.addStretch(1)
        self._buttons.addWidget(self.save)
        footer = QVBoxLayout()
        footer.addLayout(self._views)
        footer.addLayout(self._buttons)
        footer.addWidget(disclaimer)
        self._bottom = footer
        return footer


class _Column(QScrollArea):
    """Scrolls up and down only: asks for the width of its content instead of cutting it off."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)
        content.installEventFilter(self)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the content's least width beside the scroll bar, and a modest height."""
        bar = self.verticalScrollBar().sizeHint().width()
        return QSize(self.widget().minimumSizeHint().width() + bar, 200)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Ask for the width anew when the content's changed, as when a theme is applied."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))


def _dragged_session(event: QDropEvent) -> str:
    """Return the saved session that is dragged, or an empty text for anything else."""
    urls = event.mimeData().urls()
    path = urls[0].toLocalFile() if len(urls) == 1 else ""
    return path if path and may_be_session(path) else ""


def _section(title: str, *widgets: QWidget) -> QGroupBox:
    box = QGroupBox(title)
    layout = QVBoxLayout(box)
    layout.setContentsMargins(4, 2, 4, 4)
    layout.setSpacing(3)
    for widget in widgets:
        layout.addWidget(widget)
    return box
