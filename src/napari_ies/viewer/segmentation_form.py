"""How the network's probability becomes lesions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_ies.viewer import dialogs
from napari_ies.viewer.availability import describe
from napari_ies.viewer.combo_entries import Unsuitable, add_unsuitable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_REFERENCE = "no reference"


class SegmentationForm(QWidget):
    """Threshold, smallest lesion, reference mask and the Segment button."""

    segment_requested = Signal()
    """The button was pressed."""
    file_chosen = Signal(str)
    """A NIfTI file to open as the reference mask."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.threshold = QDoubleSpinBox()
        self.threshold.setRange(0.01, 0.99)
        self.threshold.setSingleStep(0.05)
        self.threshold.setValue(0.3)
        describe(
            self.threshold,
            "A voxel counts as lesion above this probability (0 to 1). The checkpoint's own "
            "threshold is set when it is loaded.",
            "threshold",
        )
        self.smallest = QSpinBox()
        self.smallest.setRange(1, 100_000)
        self.smallest.setValue(6)
        self.smallest.setSuffix(" vox")
        describe(self.smallest, "Smaller groups of voxels are left out, in voxels.", "smallest")
        self.reference = QComboBox()
        self.reference.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        describe(
            self.reference,
            "An expert's mask to compare with (optional): each lesion is then marked TP (overlaps "
            "it), FP (the network's alone) or FN (the expert's alone).",
            "reference",
        )
        self._open = QPushButton("Open…")
        describe(self._open, "Open a NIfTI file as the reference mask.", "open_reference")
        self.button = QPushButton("Segment")
        describe(self.button, "Find the lesions with the network.", "segment")
        self._keys: tuple[str, ...] = ()
        self._preferred_smallest = 0
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(3)
        layout.setColumnStretch(1, 4)
        layout.setColumnStretch(3, 6)
        layout.addWidget(QLabel("Threshold"), 0, 0)
        layout.addWidget(self.threshold, 0, 1)
        layout.addWidget(QLabel("Smallest"), 0, 2)
        layout.addWidget(self.smallest, 0, 3)
        layout.addWidget(QLabel("Reference"), 1, 0)
        layout.addWidget(self.reference, 1, 1, 1, 2)
        layout.addWidget(self._open, 1, 3)
        layout.addWidget(self.button, 2, 0, 1, 4)
        self.set_masks({})
        self.button.clicked.connect(self.segment_requested)
        self._open.clicked.connect(self._on_open)

    @property
    def reference_key(self) -> str | None:
        """Key of the chosen reference mask, or None."""
        index = self.reference.currentIndex() - 1
        return self._keys[index] if 0 <= index < len(self._keys) else None

    def set_masks(self, masks: Mapping[str, str], unsuitable: Sequence[Unsuitable] = ()) -> None:
        """Offer other masks, by key; the choice stays while it is there.

        Parameters
        ----------
        masks
            Name of each mask by its key.
        unsuitable
            Name of each that cannot be chosen, and what it is instead.
        """
        chosen = self.reference_key
        self._keys = tuple(masks)
        self.reference.clear()
        self.reference.addItems([NO_REFERENCE, *masks.values()])
        add_unsuitable(self.reference, unsuitable)
        self.choose_mask(chosen)

    def choose_mask(self, key: str | None) -> None:
        """Choose a mask by its key, or none."""
        known = key is not None and key in self._keys
        self.reference.setCurrentIndex(self._keys.index(str(key)) + 1 if known else 0)

    def set_profile(self, threshold: float, smallest: int) -> None:
        """Set what a checkpoint's profile asks for."""
        self.threshold.setValue(threshold)
        self.smallest.setValue(self._preferred_smallest or smallest)

    def prefer_smallest(self, smallest: int) -> None:
        """Leave out smaller groups of voxels whatever a checkpoint asks for; 0 leaves it to it."""
        self._preferred_smallest = smallest
        if smallest:
            self.smallest.setValue(smallest)

    def _on_open(self) -> None:
        path = dialogs.choose_file(self, "Open the reference mask", dialogs.IMAGES)
        if path:
            self.file_chosen.emit(path)
