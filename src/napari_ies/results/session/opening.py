"""A session read back: every file it refers to is found, checked by its hash, or named."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_ies.errors import CaseError, CheckpointError, NapariIESError, ResultsError
from napari_ies.geometry.grid import Grid
from napari_ies.progress import Progress, finish
from napari_ies.results.names import sidecar_name
from napari_ies.results.saliency import load_saliency
from napari_ies.results.segmentation import load_segmentation
from napari_ies.results.session.document import read_summary
from napari_ies.results.session.own_files import is_as_written
from napari_ies.results.session.search import Search
from napari_ies.results.storage import expected_content, read_image, read_sidecar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.results.session.record import SessionRecord, SessionSummary, Subject
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation.segmentation import Segmentation

T = TypeVar("T")


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
    unused
        Names of files of former maps and regions that lie in the folder and count no more.
    annotated
        Those of them that somebody changed, replaced by a link, or gave a second name.
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
    unused: tuple[str, ...] = ()
    annotated: tuple[str, ...] = ()

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
        from napari_ies.patient.case import Case

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
        from napari_ies.patient.loading import load_case

        case = load_case(found, subject=self.record.subject, visit=self.record.visit)
        expected = {image.sequence: image.sha256 for image in self.images}
        for sequence, digest in zip(case.sequences, case.sha256, strict=True):
            if digest != expected[sequence]:
                raise CaseError(
                    f"{found[sequence]} was changed while the session was being opened; open it "
                    "again."
                )
        return case

    def absent_model(self) -> SegmentationModel:
        """Stand in for the network that segmented, until its checkpoint is loaded.

        Raises
        ------
        ResultsError
            If the sidecar of the lesions does not say what is known of it.
        """
        from napari_ies.network.absent import absent_model

        first, recorded = self.checkpoints[0], self.record.checkpoints[0].file
        file = first.name if recorded is None else recorded.name
        sequences = tuple(image.sequence for image in self.images)
        sidecar = self.folder / sidecar_name(next(iter(self.record.segmentation)))
        with expected_content(sidecar):
            facts = read_sidecar(sidecar)
            try:
                return absent_model(first.name, file, first.sha256, first.path, sequences, facts)
            except (OverflowError, CheckpointError) as error:
                raise ValueError(str(error)) from error


def find_images(path: str | Path) -> tuple[SavedImage, ...]:
    """Find the images of a session, and nothing else of it; see `load_session`."""
    summary = read_summary(path)
    search = Search(summary.folder)
    return _ended(_images(summary.record, search))


def load_session(path: str | Path) -> Session:
    """Read a session; see `load_session_progressively`, which this runs to its end."""
    return finish(load_session_progressively(path))


def load_session_progressively(path: str | Path) -> Iterator[Progress[Session]]:
    """Read a session and check every file that it refers to.

    Images, checkpoints and the reference are looked for where they lay as seen from the session,
    then where they lay on that machine, then beside the session; the content must be the same
    (SHA-256). What is missing or has changed is named in `Session.problems` and not used.

    Parameters
    ----------
    path
        The session's folder, or the ``session.json`` in it.

    Yields
    ------
    How far it is, for each file and within large ones; the session last.

    Raises
    ------
    ResultsError
        If it is no session, is damaged, was written by a newer version, or its lesions cannot be
        read.
    """
    yield Progress("Opening the session", 0, 0, "")
    summary = read_summary(path)
    folder, record = summary.folder, summary.record
    search = Search(folder)
    images = yield from _images(record, search)
    checkpoints = []
    for one in record.checkpoints:
        where = yield from search.find(one.file)
        digest = "" if one.file is None else one.file.sha256
        checkpoints.append(SavedCheckpoint(one.name, one.device, digest, where))
    reference = yield from search.find(record.reference)
    segmentation, affine = yield from _segmentation(record, search)
    regions = yield from _regions(record, segmentation.labels.shape, search)
    subjects: set[Subject] = {*(int(label) for label in segmentation.lesions.index), *regions}
    maps = yield from _maps(record, checkpoints, subjects, search)
    unused = _unused(summary)
    session = Session(
        folder=folder,
        record=record,
        digest=summary.digest,
        images=images,
        checkpoints=tuple(checkpoints),
        segmentation=segmentation,
        affine=affine,
        reference=reference,
        regions=regions,
        maps=maps,
        problems=tuple(search.problems),
        moved=tuple(search.moved),
        unused=tuple(unused),
        annotated=tuple(name for name, as_written in unused.items() if not as_written),
    )
    yield Progress("Opening the session", 1, 1, "", result=session)


def _unused(summary: SessionSummary) -> dict[str, bool]:
    """Return the obsolete files that lie in the folder, and whether each is as it was written."""
    named = set(summary.record.own_files)
    return {
        name: is_as_written(summary.folder / name, digest)
        for name, digest in summary.record.obsolete.items()
        if os.path.lexists(summary.folder / name) and name not in named
    }


def _ended(
    reports: Generator[Progress[Any], None, tuple[SavedImage, ...]],
) -> tuple[SavedImage, ...]:
    """Run a part of opening to its end and return what it returns."""
    while True:
        try:
            next(reports)
        except StopIteration as end:
            found: tuple[SavedImage, ...] = end.value
            return found


def _images(
    record: SessionRecord, search: Search
) -> Generator[Progress[Any], None, tuple[SavedImage, ...]]:
    images = []
    for one in record.images:
        path = yield from search.find(one.file)
        images.append(SavedImage(one.sequence, path, one.file.sha256, one.file.made_here))
    return tuple(images)


def _segmentation(
    record: SessionRecord, search: Search
) -> Generator[Progress[Any], None, tuple[Segmentation, NDArray[np.float64]]]:
    """Read the lesions; without them there is no session."""
    for name, digest in record.segmentation.items():
        # Missing ones are named by the reading itself.
        fault = yield from search.fault({name: digest})
        if fault and (search.folder / name).is_file():
            search.problems.append(
                f"{search.folder / name} has changed since the session was saved; the lesions are "
                "shown as this file has them now."
            )
    first = search.folder / next(iter(record.segmentation))
    try:
        segmentation = load_segmentation(first, changed_too=True)
    except NapariIESError as error:
        if str(search.folder) in str(error):
            raise
        raise ResultsError(f"The session in {search.folder} cannot be opened: {error}") from error
    search.problems += _other_sizes(segmentation)
    sidecar = search.folder / sidecar_name(first.name)
    with expected_content(sidecar):
        grid = read_sidecar(sidecar)["Grid"]
        affine = np.array(grid["Affine"], dtype=np.float64).reshape(4, 4)
        if not np.isfinite(affine).all() or np.linalg.det(affine[:3, :3]) == 0:
            raise ValueError("the grid has no place in space")
        return segmentation, affine


def _other_sizes(segmentation: Segmentation) -> list[str]:
    """Name the lesions of which the table says another size than the image of labels."""
    # Counted by value: a label may be far larger than the number of lesions.
    labels, counts = np.unique(segmentation.labels[segmentation.labels > 0], return_counts=True)
    marked = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    other = [
        (label, marked[label], int(count))
        for label, count in segmentation.lesions["voxels"].items()
        if marked[label] != count
    ]
    if not other:
        return []
    (label, found, count), *more = other
    others = "1 more lesion is" if len(more) == 1 else f"{len(more)} more lesions are"
    too = f", and {others} of another size, too" if more else ""
    return [
        f"Lesion {label} has {found} voxels now, the table says {count}{too}; the values in the "
        "table and the maps of such a lesion are of the lesion as it was."
    ]


def _regions(
    record: SessionRecord, shape: tuple[int, ...], search: Search
) -> Generator[Progress[Any], None, dict[str, NDArray[np.bool_]]]:
    regions = {}
    for name, file, digest in record.regions:
        fault = yield from search.fault({file: digest})
        if fault:
            search.problems.append(f"The region {name} is left out: {fault}.")
            continue
        try:
            regions[name] = read_image(search.folder / file, np.uint8, shape) > 0
        except ResultsError as error:
            search.problems.append(f"The region {name} is left out: {error}")
    return regions


def _maps(
    record: SessionRecord,
    checkpoints: list[SavedCheckpoint],
    subjects: set[Subject],
    search: Search,
) -> Generator[Progress[Any], None, tuple[SavedMap, ...]]:
    maps = []
    for one in record.maps:
        fault = yield from search.fault(one.files)
        whose = f"lesion {one.subject}" if isinstance(one.subject, int) else one.subject
        if not fault and one.subject not in subjects:
            kind = (
                "no such lesion in the table" if isinstance(one.subject, int) else "no such region"
            )
            fault = f"there is {kind}"
        if fault:
            search.problems.append(
                f"A map of {whose} ({one.request.method}) is left out: {fault}; compute it again."
            )
            continue
        first = search.folder / next(iter(one.files))
        maps.append(SavedMap(one.subject, one.request, checkpoints[one.checkpoint], first))
    return tuple(maps)
