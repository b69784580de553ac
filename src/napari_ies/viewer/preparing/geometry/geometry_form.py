"""The orientation and the voxel size that a network gets its images in."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QComboBox, QLabel, QWidget
from superqt.utils import signals_blocked

from napari_ies.network.profile import Profile
from napari_ies.network.trained_grid import AS_STORED, is_orientation
from napari_ies.parameters import parameters_of
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.panel.controls import combo as make_combo
from napari_ies.viewer.panel.controls import grid

ORIENTATIONS = ("LAS", "RAS", "LPS", "RPS", "LPI", "RPI", "LAI", "RAI")
"""On offer: axial storage, whichever way its axes run; any other can be typed."""

SPACINGS = ("1 × 1 × 1",)
OWN = "its own"
WHY_OWN = "The checkpoint says itself how its images are turned and resampled."
ABOUT = parameters_of(Profile)

Spacing = tuple[float, float, float]
Taken = tuple[str | None, Spacing | str | None]
"""Orientation and voxel size: None for a checkpoint's own, or :data:`AS_STORED`."""


class GeometryForm(QWidget):
    """Two fields: how the images are turned for the network, and the voxel size it runs at."""

    changed = Signal()
    """Another orientation or voxel size."""
    kept = Signal(str)
    """After a refusal the one before was entered: which that is, in one sentence."""
    refused = Signal(str)
    """What was typed is not possible: why, in one sentence; the field shows the one before."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._orientation = _editable("orientation")
        self._spacing = _editable("spacing")
        self._taken: Taken = (None, None)
        # Whether a refusal is the last that was said, and something was typed since.
        self._refused = self._typed_since = False
        layout = grid(self, 0, 1, 0, 1)
        layout.setHorizontalSpacing(4)
        layout.addWidget(QLabel(ABOUT["orientation"].label), 0, 0)
        layout.addWidget(self._orientation, 0, 1)
        layout.addWidget(QLabel(ABOUT["spacing"].label), 0, 2)
        layout.addWidget(self._spacing, 0, 3)
        self.set_stated(None, None)
        for combo in (self._orientation, self._spacing):
            combo.activated.connect(self._on_picked)
            edit = combo.lineEdit()
            assert edit is not None  # noqa: S101 - it is editable
            edit.textEdited.connect(self._on_typing)
            edit.editingFinished.connect(partial(self._on_edited, combo))

    @property
    def orientation(self) -> str | None:
        """Axis codes to turn the images to, or "as stored"; None for the checkpoint's own."""
        return self._taken[0]

    @property
    def spacing(self) -> Spacing | str | None:
        """Voxel size in mm to run the network at, or "as stored"; None for the checkpoint's own."""
        return self._taken[1]

    def set_profile(self, profile: Profile, *, own: bool = False) -> None:
        """Show what a checkpoint says by itself; `own`: nobody else may."""
        self.set_stated(profile.orientation, profile.spacing if profile.resample else None)
        for combo in (self._orientation, self._spacing):
            if own and combo.itemText(0) == AS_STORED:
                combo.setItemText(0, OWN)
            allow(combo, WHY_OWN if own else "")

    def set_stated(self, orientation: str | None, spacing: Spacing | None) -> None:
        """Show an orientation and a voxel size that are a checkpoint's own, None for as stored."""
        self._taken = (None, None)
        size = AS_STORED if spacing is None else _words(spacing)
        for combo, own, others in (
            (self._orientation, orientation or AS_STORED, ORIENTATIONS),
            (self._spacing, size, SPACINGS),
        ):
            with signals_blocked(combo):
                combo.clear()
                combo.addItems(list(dict.fromkeys((own, AS_STORED, *others))))
        self._show(self._taken)

    def choose(self, orientation: str | None, spacing: Spacing | str | None = None) -> None:
        """Choose an orientation and a voxel size, or "as stored"; None for the checkpoint's own."""
        self._show((orientation, spacing))
        self._on_edited()

    def _on_typing(self, _: str) -> None:
        self._typed_since = True

    def _on_picked(self, _: int) -> None:
        self._typed_since = True
        self._on_edited(self.sender())

    def _on_edited(self, combo: QObject | None = None) -> None:
        try:
            taken = (
                _orientation(self._typed(self._orientation)),
                _spacing(self._typed(self._spacing)),
            )
        except ValueError as error:
            self._show(self._taken)
            self._refused, self._typed_since = True, False
            self.refused.emit(str(error))
            return
        self._show(taken)
        if taken != self._taken:
            self._taken, self._refused = taken, False
            self.changed.emit()
        elif self._refused and self._typed_since and isinstance(combo, QComboBox):
            self._refused = False
            self.kept.emit(f"{ABOUT[combo.objectName()].label}: {combo.currentText()}, as before.")

    def _typed(self, combo: QComboBox) -> str:
        """Return what is typed, empty where it is the checkpoint's own."""
        text = str(combo.currentText()).strip()
        return "" if text.lower() == combo.itemText(0).lower() else text

    def _show(self, taken: Taken) -> None:
        """Show what was taken; a text that does not fit from its beginning on."""
        for combo, one in zip((self._orientation, self._spacing), taken, strict=True):
            combo.setCurrentText(combo.itemText(0) if one is None else _words(one))
            edit = combo.lineEdit()
            if edit is not None and not edit.hasFocus():
                edit.setCursorPosition(0)


def _editable(name: str) -> QComboBox:
    combo = make_combo(name, ABOUT[name].help)
    combo.setEditable(True)
    combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    # Room for the arrow and what napari's themes leave free around the text.
    combo.setMinimumWidth(combo.fontMetrics().horizontalAdvance(AS_STORED) + 56)
    return combo


def _orientation(text: str) -> str | None:
    codes = text.upper()
    if not codes:
        return None
    if text.lower() == AS_STORED:
        return AS_STORED
    if not is_orientation(codes):
        raise ValueError(
            f"{text} is no orientation; expected three letters, one each of R or L, A or P, S or "
            "I, such as LAS."
        )
    return codes


def _spacing(text: str) -> Spacing | str | None:
    """Read one number or three, however they are set apart."""
    if text.lower() == AS_STORED:
        return AS_STORED
    plain = text.lower().replace("mm", " ").replace("×", " ").replace("x", " ").replace(";", " ")
    parts = plain.split()
    if not parts:
        return None
    # 0,9 0,9 3 has decimal commas; 1,1,1 has none.
    parts = parts[0].split(",") if len(parts) == 1 and parts[0].count(",") == 2 else parts
    try:
        sizes = [float(part.strip(",").replace(",", ".")) for part in parts]
    except ValueError:
        sizes = []
    sizes = sizes * 3 if len(sizes) == 1 else sizes
    least, most = ABOUT["spacing"].offered or ABOUT["spacing"].limits
    if len(sizes) != 3 or not all(least <= size <= most for size in sizes):
        raise ValueError(
            f"{text} is no voxel size; expected three numbers from {least:g} to {most:g} mm, such "
            "as 1 1 1."
        )
    return sizes[0], sizes[1], sizes[2]


def _words(spacing: Spacing | str) -> str:
    return spacing if isinstance(spacing, str) else " × ".join(f"{size:g}" for size in spacing)
