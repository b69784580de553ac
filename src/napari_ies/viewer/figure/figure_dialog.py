"""FigureDialog: how a figure for a paper shall look, with a preview."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_ies.figures.settings import FORMATS, FigureSettings
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.controls import button, row, tick_box, words
from napari_ies.viewer.panel.parameter_form import ParameterForm
from napari_ies.viewer.panel.sentence_list import AMBER

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

CENTRE_NAMES = {"Lesion": False, "Crosshair": True}
PREVIEW_SIZE = QSize(640, 480)


class FigureDialog(QDialog):
    """Asks how a figure shall look, and shows what it will be; draws and writes nothing."""

    changed = Signal()
    """Something was set: the preview is old."""
    save_requested = Signal(str)
    """The figure is to be saved in this format."""
    keep_requested = Signal(str)
    """The figure is to be saved in this format, with the session."""
    copy_requested = Signal()
    """The figure is to be put onto the clipboard."""
    caption_requested = Signal()
    """A caption is to be put onto the clipboard."""
    screenshot_requested = Signal()
    """The canvas as it is now is to be saved as a picture."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Figure")
        self._sequences: list[QCheckBox] = []
        self._pixmap = QPixmap()
        self._make_controls()
        self._preview = QLabel("Drawing…")
        self._preview.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._preview.setMinimumSize(PREVIEW_SIZE)
        self._preview.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        describe(self._preview, "The figure as it will be.", "figure_preview")
        about = "What is otherwise than on screen."
        self._apart = words("figure_apart", about, selectable=True)
        self._apart.setMinimumHeight(self._apart.fontMetrics().lineSpacing())
        self._unfinished = words("figure_unfinished", "What the map is made of so far.")
        self._unfinished.setStyleSheet(
            f"#figure_unfinished {{ border-left: 4px solid {AMBER}; padding-left: 6px; }}"
        )
        policy = self._unfinished.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # nothing moves when the map is complete
        self._unfinished.setSizePolicy(policy)
        self._unfinished.hide()
        self._words = words("figure_words", "What happened last.")
        layout = QVBoxLayout(self)
        layout.addLayout(row(self._form(), (self._preview, 1)), 1)
        layout.addWidget(self._unfinished)
        layout.addWidget(self._apart)
        layout.addWidget(self._words)
        layout.addLayout(self._buttons())
        self._controls.connect(self._on_changed)
        self._centre.currentIndexChanged.connect(self.changed)
        self._whole.toggled.connect(self._on_changed)
        self._allow_controls()

    @property
    def settings(self) -> FigureSettings:
        """What is set."""
        values = self._controls.values()
        if self._whole.isChecked():
            values["margin"] = None
        chosen = tuple(box.text() for box in self._sequences if box.isChecked())
        return FigureSettings(**values, sequences=chosen or None)

    @property
    def at_crosshair(self) -> bool:
        """Whether the figure is centred on the viewer's crosshair, not on the lesion."""
        return CENTRE_NAMES[self._centre.currentText()]

    def set_sequences(self, names: Sequence[str]) -> None:
        """Offer these sequences, all of them chosen; those that stay keep their choice."""
        if [box.text() for box in self._sequences] == list(names):
            return
        for box in self._sequences:
            self._sequence_row.removeWidget(box)
            box.deleteLater()
        self._sequences = [
            tick_box(name, f"figure_{name}", f"Show {name} with its saliency.", ticked=True)
            for name in names
        ]
        for box in self._sequences:
            box.toggled.connect(self._on_sequence)
            self._sequence_row.insertWidget(self._sequence_row.count() - 1, box)

    def set_reference(self, there: bool) -> None:
        """Offer to outline the reference, if there is one."""
        control = self._controls["outline_reference"]
        allow(control, "" if there else "There is no reference with these lesions.")

    def set_preview(self, pixels: NDArray[np.uint8], apart: str = "") -> None:
        """Show a figure, uint8 (height, width, 4), and say what is otherwise than on screen."""
        self._pixmap = QPixmap.fromImage(image_of(pixels))
        self._apart.setText(apart)
        self._scale_preview()

    def await_preview(self, text: str) -> None:
        """Say that another map is drawn, in place of the one before and of what was said of it."""
        self._pixmap = QPixmap()
        self._preview.setText(text)
        self._apart.setText("")
        self.say("")

    def say_unfinished(self, text: str) -> None:
        """Say that the map is not complete, in amber; an empty text says nothing."""
        self._unfinished.setText(text)
        self._unfinished.setVisible(bool(text))

    def say(self, text: str) -> None:
        """Show a sentence."""
        self._words.setText(text)

    @property
    def text(self) -> str:
        """The sentence on show."""
        return str(self._words.text())

    def resizeEvent(self, event: object) -> None:  # noqa: N802
        """Let the preview fill what is there."""
        super().resizeEvent(event)
        self._scale_preview()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Draw anew when a person comes back: colours may have been changed in the panel."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isActiveWindow():
            self.changed.emit()

    def _make_controls(self) -> None:
        self._controls = ParameterForm(
            FigureSettings,
            *("layout", "slices", "margin", "limits", "width", "theme", "plain", "letters"),
            *("outline", "outline_reference", "outline_width"),
            prefix="figure_",
        )
        self._centre = QComboBox()
        self._centre.addItems(list(CENTRE_NAMES))
        describe(
            self._centre,
            "What the figure is centred on: the lesion, or the point at which the viewer's slices "
            "cross now.",
            "figure_centre",
        )
        self._whole = tick_box("whole slices", "figure_whole", "Show whole slices instead.")
        self._format = QComboBox()
        self._format.addItems([form.upper() for form in FORMATS])
        describe(
            self._format,
            "PNG: pixels, 300 per inch. SVG and PDF: lines and text that can be edited.",
            "figure_format",
        )

    def _form(self) -> QFormLayout:
        form = QFormLayout()
        self._sequence_row = QHBoxLayout()
        self._sequence_row.addStretch(1)
        below = {
            "layout": ("Centre", self._centre),
            "slices": ("Sequences", self._sequence_row),
            "margin": ("", self._whole),
        }
        for name, about in self._controls.about.items():
            # The text of a box to tick is on the box.
            form.addRow("" if about.kind is bool else about.label, self._controls[name])
            if name in below:
                form.addRow(*below[name])
        form.addRow("Format", self._format)
        return form

    def _buttons(self) -> QHBoxLayout:
        copied = "Put the figure onto the clipboard, as pixels."
        said = "Put a caption for the figure onto the clipboard, as text."
        taken = "Save the viewer's canvas as it is on screen, to a PNG file."
        shot = self.screenshot_requested
        kept = "Save the figure in the folder of the session, named by what it shows."
        return row(
            None,
            button("Save with session", "figure_keep", kept, self._on_keep),
            button("Save…", "figure_save", "Save the figure to a file.", self._on_save),
            button("Copy", "figure_copy", copied, self.copy_requested),
            button("Copy caption", "figure_caption", said, self.caption_requested),
            button("Screenshot…", "figure_screenshot", taken, shot),
            button("Close", "figure_close", "Close this window.", self.close),
        )

    def _on_save(self) -> None:
        self.save_requested.emit(self._format.currentText().lower())

    def _on_keep(self) -> None:
        self.keep_requested.emit(self._format.currentText().lower())

    def _on_changed(self) -> None:
        self.changed.emit()
        self._allow_controls()

    def _allow_controls(self) -> None:
        planes = self._controls.value("layout") == "planes"
        allow(self._controls["slices"], "There is one slice of each plane." if planes else "")
        allow(
            self._controls["margin"], "Whole slices are shown." if self._whole.isChecked() else ""
        )

    def _on_sequence(self) -> None:
        """Keep at least one sequence chosen."""
        if not any(box.isChecked() for box in self._sequences):
            self.sender().setChecked(True)
            return
        self.changed.emit()

    def _scale_preview(self) -> None:
        if not self._pixmap.isNull():
            self._preview.setPixmap(
                self._pixmap.scaled(
                    self._preview.size(),
                    Qt.AspectRatioMode.KeepAspectRatio,
                    Qt.TransformationMode.SmoothTransformation,
                )
            )


def image_of(pixels: NDArray[np.uint8]) -> QImage:
    """Return pixels, uint8 (height, width, 4), as an image of their own."""
    high, wide = pixels.shape[:2]
    return QImage(pixels.tobytes(), wide, high, 4 * wide, QImage.Format.Format_RGBA8888).copy()
