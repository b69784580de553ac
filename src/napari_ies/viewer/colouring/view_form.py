"""How maps are coloured: colour maps, limits, threshold, opacity, and what is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QFormLayout, QLabel, QWidget
from superqt import QLabeledSlider
from superqt.utils import signals_blocked

from napari_ies.colour_maps import SEQUENTIAL_MAPS, SIGNED_MAPS
from napari_ies.viewer.canvas import colours
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.controls import button, combo, row, tick_box, words
from napari_ies.viewer.state.look import HIGHEST_THRESHOLD, LIMITS, THRESHOLD_STEP, Look

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.utils.colormaps import Colormap

LIMIT_NAMES = ("each map's own", "each sequence's own", "shared by all shown", "fixed at")
ATTRIBUTE_NAMES = {"colormap": "colours", "contrast_limits": "limits", "opacity": "opacity"}
ICON_SIZE = (48, 12)
LEAST_WIDTH = 90


class ViewForm(QWidget):
    """Shows a look and what is visible; says what a person wants instead."""

    look_changed = Signal(object)
    """The :class:`~napari_ies.viewer.state.look.Look` that a person chose."""
    overlay_toggled = Signal(bool)
    """Whether the overlay is to be visible."""
    outlines_toggled = Signal(bool)
    """Whether the lesions are to be outlined."""
    follow_requested = Signal()
    """What was set on the layers themselves is to be given up."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = Look()
        """The look on show."""
        self.signed = _colour_combo(
            SIGNED_MAPS,
            colours.diverging,
            "signed_map",
            "Colours of signed maps (SmoothGrad): one for values that speak for the lesion, the "
            "other for values that speak against it. All choices can be told apart by colour-blind "
            "readers.",
        )
        self.sequential = _colour_combo(
            SEQUENTIAL_MAPS,
            colours.sequential,
            "sequential_map",
            "Colours of maps without negative values (Grad-CAM++): lighter is more.",
        )
        self.limits = combo(
            "limits",
            "Where the colours end: at each lesion's own limit, one for its maps of all sequences "
            "(sequences can then be compared by eye); at each sequence's own; at the largest limit "
            "of the maps of this kind shown so far (lesions can then be compared); or at a number.",
            LIMIT_NAMES,
            LEAST_WIDTH,
        )
        self.fixed = QDoubleSpinBox()
        self.fixed.setDecimals(6)
        self.fixed.setRange(1e-6, 1e6)
        self.fixed.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        self.fixed.setKeyboardTracking(False)
        describe(
            self.fixed, "Magnitude at which the colours end, in the unit of the map.", "fixed_limit"
        )
        self.threshold = _slider(
            HIGHEST_THRESHOLD,
            THRESHOLD_STEP,
            "threshold_percent",
            "The overlay is clear up to this magnitude, in percent of the limit.",
        )
        self.opacity = _slider(
            100, 5, "overlay_opacity", "How opaque the overlay is, in percent; 0 is invisible."
        )
        self.overlay = tick_box("Overlay", "show_overlay", "Show the map over the images.")
        self.outlines = tick_box(
            "Outlines", "show_outlines", "Show the outlines of the lesions and of the selected one."
        )
        self.colour_bar = tick_box(
            "Colour bar",
            "show_colour_bar",
            "Show a colour bar on the canvas, with the limits and the unit.",
        )
        self._note = words("by_hand", "What was changed on a layer itself stays as it is.")
        self.follow = button(
            "Reset",
            "follow_look",
            "Give up what was set on the layers; follow this tab again.",
            self.follow_requested,
        )
        self._lay_out()
        self.set_look(self.look)
        self.set_by_hand({})
        self._connect()

    def set_look(self, look: Look) -> None:
        """Show a look without saying that a person chose it."""
        self.look = look
        with signals_blocked(self.threshold), signals_blocked(self.opacity):
            self.threshold.setValue(look.threshold)
            self.opacity.setValue(round(100 * look.opacity))
        if look.limits == "fixed":
            with signals_blocked(self.fixed):
                self.fixed.setValue(look.fixed)
        self.signed.setCurrentText(look.signed)
        self.sequential.setCurrentText(look.sequential)
        self.limits.setCurrentIndex(LIMITS.index(look.limits))
        self.colour_bar.setChecked(look.colour_bar)
        allow(self.fixed, "" if look.limits == "fixed" else "Only for limits fixed at a number.")

    def set_limit(self, limit: float, unit: str) -> None:
        """Show where the colours of the map on screen end, unless a person fixed the number."""
        self.fixed.setToolTip(f"Magnitude at which the colours end, in {unit}.")
        if self.look.limits != "fixed":
            self.fixed.setValue(limit)

    def set_shown(self, *, overlay: bool, outlines: bool) -> None:
        """Show what is visible."""
        self.overlay.setChecked(overlay)
        self.outlines.setChecked(outlines)

    def set_by_hand(self, by_hand: Mapping[str, tuple[str, ...]]) -> None:
        """Say what was set on the layers themselves, by sequence."""
        parts = [
            f"{name}: {', '.join(ATTRIBUTE_NAMES[attribute] for attribute in attributes)}"
            for name, attributes in by_hand.items()
        ]
        self._note.setText(f"Set on the layer: {'; '.join(parts)}." if parts else "")
        allow(self.follow, "" if parts else "Nothing was set on the layers themselves.")

    def _connect(self) -> None:
        for choice in (self.signed, self.sequential, self.limits):
            choice.activated.connect(self._on_edited)
        self.fixed.valueChanged.connect(self._on_fixed)
        self.threshold.valueChanged.connect(self._on_edited)
        self.opacity.valueChanged.connect(self._on_edited)
        self.colour_bar.clicked.connect(self._on_edited)
        self.overlay.clicked.connect(self.overlay_toggled)
        self.outlines.clicked.connect(self.outlines_toggled)

    def _on_fixed(self) -> None:
        if self.look.limits == "fixed":
            self._on_edited()

    def _on_edited(self) -> None:
        step = THRESHOLD_STEP * round(self.threshold.value() / THRESHOLD_STEP)
        limits = LIMITS[self.limits.currentIndex()]
        look = replace(
            self.look,
            signed=self.signed.currentText(),
            sequential=self.sequential.currentText(),
            limits=limits,
            # The box also shows limits that nobody fixed.
            fixed=self.fixed.value() if limits == "fixed" else self.look.fixed,
            threshold=step,
            opacity=self.opacity.value() / 100,
            colour_bar=self.colour_bar.isChecked(),
        )
        self.set_look(look)
        self.look_changed.emit(look)

    def _lay_out(self) -> None:
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(4)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.addRow("SmoothGrad", self.signed)
        layout.addRow("Grad-CAM++", self.sequential)
        layout.addRow("Limits", self.limits)
        layout.addRow("", self.fixed)
        layout.addRow("Clear below", row((self.threshold, 1), QLabel("%")))
        layout.addRow("Opacity", row((self.opacity, 1), QLabel("%")))
        layout.addRow("Show", row((self.overlay, 1), self.outlines, self.colour_bar))
        layout.addRow(row((self._note, 1), self.follow))


def _colour_combo(
    names: Mapping[str, str], make: Callable[[str, int], Colormap], name: str, tooltip: str
) -> QComboBox:
    made = combo(name, tooltip, least=LEAST_WIDTH)
    made.setIconSize(QSize(*ICON_SIZE))
    for title, library_name in names.items():
        made.addItem(_icon(make(library_name, 0)), title)
    return made


def _icon(colormap: Colormap) -> QIcon:
    from napari.utils.colormaps import make_colorbar

    pixels = make_colorbar(colormap, ICON_SIZE[::-1], horizontal=True)
    height, width = pixels.shape[:2]
    image = QImage(pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888)
    return QIcon(QPixmap.fromImage(image))


def _slider(highest: int, step: int, name: str, tooltip: str) -> QLabeledSlider:
    slider = QLabeledSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, highest)
    slider.setSingleStep(step)
    slider.setPageStep(step)
    describe(slider, tooltip, name)
    return slider
