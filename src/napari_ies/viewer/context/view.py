"""The view of a curve: its settings, its plot and its values; it computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Signal
from qtpy.QtWidgets import QLabel, QToolTip, QWidget

from napari_ies.cohort.context.growth import Growth
from napari_ies.errors import CaseError
from napari_ies.viewer.context.values import ValuesTable
from napari_ies.viewer.context.words import NONE_SELECTED
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.panel.controls import button, column, combo, grid, row, words
from napari_ies.viewer.panel.parameter_form import ParameterForm
from napari_ies.viewer.panel.plain_text import shown_name, tool_tip
from napari_ies.viewer.panel.plot import Plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QMouseEvent, QShowEvent

    from napari_ies.viewer.state.curves import Curve

START, STOP = "Compute curve", "Stop"
PLOT = (
    "The mean probability in the lesion against how far around it the images are kept. Full "
    "circles: the lesion is detected; crosses: it is not. The dashed line is the images as they "
    "are."
)


class CurvePlot(Plot):
    """The picture of a curve; says over which place of it the mouse is."""

    pointed = Signal(float)
    """The mouse is at so many units from the left."""
    pressed = Signal(float)
    """It was pressed there."""

    def __init__(self) -> None:
        super().__init__("context_plot", PLOT)
        self.setMouseTracking(True)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Say where the mouse is."""
        self.pointed.emit(float(event.position().x()))

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Say where it was pressed."""
        self.pressed.emit(float(event.position().x()))


class ContextView(QWidget):
    """Shows one curve, or why there is none."""

    appeared = Signal()
    """The view came on screen."""
    restyled = Signal()
    """The window's style changed, as when another theme is chosen."""
    settings_changed = Signal()
    """The form asks for something else."""
    compute_requested = Signal()
    """The button was pressed, which begins and stops."""
    copy_requested = Signal()
    """The values are wanted on the clipboard."""
    export_requested = Signal()
    """The curve is wanted as files."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sequence = combo(
            "context_sequence",
            "What becomes background outside the lesion grown step by step: all sequences "
            "together, or one while the others stay as they are.",
        )
        self._growth = ParameterForm(Growth, "step_mm", "farthest_mm", prefix="context_")
        about = (
            "Run the network on the images of which ever more is kept around the selected lesion, "
            "by true distance, and see from where on it is detected."
        )
        self.compute = button(START, "context_compute", about, self.compute_requested)
        form = QWidget()
        layout = grid(form, 0, 1)
        layout.addWidget(QLabel("Background"), 0, 0)
        first = row((self.sequence, 1), self.compute)
        first.setSpacing(6)
        layout.addLayout(first, 0, 1)
        layout.addWidget(QLabel("Steps of"), 1, 0)
        step, farthest = self._growth["step_mm"], self._growth["farthest_mm"]
        layout.addLayout(row((step, 1), QLabel("up to"), (farthest, 1)), 1, 1)
        self._line = words("context_line", "Which curve is shown.", selectable=True)
        self._outdated = words("context_outdated", "In what the curve is not of now.")
        self.plot, self.values = CurvePlot(), ValuesTable()
        about = "Copy the values as text that a spreadsheet takes."
        self.copy = button("Copy", "copy_context", about, self.copy_requested)
        about = "Save the values as CSV, the plot as PNG and PDF, and the settings as JSON."
        self.export = button("Export…", "export_context", about, self.export_requested)
        self._content = QWidget()
        below = row(None, self.copy, self.export)
        column(self._content, self._outdated, self.plot, self.values, below, spacing=4)
        # The room below goes to nothing else: without a curve the form would be drawn apart.
        column(self, form, self._line, self._content, None)
        self.set_sequences(())
        self.sequence.currentIndexChanged.connect(self.settings_changed)
        self._growth.connect(self.settings_changed.emit)
        self.set_empty(NONE_SELECTED)

    @property
    def sequences(self) -> tuple[str, ...]:
        """What is to become background; none for all sequences."""
        number = int(self.sequence.currentIndex())
        return () if number <= 0 else (self._sequences[number - 1],)

    @property
    def growth(self) -> Growth:
        """The steps that the form asks for; of steps that cannot be, the nearest that can."""
        values = self._growth.values()
        try:
            return Growth(**values)
        except CaseError:
            return Growth(**{**values, "step_mm": values["farthest_mm"] / 100})

    def set_sequences(self, names: Sequence[str]) -> None:
        """Offer the sequences of a patient."""
        self._sequences = tuple(names)
        self.sequence.blockSignals(True)
        self.sequence.clear()
        self.sequence.addItems(["all sequences", *(f"only {shown_name(n)}" for n in names)])
        self.sequence.blockSignals(False)

    def set_running(self, running: bool, hindrance: str) -> None:
        """Let the button begin or stop a curve, or say why it cannot."""
        self.compute.setText(STOP if running else START)
        allow(self.compute, "" if running else hindrance)

    def set_empty(self, reason: str) -> None:
        """Show no curve, and a sentence in its place."""
        self._line.setText(reason)
        self._content.hide()

    def set_curve(self, curve: Curve, line: str, outdated: str) -> None:
        """Show the values of a curve, which one it is, and in what it is not of now."""
        self._line.setText(line)
        self._outdated.setText(outdated)
        self._outdated.setVisible(bool(outdated))
        self.values.values.set_curve(curve.context)
        self._content.show()

    def tell_at(self, x: float, text: str) -> None:
        """Show a sentence beside a place of the plot, or hide it."""
        plot = self.plot
        place = plot.mapToGlobal(plot.rect().topLeft())
        place.setX(place.x() + int(x))
        place.setY(place.y() + plot.height() // 3)
        QToolTip.showText(place, tool_tip(text), plot) if text else QToolTip.hideText()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Say that the view came on screen."""
        super().showEvent(event)
        self.appeared.emit()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Say that the style changed."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self.restyled.emit()
