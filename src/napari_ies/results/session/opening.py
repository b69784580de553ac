"""A session read back: every file it refers to is found, checked by its hash, or named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import NapariIESError, ResultsError
from napari_ies.progress import Progress, finish
from napari_ies.results.segmentation import read_segmentation
from napari_ies.results.session.document import read_summary
from napari_ies.results.session.own_files import is_as_written
from napari_ies.results.session.saved import (
    SavedCheckpoint,
    SavedContext,
    SavedImage,
    SavedMap,
    Session,
)
from napari_ies.results.session.search import Search, Searching
from napari_ies.results.storage.images import read_image
from napari_ies.segmentation.subject import Lesion

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.results.session.record import (
        ContextEntry,
        MapEntry,
        SessionEntry,
        SessionSummary,
    )
    from napari_ies.segmentation.segmentation import Segmentation


def find_images(path: str | Path) -> tuple[SavedImage, ...]:
    """Find the images of a session, and nothing else of it; see `load_session`."""
    summary = read_summary(path)
    reports = _images(summary.record, Search(summary.folder))
    while True:
        try:
            next(reports)
        except StopIteration as end:
            found: tuple[SavedImage, ...] = end.value
            return found


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
    reference = yield from search.find(record.segmentation.reference)
    segmentation, affine = yield from _segmentation(record, search)
    regions = yield from _regions(record, segmentation.labels.shape, search)
    subjects: set[int | str] = {*(int(label) for label in segmentation.lesions.index), *regions}
    maps = yield from _maps(record, checkpoints, subjects, search)
    contexts = yield from _contexts(record, checkpoints, subjects, search)
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
        contexts=contexts,
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


def _images(record: SessionEntry, search: Search) -> Searching[tuple[SavedImage, ...]]:
    images = []
    for one in record.images:
        volume = yield from search.find_image(one.file)
        images.append(SavedImage(one.sequence, one.file.sha256, one.file.made_here, volume))
    return tuple(images)


def _segmentation(
    record: SessionEntry, search: Search
) -> Searching[tuple[Segmentation, NDArray[np.float64]]]:
    """Read the lesions; without them there is no session."""
    for name, digest in record.segmentation.files.items():
        # Missing ones are named by the reading itself.
        fault = yield from search.fault({name: digest})
        if fault and (search.folder / name).is_file():
            search.problems.append(
                f"{search.folder / name} has changed since the session was saved; the lesions are "
                "shown as this file has them now."
            )
    first = search.folder / next(iter(record.segmentation.files))
    try:
        read = read_segmentation(first, changed_too=True)
    except NapariIESError as error:
        if str(search.folder) in str(error):
            raise
        raise ResultsError(f"The session in {search.folder} cannot be opened: {error}") from error
    search.problems += _other_sizes(read.segmentation)
    return read.segmentation, np.array(read.content["Grid"]["Affine"], dtype=np.float64)


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
    record: SessionEntry, shape: tuple[int, ...], search: Search
) -> Searching[dict[str, NDArray[np.bool_]]]:
    regions = {}
    for one in record.regions:
        fault = yield from search.fault({one.file: one.sha256})
        if fault:
            search.problems.append(f"The region {one.name} is left out: {fault}.")
            continue
        try:
            mask, _ = read_image(search.folder / one.file, np.uint8, shape)
            regions[one.name] = mask > 0
        except ResultsError as error:
            search.problems.append(f"The region {one.name} is left out: {error}")
    return regions


def _maps(
    record: SessionEntry,
    checkpoints: list[SavedCheckpoint],
    subjects: set[int | str],
    search: Search,
) -> Searching[tuple[SavedMap, ...]]:
    maps = []
    for one in record.maps:
        fault = yield from _fault(one, subjects, search)
        if fault:
            search.problems.append(
                f"A map of {one.subject.called} ({one.request.method}) is left out: {fault}; "
                "compute it again."
            )
            continue
        first = search.folder / next(iter(one.files))
        maps.append(SavedMap(one.subject, one.request, checkpoints[one.checkpoint], first))
    return tuple(maps)


def _contexts(
    record: SessionEntry,
    checkpoints: list[SavedCheckpoint],
    subjects: set[int | str],
    search: Search,
) -> Searching[tuple[SavedContext, ...]]:
    contexts = []
    for one in record.contexts:
        fault = yield from _fault(one, subjects, search)
        if fault:
            search.problems.append(
                f"A curve of the context of {one.subject.called} is left out: {fault}; compute it "
                "again."
            )
            continue
        first = search.folder / next(iter(one.files))
        contexts.append(SavedContext(one.subject, checkpoints[one.checkpoint], first))
    return tuple(contexts)


def _fault(
    one: MapEntry | ContextEntry, subjects: set[int | str], search: Search
) -> Searching[str]:
    """Say in a clause what is wrong with a result's files or what it is about, or nothing."""
    fault = yield from search.fault(one.files)
    if not fault and one.subject not in subjects:
        lesion = isinstance(one.subject, Lesion)
        fault = f"there is no such {'lesion in the table' if lesion else 'region'}"
    return fault
