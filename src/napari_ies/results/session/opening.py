"""A session read back: every file it refers to is found, checked by its hash, or named."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import ResultsError
from napari_ies.geometry.grid import Grid
from napari_ies.regular_files import file_sha256
from napari_ies.results.names import sidecar_name
from napari_ies.results.saliency import load_saliency
from napari_ies.results.segmentation import load_segmentation
from napari_ies.results.session.record import (
    FileRecord,
    SessionRecord,
    Subject,
    read_summary,
)
from napari_ies.results.storage import expected_content, read_image, read_sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_ies.case import Case
    from napari_ies.checkpoints.model import SegmentationModel
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation import Segmentation


@dataclass(frozen=True)
class SavedImage:
    """An image of the case.

    Parameters
    ----------
    sequence
        What it shows.
    path
        Its file, with the content it had; None if that is missing or changed.
    sha256
        SHA-256 of that content.
    made_here
        Whether the session wrote the file, of a layer that had none.
    """

    sequence: str
    path: Path | None
    sha256: str
    made_here: bool


@dataclass(frozen=True)
class SavedCheckpoint:
    """A network that segmented or explained.

    Parameters
    ----------
    name
        Of the checkpoint.
    device
        The device that was asked for.
    sha256
        SHA-256 of its file; empty for a network made in memory.
    path
        Its file, with the content it had; None if that is missing, changed or never was.
    """

    name: str
    device: str
    sha256: str
    path: Path | None


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
    problems
        What is missing or has changed since, and is therefore not used: one sentence each.
    moved
        What lies at another place than it did, with the same content: one sentence each.
    """

    folder: Path
    record: SessionRecord
    digest: str
    images: tuple[SavedImage, ...]
    checkpoints: tuple[SavedCheckpoint, ...]
    segmentation: Segmentation
    affine: NDArray[np.float64]
    reference: Path | None
    regions: Mapping[str, NDArray[np.bool_]]
    maps: tuple[SavedMap, ...]
    problems: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()

    @property
    def notes(self) -> dict[Subject, str]:
        """The text written about each lesion or region that has one."""
        return dict(self.record.notes)

    @property
    def text(self) -> str:
        """What came back, in one sentence."""
        counts = (
            (len(self.segmentation.lesions), "lesion"),
            (len(self.maps), "map"),
            (len(self.notes), "note"),
        )
        held = ", ".join(f"{count} {word}{'s' if count != 1 else ''}" for count, word in counts)
        saved = datetime.fromisoformat(self.record.saved)
        return f"Reopened the session of {saved:%Y-%m-%d %H:%M}: {held}."

    @property
    def complete(self) -> bool:
        """Whether every image is there as it was, so that more can be computed."""
        return all(image.path is not None for image in self.images)

    def load_case(self) -> Case:
        """Load the case.

        An image that is missing or has changed is empty (0 everywhere, see `Case.missing`): what
        was found in it can still be looked at, but nothing can be computed with it.

        Raises
        ------
        CaseError
            If an image cannot be read.
        """
        from napari_ies.case import Case

        shape = self.segmentation.labels.shape
        found = {one.sequence: one.path for one in self.images if one.path is not None}
        case = self._load(found) if found else None
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
            subject=self.record.subject,
            visit=self.record.visit,
            paths=tuple(found.get(image.sequence) for image in self.images),
            sha256=tuple(image.sha256 for image in self.images),
            notes=case.notes if case is not None else (),
            missing=tuple(image.sequence for image in self.images if image.sequence not in found),
        )

    def _load(self, found: Mapping[str, Path]) -> Case:
        from napari_ies.case import load_case

        return load_case(found, subject=self.record.subject, visit=self.record.visit)

    def absent_model(self) -> SegmentationModel:
        """Stand in for the network that segmented, until its checkpoint is loaded.

        Raises
        ------
        ResultsError
            If the sidecar of the lesions does not say what is known of it.
        """
        from napari_ies.checkpoints.absent import absent_model

        first, recorded = self.checkpoints[0], self.record.checkpoints[0].file
        file = first.name if recorded is None else recorded.name
        sequences = tuple(image.sequence for image in self.images)
        sidecar = self.folder / sidecar_name(next(iter(self.record.segmentation)))
        with expected_content(sidecar):
            facts = read_sidecar(sidecar)
            return absent_model(first.name, file, first.sha256, first.path, sequences, facts)


def find_images(path: str | Path) -> tuple[SavedImage, ...]:
    """Find the images of a session, and nothing else of it; see `load_session`."""
    summary = read_summary(path)
    return _images(summary.folder, summary.record, [], [])


def load_session(path: str | Path) -> Session:
    """Read a session and check every file that it refers to.

    Images, checkpoints and the reference are looked for where they lay as seen from the session,
    then where they lay on that machine, then beside the session; the content must be the same
    (SHA-256). What is missing or has changed is named in `Session.problems` and not used.

    Parameters
    ----------
    path
        The session's folder, or the ``session.json`` in it.

    Raises
    ------
    ResultsError
        If it is no session, is damaged, was written by a newer version, or its lesions cannot be
        read.
    """
    summary = read_summary(path)
    folder, record = summary.folder, summary.record
    problems: list[str] = []
    moved: list[str] = []

    def find(file: FileRecord | None) -> Path | None:
        return None if file is None else _find(folder, file, problems, moved)

    images = _images(folder, record, problems, moved)
    checkpoints = tuple(
        SavedCheckpoint(
            one.name, one.device, "" if one.file is None else one.file.sha256, find(one.file)
        )
        for one in record.checkpoints
    )
    segmentation, affine = _segmentation(folder, record, problems)
    return Session(
        folder=folder,
        record=record,
        digest=summary.digest,
        images=images,
        checkpoints=checkpoints,
        segmentation=segmentation,
        affine=affine,
        reference=find(record.reference),
        regions=_regions(folder, record, segmentation.labels.shape, problems),
        maps=_maps(folder, record, checkpoints, problems),
        problems=tuple(problems),
        moved=tuple(moved),
    )


def _images(
    folder: Path, record: SessionRecord, problems: list[str], moved: list[str]
) -> tuple[SavedImage, ...]:
    return tuple(
        SavedImage(
            one.sequence,
            _find(folder, one.file, problems, moved),
            one.file.sha256,
            one.file.made_here,
        )
        for one in record.images
    )


def _find(folder: Path, file: FileRecord, problems: list[str], moved: list[str]) -> Path | None:
    """Return where a file lies with the content it had; else None and a problem in a sentence."""
    there: list[Path] = []
    for place in _places(folder, file):
        try:
            # No device, pipe or folder: reading one would not end.
            if not place.is_file():
                continue
            digest = file_sha256(place)
        except (OSError, ValueError):
            continue
        if digest != file.sha256:
            there.append(place)
            continue
        if place != _normal(Path(file.absolute)):
            moved.append(
                f"{file.name} was found at {place} with the content it had; it lay at "
                f"{file.absolute} before."
            )
        return place
    if there:
        problems.append(
            f"{there[0]} has changed since the session was saved, so it is not used; put the "
            "former file back and open the session again."
        )
    else:
        problems.append(
            f"{file.name} is missing: it lay at {file.absolute}; put it there or beside "
            f"{folder} and open the session again."
        )
    return None


def _places(folder: Path, file: FileRecord) -> list[Path]:
    """Return where a file may lie, the likeliest first, each place once."""
    name = PurePath(file.name).name
    places = [] if file.relative is None else [folder / file.relative]
    places.append(Path(file.absolute))
    places += [parent / name for parent in (folder, *folder.absolute().parents[:2])]
    if name == "demo_unet.pth":
        from napari_ies.demo import demo_checkpoint

        places.append(demo_checkpoint())
    return list(dict.fromkeys(map(_normal, places)))


def _normal(path: Path) -> Path:
    """Return an absolute path without ``..``, links as they are."""
    return Path(os.path.normpath(path.absolute()))


def _segmentation(
    folder: Path, record: SessionRecord, problems: list[str]
) -> tuple[Segmentation, NDArray[np.float64]]:
    """Read the lesions; without them there is no session."""
    for name, digest in record.segmentation.items():
        # Missing ones are named by the reading itself.
        if (folder / name).is_file() and file_sha256(folder / name) != digest:
            problems.append(
                f"{folder / name} has changed since the session was saved; the lesions are shown "
                "as this file has them now."
            )
    first = folder / next(iter(record.segmentation))
    segmentation = load_segmentation(first, changed_too=True)
    sidecar = folder / sidecar_name(first.name)
    with expected_content(sidecar):
        grid = read_sidecar(sidecar)["Grid"]
        return segmentation, np.array(grid["Affine"], dtype=np.float64).reshape(4, 4)


def _regions(
    folder: Path, record: SessionRecord, shape: tuple[int, ...], problems: list[str]
) -> dict[str, NDArray[np.bool_]]:
    regions = {}
    for name, file, digest in record.regions:
        fault = _fault(folder, {file: digest})
        if fault:
            problems.append(f"The region {name} is left out: {fault}.")
            continue
        try:
            regions[name] = read_image(folder / file, np.uint8, shape) > 0
        except ResultsError as error:
            problems.append(f"The region {name} is left out: {error}")
    return regions


def _maps(
    folder: Path,
    record: SessionRecord,
    checkpoints: tuple[SavedCheckpoint, ...],
    problems: list[str],
) -> tuple[SavedMap, ...]:
    maps = []
    for one in record.maps:
        fault = _fault(folder, one.files)
        if not fault:
            first = folder / next(iter(one.files))
            maps.append(SavedMap(one.subject, one.request, checkpoints[one.checkpoint], first))
            continue
        whose = f"lesion {one.subject}" if isinstance(one.subject, int) else one.subject
        problems.append(
            f"A map of {whose} ({one.request.method}) is left out: {fault}; compute it again."
        )
    return tuple(maps)


def _fault(folder: Path, files: Mapping[str, str]) -> str:
    """Say what is wrong with files of the session, or nothing."""
    for name, digest in files.items():
        try:
            if not (folder / name).is_file():
                return f"{name} is missing"
            if file_sha256(folder / name) != digest:
                return f"{name} has changed since the session was saved"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror or error})"
    return ""
