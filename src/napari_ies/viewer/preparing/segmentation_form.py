"""How the network's probability becomes lesions, or whose lesions are taken instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QWidget

from napari_ies.network.profile import Profile
from napari_ies.patient.sequence_names import telling_of_lesions
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.panel.controls import button, grid
from napari_ies.viewer.panel.layer_choice import LayerChoice
from napari_ies.viewer.panel.parameter_form import ParameterForm

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from napari_ies.viewer.panel.combo_entries import Unsuitable

SEGMENT = "Segment"
NO_REFERENCE = "no reference"
BY_THE_NETWORK = "by the network"
GIVEN = "The lesions are taken from elsewhere, as they are."


class SegmentationForm(QWidget):
    """Threshold, smallest lesion, lesions from elsewhere, reference mask and the Segment button."""

    segment_requested = Signal()
    """The button was pressed."""
    file_chosen = Signal(str)
    """A file to open as the reference mask."""
    reference_chosen = Signal()
    """Another mask, or none, is the reference."""
    lesions_chosen = Signal(str)
    """A file to open as the lesions to explain."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        controls = ParameterForm(Profile, "threshold", "smallest_lesion")
        self.threshold, self.smallest = controls["threshold"], controls["smallest_lesion"]
        self.lesions = LayerChoice(
            BY_THE_NETWORK,
            "lesions_from",
            "Whose lesions are listed and explained: those that the network marks, or those of a "
            "label map or mask of an expert or of another program. A mask's connected parts, or a "
            "label map's own labels, are the lesions.",
        )
        self.reference = LayerChoice(
            NO_REFERENCE,
            "reference",
            "An expert's mask to compare with (optional): each lesion is then marked TP (overlaps "
            "it), FP (the network's alone) or FN (the expert's alone).",
        )
        about = (
            "Find the lesions with the network. Where only threshold or smallest lesion changed, "
            "those that stay the same keep number, maps, notes and verdict, as with Update."
        )
        self.button = button(SEGMENT, "segment", about, self.segment_requested)
        self._preferred_smallest = 0
        self._settled = False
        layout = grid(self, 0, 4, 0, 6)
        layout.addWidget(QLabel("Lesions"), 0, 0)
        layout.addWidget(self.lesions, 0, 1, 1, 2)
        about = "Open a label map or mask as the lesions."
        layout.addWidget(button("Open…", "open_lesions", about, self._on_open_lesions), 0, 3)
        for number, (name, described) in enumerate(controls.about.items()):
            layout.addWidget(QLabel(described.label), 1, 2 * number)
            layout.addWidget(controls[name], 1, 2 * number + 1)
        layout.addWidget(QLabel("Reference"), 2, 0)
        layout.addWidget(self.reference, 2, 1, 1, 2)
        about = "Open a file as the reference mask."
        layout.addWidget(button("Open…", "open_reference", about, self._on_open), 2, 3)
        layout.addWidget(self.button, 3, 0, 1, 4)
        self.lesions.currentIndexChanged.connect(self._on_lesions)
        self.reference.activated.connect(self._settle)
        self.reference.currentIndexChanged.connect(self.reference_chosen)

    def set_masks(
        self,
        masks: Mapping[str, str],
        unsuitable: Sequence[Unsuitable] = (),
        recognised: Collection[str] = (),
    ) -> None:
        """Offer other masks, by key; the choices stay while they are there.

        Parameters
        ----------
        masks
            Name of each mask by its key.
        unsuitable
            Name of each that cannot be chosen, and what it is instead.
        recognised
            The keys of those that came with the images, of which one may be the reference.
        """
        for choice in (self.lesions, self.reference):
            choice.set_layers(masks, unsuitable)
        self._guess_reference({key: name for key, name in masks.items() if key in recognised})
        self._on_lesions()

    def choose_mask(self, key: str | None) -> None:
        """Choose a reference mask by its key, or none."""
        self._settle()
        self.reference.choose(key)

    def begin_anew(self) -> None:
        """Choose nothing: another patient comes, and no mask that is open is his."""
        self._settled = False
        self.reference.choose(None)
        self.lesions.choose(None)

    def set_profile(self, threshold: float, smallest: int) -> None:
        """Set what a checkpoint's profile asks for."""
        self.threshold.setValue(threshold)
        self.smallest.setValue(self._preferred_smallest or smallest)

    def prefer_smallest(self, smallest: int) -> None:
        """Leave out smaller groups of voxels whatever a checkpoint asks for; 0 leaves it to it."""
        self._preferred_smallest = smallest
        if smallest:
            self.smallest.setValue(smallest)

    def _settle(self, _: int = 0) -> None:
        """Take what is chosen as what a person, or a saved session, wants."""
        self._settled = True

    def _guess_reference(self, masks: Mapping[str, str]) -> None:
        """Choose the mask whose name says most clearly that it is an expert's, if there is one."""
        if self._settled or self.reference.key is not None:
            return
        told = {key: telling_of_lesions(name) for key, name in masks.items()}
        best = max(told, key=lambda key: told[key], default=None)
        if best is not None and told[best]:
            self.reference.choose(best)

    def _on_lesions(self, _: int = 0) -> None:
        given = GIVEN if self.lesions.key is not None else ""
        allow(self.threshold, given)
        allow(self.smallest, given)

    def _on_open(self) -> None:
        path = dialogs.choose_file(self, "Open the reference mask", dialogs.IMAGES)
        if path:
            self.file_chosen.emit(path)

    def _on_open_lesions(self) -> None:
        path = dialogs.choose_file(self, "Open the lesions to explain", dialogs.IMAGES)
        if path:
            self.lesions_chosen.emit(path)
