"""A session as it was read back: what of it is there, whole and unchanged."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CheckpointError
from napari_ies.geometry.grid import Grid
from napari_ies.patient.case import Case
from napari_ies.patient.loading import case_of_volumes
from napari_ies.printable import counted
from napari_ies.results.names import sidecar_name
from napari_ies.results.saliency import load_saliency
from napari_ies.results.storage.json_files import expected_content, read_sidecar
from napari_ies.segmentation.lesions import found_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.images.volume import Volume
    from napari_ies.results.session.record import SessionEntry
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation.segmentation import Segmentation
    from napari_ies.segmentation.subject import Subject
    from napari_ies.segmentation.verdicts import Verdict

logger = logging.getLogger("napari_ies")


@dataclass(frozen=True, eq=False)
class SavedImage:
    """An image of the case."""

    sequence: str
    """What it shows."""
    sha256: str
    """SHA-256 of the content it had."""
    made_here: bool
    """Whether the session wrote the file, of a layer that had none."""
    volume: Volume | None
    """What its file holds, which was read once; None if that is missing or changed."""

    @property
    def path(self) -> Path | None:
        """Its file, with the content it had; None if that is missing or changed."""
        return None if self.volume is None else self.volume.path


@dataclass(frozen=True)
class SavedCheckpoint:
    """A network that segmented or explained."""

    name: str
    """Of the checkpoint."""
    device: str
    """The device that was asked for."""
    sha256: str
    """SHA-256 of its file; empty for a network made in memory."""
    path: Path | None
    """Its file, with the content it had; None if that is missing, changed or never was."""


@dataclass(frozen=True, eq=False)
class SavedMap:
    """A finished map on disk, whole and unchanged when the session was opened.

    Parameters
    ----------
    subject
        The lesion's label, or the name of the region.
    request
        As it was asked for; the map's own request states what that left open.
    checkpoint
        By which network.
    path
        One of its files.
    """

    subject: Subject
    request: SaliencyRequest
    checkpoint: SavedCheckpoint
    path: Path

    def load(self) -> Saliency:
        """Read the map.

        Raises
        ------
        ResultsError
            If a file of it is missing or damaged by now.
        """
        return load_saliency(self.path)


@dataclass(frozen=True, eq=False)
class SavedContext:
    """A curve of perilesional context on disk, whole and unchanged when the session was opened."""

    subject: Subject
    """The lesion's label, or the name of the region."""
    checkpoint: SavedCheckpoint
    """By which network."""
    path: Path
    """The table."""


@dataclass(frozen=True, eq=False)
class Session:
    """A case as far as it was read.

    Parameters
    ----------
    folder
        Where it lies.
    record, digest
        What its ``session.json`` says, and the SHA-256 of that file.
    images
        The case's images, in order.
    checkpoints
        The networks; the first one segmented.
    segmentation
        What it marked.
    affine
        Of the case, 4 x 4.
    reference
        File of the reference mask; None if there was none, or it is missing or changed.
    regions
        Mask of each region, bool (X, Y, Z), by name.
    maps
        The maps that are whole, in the order in which they were finished.
    contexts
        Likewise the curves of perilesional context.
    problems
        What is missing or has changed since, and is therefore not used: one sentence each.
    moved
        What lies at another place than it did, with the same content: one sentence each.
    unused
        Names of files of former maps and regions that lie in the folder and count no more.
    annotated
        Those of them that somebody changed, replaced by a link, or gave a second name.
    """

    folder: Path
    record: SessionEntry
    digest: str
    images: tuple[SavedImage, ...]
    checkpoints: tuple[SavedCheckpoint, ...]
    segmentation: Segmentation
    affine: NDArray[np.float64]
    reference: Path | None
    regions: Mapping[str, NDArray[np.bool_]]
    maps: tuple[SavedMap, ...]
    contexts: tuple[SavedContext, ...] = ()
    problems: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    annotated: tuple[str, ...] = ()

    @property
    def notes(self) -> dict[Subject, str]:
        """The text written about each lesion or region that has one."""
        return {note.subject: note.text for note in self.record.notes}

    @property
    def verdicts(self) -> dict[Subject, Verdict]:
        """What a person says of each lesion or region that was judged."""
        return {one.subject: one.verdict for one in self.record.verdicts}

    @property
    def text(self) -> str:
        """What came back, in one sentence."""
        lesions = self.segmentation.lesions
        counts = (
            (len(self.maps), "map"),
            *([(len(self.contexts), "curve")] if self.contexts else []),
            (len(self.notes), "note"),
            *([(len(self.verdicts), "verdict")] if self.verdicts else []),
        )
        held = ", ".join(counted(count, word) for count, word in counts)
        saved = datetime.fromisoformat(self.record.saved)
        found = counted(len(lesions), "lesion") + ","
        if "match" in lesions:
            found = f"{found_words(lesions)};"
        return f"Reopened the session of {saved:%Y-%m-%d %H:%M}: {found} {held}."

    @property
    def complete(self) -> bool:
        """Whether every image is there as it was, so that more can be computed."""
        return all(image.path is not None for image in self.images)

    def load_case(self) -> Case:
        """Return the case.

        An image that is missing or has changed is empty (0 everywhere, see `Case.missing`): what
        was found in it can still be looked at, but nothing can be computed with it.

        Raises
        ------
        CaseError
            If the images do not belong together.
        """
        shape = self.segmentation.labels.shape
        found = {one.sequence: one.volume for one in self.images if one.volume is not None}
        subject, visit = self.record.subject, self.record.visit or ""
        case = case_of_volumes(found, subject=subject, visit=visit) if found else None
        for note in case.notes if case is not None else ():
            logger.warning(note)
        if case is not None and not case.grid.same_as(Grid.of(shape, self.affine)):
            # The image that sets the grid is gone; the others cannot be brought onto it.
            case, found = None, {}
        if case is not None and self.complete:
            # Bit for bit that of the maps: a file keeps single precision.
            return replace(case, affine=self.affine)
        data = np.zeros((len(self.images), *shape), dtype=np.float32)
        for number, image in enumerate(self.images):
            if case is not None and image.sequence in case.sequences:
                data[number] = case.data[case.sequences.index(image.sequence)]
        return Case(
            sequences=tuple(image.sequence for image in self.images),
            data=data,
            affine=self.affine,
            subject=subject,
            visit=visit,
            paths=tuple(image.path if image.sequence in found else None for image in self.images),
            sha256=tuple(image.sha256 for image in self.images),
            notes=case.notes if case is not None else (),
            missing=tuple(image.sequence for image in self.images if image.sequence not in found),
        )

    def absent_model(self) -> SegmentationModel:
        """Stand in for the network that segmented, until its checkpoint is loaded.

        Raises
        ------
        ResultsError
            If the sidecar of the lesions does not say what is known of it.
        """
        from napari_ies.network.absent import absent_model  # PyTorch comes with it

        first, recorded = self.checkpoints[0], self.record.checkpoints[0].file
        file = first.name if recorded is None else recorded.name
        sequences = tuple(image.sequence for image in self.images)
        sidecar = self.folder / sidecar_name(next(iter(self.record.segmentation.files)))
        with expected_content(sidecar):
            facts = read_sidecar(sidecar)
            try:
                return absent_model(first.name, file, first.sha256, first.path, sequences, facts)
            except (OverflowError, CheckpointError) as error:
                raise ValueError(str(error)) from error
