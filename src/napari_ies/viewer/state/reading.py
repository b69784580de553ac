"""Reading: a segmented patient, ready to be asked about."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.network.absent import why_absent
from napari_ies.printable import counted
from napari_ies.viewer.volumes.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.cohort.context.alone import WrittenContext
    from napari_ies.geometry.box import Box
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.saliency.explanation import Prepared
    from napari_ies.saliency.footprint import BoxedMask
    from napari_ies.segmentation.change import Change
    from napari_ies.segmentation.segmentation import Segmentation
    from napari_ies.segmentation.subject import Subject
    from napari_ies.segmentation.threshold_change import Former
    from napari_ies.segmentation.verdicts import Verdict
    from napari_ies.viewer.state.curves import Curve
    from napari_ies.viewer.volumes.frame import Voxel


SCORES = ("dice", "lesion_sensitivity", "lesion_precision")
"""Of all :func:`~napari_ies.cohort.metrics.match_metrics`, those that are told."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a lesion lies on the stored grid."""

    centre: Voxel
    """Its own voxel that lies nearest to its centre of mass."""
    box: Box
    """The smallest box that holds it."""


@dataclass(frozen=True, eq=False)
class KnownRegion:
    """A region that a person chose to have explained, and that is no lesion of the table."""

    name: str
    """Tells it from other regions of the reading."""
    mask: NDArray[np.bool_]
    """bool (X, Y, Z) on the stored grid."""
    place: Place
    """Where it lies."""
    notes: tuple[str, ...] = ()
    """How it was taken from its layer: plain sentences."""

    @classmethod
    def of_mask(
        cls, name: str, mask: NDArray[np.bool_], spacing: tuple[float, float, float]
    ) -> KnownRegion:
        """Make a region of a mask that is not empty; voxel size in mm."""
        return cls(name, mask, lesion_places(mask.astype(np.int32), spacing)[1])


@dataclass(eq=False)
class Reading:
    """What was segmented with what; clicks ask about this, whatever the forms say meanwhile."""

    model: SegmentationModel
    """The network; that of a reopened session computes nothing until its checkpoint is loaded
    and replaces it."""
    case: Case
    """The patient."""
    segmentation: Segmentation
    """What the network marked."""
    frame: Frame
    """Where the case lies in the viewer."""
    places: Mapping[int, Place]
    """Where each lesion lies."""
    resampled: tuple[str, ...] = ()
    """Sequences that were resampled onto the case's grid."""
    regions: dict[str, KnownRegion] = field(default_factory=dict)
    """Other regions that were explained, by name; grows."""
    notes: dict[Subject, str] = field(default_factory=dict)
    """What a person wrote about a lesion or a region; changed by `State.set_note` alone."""
    verdicts: dict[Subject, Verdict] = field(default_factory=dict)
    """What a person says of a lesion or a region; changed by `State.set_verdict` alone."""
    reference: Path | NDArray[np.bool_] | None = None
    """The reference mask that the lesions were matched with: its file, or the mask, or None."""
    scores: Mapping[str, float] | None = None
    """How well it agrees with the reference, see
    :func:`~napari_ies.cohort.metrics.match_metrics`; None without a reference at hand."""
    lineage: object = field(default_factory=object)
    """The same for a reading and what it becomes at another threshold."""
    used: int = 0
    """The highest number of a lesion that it ever had at another threshold."""
    former: Mapping[int, Former] = field(default_factory=dict)
    """The lesions that it had at another threshold and has not now."""
    change: Change | None = None
    """What became of the lesions at the threshold before; None without one."""
    came_of: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Of each lesion that another threshold changed or brought, which those before it were."""
    unseen_notes: dict[Subject, str] = field(default_factory=dict)
    """What a person wrote about those."""
    unseen_verdicts: dict[Subject, Verdict] = field(default_factory=dict)
    """What a person says of those."""
    told_of_reference: tuple[str, ...] = ()
    """Of the segmentation's notes, those on how the reference was taken."""
    fixed: bool = False
    """Whether its lesions are known to be found at no other threshold: they were given as a file,
    or an attempt was refused."""
    layers: Mapping[str, str] = field(default_factory=dict)
    """The key of the viewer's layer that was segmented as each sequence; empty for those that
    show the case's files."""
    session: Path | None = None
    """The folder of the saved session that it was reopened from, or None."""

    @classmethod
    def of(
        cls,
        model: SegmentationModel,
        case: Case,
        segmentation: Segmentation,
        frame: Frame | None = None,
        **more: Any,
    ) -> Reading:
        """Make a reading of what was segmented.

        Parameters
        ----------
        model, case, segmentation
            The network, the patient, what it marked.
        frame
            Where the case lies in the viewer; by default upright, in mm.
        **more
            The other fields.
        """
        x, y, z = case.shape
        frame = frame or Frame.of_grid(case.affine, (x, y, z))
        places = lesion_places(segmentation.labels, case.spacing)
        return cls(model, case, segmentation, frame, places, **more)

    def take_said_of(self, before: Reading) -> None:
        """Take the notes and verdicts of a reading for what is the same here: its number is.

        The others wait until their lesions come back.
        """
        here = self.place_of
        notes = {**before.unseen_notes, **before.notes}
        self.notes = {one: said for one, said in notes.items() if here(one)}
        self.unseen_notes = {one: said for one, said in notes.items() if not here(one)}
        verdicts = {**before.unseen_verdicts, **before.verdicts}
        self.verdicts = {one: said for one, said in verdicts.items() if here(one)}
        self.unseen_verdicts = {one: said for one, said in verdicts.items() if not here(one)}

    def place_of(self, subject: Subject | int | str) -> Place | None:
        """Return where a lesion or a region lies, or None if there is none of that name."""
        if isinstance(subject, int):
            return self.places.get(subject)
        region = self.regions.get(subject)
        return None if region is None else region.place

    def is_found_as(self, other: Reading) -> bool:
        """Whether another reading of the same lineage has the same lesions, found alike.

        A number never means other voxels there, so that no voxel is looked at.
        """
        own, others = self.segmentation, other.segmentation
        return (
            self.lineage is other.lineage
            and self.reference is other.reference
            and (self.case.subject, self.case.visit) == (other.case.subject, other.case.visit)
            and (own.threshold, own.smallest) == (others.threshold, others.smallest)
            and self.places.keys() == other.places.keys()
        )

    @cached_property
    def prepared(self) -> Prepared:
        """What the maps of this reading share, made by the first of them or ahead of it."""
        from napari_ies.saliency.explanation import Prepared  # PyTorch comes with it

        return Prepared()

    def let_go(self) -> None:
        """Hold nothing that only computing needs: another threshold takes its place."""
        self.__dict__.pop("prepared", None)

    @cached_property
    def reference_mask(self) -> NDArray[np.bool_] | None:
        """The reference on the case's grid; read from its file when it is first asked for."""
        if self.reference is None or isinstance(self.reference, np.ndarray):
            return self.reference
        from napari_ies.patient.masks import read_mask

        return np.asarray(read_mask(self.reference, self.case, lesions=True).values)

    def footprint_of(self, subject: Subject | int | str) -> BoxedMask:
        """Return the voxels of a lesion or a region on its own box; the rest is not looked at."""
        from napari_ies.saliency.footprint import BoxedMask  # PyTorch comes with it

        place = self.place_of(subject)
        assert place is not None  # noqa: S101 - only subjects of this reading are asked about
        labels, box = self.segmentation.labels, place.box
        if isinstance(subject, int):
            return BoxedMask(labels.shape, box, labels[box] == subject)
        return BoxedMask(labels.shape, box, self.regions[subject].mask[box])

    def mask_of(self, subject: Subject | int | str) -> NDArray[np.bool_]:
        """Return the voxels of a lesion or a region, bool (X, Y, Z) on the stored grid."""
        if isinstance(subject, int):
            return np.asarray(self.segmentation.labels == subject)
        return self.regions[subject].mask

    def written(self, curve: Curve, model: SegmentationModel) -> WrittenContext:
        """Return a finished curve as its files are to hold it; the network is its own."""
        from napari_ies.cohort.context.alone import written  # PyTorch comes with it

        subject = curve.subject
        return written(curve.context, subject, self.match_of(subject), model, self.case)

    def match_of(self, subject: Subject) -> str | None:
        """Return ``"TP"``, ``"FP"`` or ``"FN"``; None of a region, or without a reference."""
        lesions = self.segmentation.lesions
        known = isinstance(subject, int) and "match" in lesions
        return str(lesions["match"][subject]) if known else None

    def own_network(self, loaded: SegmentationModel) -> SegmentationModel:
        """Return a loaded network, turned and scaled as when it segmented if it is the same one.

        What the form says since counts when it segments again.
        """
        if model_key(loaded) != model_key(self.model) or why_absent(self.model):
            return loaded
        same = loaded.device == self.model.device
        return self.model if same else loaded.with_profile(self.model.profile)

    def why_not_computable(self, model: SegmentationModel) -> str:
        """Why a network cannot explain anything here now, or an empty string."""
        return self.case.why_incomplete or why_absent(model)

    @property
    def found(self) -> str:
        """What was found and missed, and how well that agrees with the reference: sentences."""
        from napari_ies.segmentation.lesions import found_words  # scipy and pandas come with it

        found = f"{found_words(self.segmentation.lesions)}."
        if self.scores is None:
            return found
        values = [self.scores[name] for name in SCORES]
        dice, sensitivity, precision = (
            "undefined" if math.isnan(value) else f"{value:.2f}" for value in values
        )
        return f"{found} Dice {dice}; lesion-wise sensitivity {sensitivity}, precision {precision}."

    @property
    def summary(self) -> str:
        """What was found, and how much there is to know about it."""
        from napari_ies.segmentation.lesions import found_words

        segmentation = self.segmentation
        found = f"{found_words(segmentation.lesions)}; computed on {segmentation.device}."
        if not len(segmentation.lesions):
            found = (
                f"No lesion above the probability {segmentation.threshold:g}; a lower threshold "
                "may find some."
            )
        told = len(segmentation.notes)
        return f"{found} {counted(told, 'note')} above the table." if told else found

    @property
    def largest_first(self) -> list[int]:
        """The lesions that were found, the largest first; those that were missed if none was."""
        lesions = self.segmentation.lesions
        found = lesions[lesions["match"] != "FN"] if "match" in lesions else lesions
        voxels = (lesions if found.empty else found)["voxels"]
        return [int(label) for label in voxels.sort_values(ascending=False, kind="stable").index]

    def displayed(self, subject: Subject) -> tuple[NDArray[np.bool_], Voxel]:
        """Return a subject's voxels in a displayed box, and that box's first displayed index."""
        mask, turn = self.footprint_of(subject), self.frame.reorientation
        return turn.apply(mask.values), turn.box_to_displayed(mask.box).start


def scores_of(
    segmentation: Segmentation, reference: NDArray[np.bool_] | None
) -> dict[str, float] | None:
    """Compare a segmentation with a reference, bool (X, Y, Z); None without one."""
    if reference is None or "match" not in segmentation.lesions:
        return None
    from napari_ies.cohort.metrics import match_metrics  # PyTorch comes with it

    return match_metrics(segmentation.labels, segmentation.lesions, reference)


def model_key(model: SegmentationModel) -> str:
    """Return what tells a network from others: its file's hash, or its place in memory."""
    return model.sha256 or f"in memory {id(model.network)}"


def lesion_places(
    labels: NDArray[np.int32], spacing: tuple[float, float, float]
) -> dict[int, Place]:
    """Find each lesion.

    Parameters
    ----------
    labels
        int (X, Y, Z).
    spacing
        Voxel size in mm.
    """
    from napari_ies.segmentation.lesions import lesion_boxes  # scipy and pandas come with it

    places: dict[int, Place] = {}
    for label, box in lesion_boxes(labels).items():
        voxels = np.argwhere(labels[box] == label) + box.start
        offset = (voxels - voxels.mean(axis=0)) * spacing
        x, y, z = (int(index) for index in voxels[np.argmin((offset**2).sum(axis=1))])
        places[label] = Place((x, y, z), box)
    return places
