"""What ``napari-ies explain`` is to explain: lesions of a segmentation, and regions of masks."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_ies.errors import CaseError, ResultsError, SaliencyError
from napari_ies.patient.images.volume import stem_of
from napari_ies.patient.masks import read_lesions, read_mask
from napari_ies.results import label
from napari_ies.results.provenance import file_record, other_images, other_network
from napari_ies.results.segmentation import read_segmentation
from napari_ies.results.storage.json_files import read_sidecar, sidecar_of
from napari_ies.saliency.footprint import BoxedMask, LabelledVoxels
from napari_ies.segmentation.lesions import lesion_boxes
from napari_ies.segmentation.subject import Lesion, Region

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.patient.masks import Mask
    from napari_ies.segmentation.segmentation import Segmentation
    from napari_ies.segmentation.subject import Subject

    FileRecord = Mapping[str, str | None]

logger = logging.getLogger("napari_ies")

OF_OTHERS = "--labels-of-others"
"""The option that takes the lesions of other images or of another network."""


@dataclass(frozen=True, eq=False)
class Target:
    """One thing to explain."""

    subject: Subject
    """The lesion, or the region."""
    footprint: ArrayLike
    """bool (X, Y, Z) on the case's grid, or what makes it when it is asked for."""
    notes: tuple[str, ...] = ()
    """How it was taken from its file: plain sentences."""
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    """Records of the files it comes from by what they are: ``"labels"``, ``"mask"``,
    ``"reference"``."""

    @property
    def name(self) -> str:
        """What it is called in a table: ``"3"`` or ``"region brainstem"``."""
        return f"region {self.subject}" if isinstance(self.subject, Region) else str(self.subject)

    @property
    def step(self) -> str:
        """What it is called while it is explained: ``"Lesion 3"`` or ``"Region brainstem"``."""
        if isinstance(self.subject, Region):
            titled = self.subject.titled
            return titled[0].upper() + titled[1:]
        return f"Lesion {self.name}"


@dataclass(frozen=True, eq=False)
class Found:
    """The lesions that there are to explain."""

    labels: NDArray[np.int32]
    """int32 (X, Y, Z), 0 for none."""
    notes: tuple[str, ...] = ()
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    """See :class:`Target`."""


def lesion_targets(found: Found, wanted: Sequence[int], everything: bool) -> list[Target]:
    """Give the lesions to explain.

    Raises
    ------
    SaliencyError
        If a lesion is not in the segmentation.
    """
    labels = found.labels
    boxes = lesion_boxes(labels)
    present = list(boxes)
    if not present:
        raise SaliencyError(
            "The segmentation holds no lesion; lower --threshold, or explain a region with --mask."
        )
    missing = sorted(set(wanted) - set(present))
    if missing:
        raise SaliencyError(
            f"There is no lesion {missing[0]}; the segmentation holds the lesions {present[0]} to "
            f"{present[-1]}, listed by the command segment."
        )
    chosen = present if everything else list(dict.fromkeys(wanted))
    return [
        Target(Lesion(value), LabelledVoxels(labels, value, boxes[value]), found.notes, found.files)
        for value in chosen
    ]


def region_target(file: Path, case: Case) -> Target:
    """Read the mask of a region, which is named after its file."""
    mask = read_mask(file, case)
    for note in mask.notes:
        logger.warning(note)
    if not mask.values.any():
        raise CaseError(f"{file.name} marks no voxel of the images; choose another mask.")
    record = file_record(mask.name, mask.sha256)
    region = Region(label(stem_of(file)))
    return Target(region, BoxedMask.of(mask.values), mask.notes, {"mask": record})


def found_with(segmentation: Segmentation, reference: Mask | None) -> Found:
    """Give the lesions that were found now, and what was said about their reference."""
    if reference is None:
        return Found(segmentation.labels)
    record = file_record(reference.name, reference.sha256)
    return Found(segmentation.labels, reference.notes, {"reference": record})


def labels_from(
    file: Path, case: Case, model: SegmentationModel | None = None, *, of_others: bool = False
) -> Found:
    """Read the lesions to explain: of an earlier segmentation, an expert or another program.

    Parameters
    ----------
    file
        A file of a segmentation that napari-ies wrote, or any mask or label image.
    case, model
        The images and the network that are explained.
    of_others
        Whether a segmentation of other images or by another network is taken.

    Raises
    ------
    ResultsError
        If a segmentation is of others and that was not asked for, or it cannot be read.
    CaseError
        If a mask or label image cannot be used.
    """
    if sidecar_of_ours(file):
        return _earlier(file, case, model, of_others)
    lesions = read_lesions(file, case)
    for note in lesions.notes:
        logger.warning(note)
    return Found(
        lesions.values, lesions.notes, {"labels": file_record(lesions.name, lesions.sha256)}
    )


def _earlier(file: Path, case: Case, model: SegmentationModel | None, of_others: bool) -> Found:
    """Read an earlier segmentation, with what was said of it and of what it is."""
    earlier = read_segmentation(file, case)
    content, segmentation = earlier.content, earlier.segmentation
    files = {"labels": earlier.labels}
    if isinstance(content.get("Reference"), dict):
        files["reference"] = dict(content["Reference"])
    name = earlier.labels["Name"]
    strange = {}
    images = other_images(case, content.get("Images") or ())
    if images:
        strange[
            f"found in other images ({', '.join(images)} "
            f"{'differ' if len(images) > 1 else 'differs'} by SHA-256) than those that are "
            "explained"
        ] = "check that both are of the same patient and visit, or segment these images"
    settings = [] if model is None else other_network(model, content)
    if settings:
        network = (content.get("Checkpoint") or {}).get("Name")
        strange[
            f"marked by another network ({network}; {', '.join(settings)} "
            f"{'differ' if len(settings) > 1 else 'differs'}) than the one that is explained"
        ] = "the map says what this network makes of them, not why they were marked"
    if not strange:
        return Found(segmentation.labels, segmentation.notes, files)
    if not of_others:
        raise ResultsError(
            f"The lesions of {name} were {' and '.join(strange)}; segment these images with this "
            f"network, or say that it is meant with {OF_OTHERS}."
        )
    told = [f"The lesions of {name} were {what}; {advice}." for what, advice in strange.items()]
    for note in told:
        logger.warning(note)
    notes = (*told, *(f"Said of {name}: {text}" for text in segmentation.notes))
    return Found(segmentation.labels, notes, files)


def sidecar_of_ours(file: Path) -> bool:
    """Whether a file is one that the command segment wrote, by the JSON beside it.

    Raises
    ------
    ResultsError
        If there is a JSON that cannot be read: it might say so.
    """
    sidecar = sidecar_of(file)
    return os.path.lexists(sidecar) and "SegmentationNotes" in read_sidecar(sidecar)
