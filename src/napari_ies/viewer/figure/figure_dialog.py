"""FigureDialog: how a figure for a paper shall look, with a preview."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_ies.figures.settings import (
    FORMATS,
    MOST_SLICES,
    ONE_COLUMN_MM,
    TWO_COLUMNS_MM,
    FigureSettings,
)
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.plain_text import PlainLabel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

LAYOUT_NAMES = {"Three planes": "planes", "Axial slices": "montage"}
CENTRE_NAMES = {"Lesion": False, "Crosshair": True}
LIMIT_NAMES = {"Shared by the sequences": "shared", "Each sequence its own": "own"}
THEME_NAMES = {"Light": "light", "Dark": "dark"}
WIDTH_NAMES = {"One column (88 mm)": ONE_COLUMN_MM, "Two columns (180 mm)": TWO_COLUMNS_MM}
PREVIEW_SIZE = QSize(640, 480)


class FigureDialog(QDialog):
    """Asks how a figure shall look, and shows what it will be; draws and writes nothing."""

    changed = Signal()
    """Something was set: the preview is old."""
    save_requested = Signal(str)
    """The figure is to be saved in this format."""
    copy_requested = Signal()
    """The figure is to be put onto the clipboard."""
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
        self._words = PlainLabel()
        self._words.setWordWrap(True)
        describe(self._words, "What happened last.", "figure_words")
        layout = QVBoxLayout(self)
        row = QHBoxLayout()
        row.addLayout(self._form())
        row.addWidget(self._preview, 1)
        layout.addLayout(row, 1)
        layout.addWidget(self._words)
        layout.addLayout(self._buttons())
        self._connect()
        self._on_layout()

    @property
    def settings(self) -> FigureSettings:
        """What is set."""
        chosen = tuple(box.text() for box in self._sequences if box.isChecked())
        return FigureSettings(
            layout=LAYOUT_NAMES[self._layout.currentText()],
            theme=THEME_NAMES[self._theme.currentText()],
            width=WIDTH_NAMES[self._width.currentText()],
            margin=None if self._whole.isChecked() else self._margin.value(),
            sequences=chosen or None,
            plain=self._plain.isChecked(),
            slices=self._slices.value(),
            limits=LIMIT_NAMES[self._limits.currentText()],
            outline=self._outline.isChecked(),
        )

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
        self._sequences = [QCheckBox(name) for name in names]
        for box in self._sequences:
            box.setChecked(True)
            describe(box, f"Show {box.text()} with its saliency.", f"figure_{box.text()}")
            box.toggled.connect(self._on_sequence)
            self._sequence_row.insertWidget(self._sequence_row.count() - 1, box)

    def set_preview(self, pixels: NDArray[np.uint8]) -> None:
        """Show a figure; uint8 (height, width, 4)."""
        self._pixmap = QPixmap.fromImage(image_of(pixels))
        self._scale_preview()

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
        self._layout = _choice(LAYOUT_NAMES, "Which slices are shown.", "figure_layout")
        self._centre = _choice(
            CENTRE_NAMES,
            "What the figure is centred on: the lesion, or the point at which the viewer's slices "
            "cross now.",
            "figure_centre",
        )
        self._slices = QSpinBox()
        self._slices.setRange(1, MOST_SLICES)
        self._slices.setValue(6)
        describe(self._slices, "Number of axial slices.", "figure_slices")
        self._margin = QDoubleSpinBox()
        self._margin.setRange(0, 200)
        self._margin.setDecimals(0)
        self._margin.setSingleStep(5)
        self._margin.setValue(15)
        self._margin.setSuffix(" mm")
        describe(
            self._margin,
            "How far the images reach around the lesion; about the crosshair they are as large.",
            "figure_margin",
        )
        self._whole = QCheckBox("whole slices")
        describe(self._whole, "Show whole slices instead.", "figure_whole")
        self._width = _choice(WIDTH_NAMES, "Width of the page.", "figure_width")
        self._width.setCurrentIndex(1)
        self._limits = _choice(
            LIMIT_NAMES,
            "Where the colours end: at one magnitude, so that sequences can be compared by eye, or "
            "at one for each sequence, with a colour bar each, so that faint maps show too.",
            "figure_limits",
        )
        self._theme = _choice(THEME_NAMES, "The page around the images.", "figure_theme")
        self._plain = QCheckBox("images without overlay too")
        self._plain.setChecked(True)
        describe(self._plain, "Show each image without its overlay too.", "figure_plain")
        self._outline = QCheckBox("outline of the lesion")
        self._outline.setChecked(True)
        describe(self._outline, "Outline the lesion over its saliency.", "figure_outline")
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
        form.addRow("Layout", self._layout)
        form.addRow("Centre", self._centre)
        form.addRow("Slices", self._slices)
        form.addRow("Sequences", self._sequence_row)
        form.addRow("Around the lesion", self._margin)
        form.addRow("", self._whole)
        form.addRow("Colour limits", self._limits)
        form.addRow("Width", self._width)
        form.addRow("Page", self._theme)
        form.addRow("", self._plain)
        form.addRow("", self._outline)
        form.addRow("Format", self._format)
        return form

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addStretch(1)
        self._save = _button(row, "Save…", "Save the figure to a file.", "figure_save")
        self._copy = _button(
            row, "Copy", "Put the figure onto the clipboard, as pixels.", "figure_copy"
        )
        self._screenshot = _button(
            row,
            "Screenshot…",
            "Save the viewer's canvas as it is on screen, to a PNG file.",
            "figure_screenshot",
        )
        close = _button(row, "Close", "Close this window.", "figure_close")
        close.clicked.connect(self.close)
        return row

    def _connect(self) -> None:
        for box in (self._layout, self._centre, self._limits, self._width, self._theme):
            box.currentIndexChanged.connect(self.changed)
        for number in (self._slices, self._margin):
            number.valueChanged.connect(self.changed)
        for check in (self._whole, self._plain, self._outline):
            check.toggled.connect(self.changed)
        self._layout.currentIndexChanged.connect(self._on_layout)
        self._whole.toggled.connect(self._on_layout)
        self._save.clicked.connect(self._on_save)
        self._copy.clicked.connect(self.copy_requested)
        self._screenshot.clicked.connect(self.screenshot_requested)

    def _on_save(self) -> None:
        self.save_requested.emit(self._format.currentText().lower())

    def _on_layout(self) -> None:
        planes = LAYOUT_NAMES[self._layout.currentText()] == "planes"
        allow(self._slices, "There is one slice of each plane." if planes else "")
        allow(self._margin, "Whole slices are shown." if self._whole.isChecked() else "")

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


def _choice(names: Iterable[str], tooltip: str, name: str) -> QComboBox:
    box = QComboBox()
    box.addItems(list(names))
    describe(box, tooltip, name)
    return box


def _button(row: QHBoxLayout, text: str, tooltip: str, name: str) -> QPushButton:
    button = QPushButton(text)
    button.setAutoDefault(False)
    describe(button, tooltip, name)
    row.addWidget(button)
    return button
