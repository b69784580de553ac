"""The files of a session: written under names that are free, and remembered as its own."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_ies.errors import ResultsError
from napari_ies.patient.bids_label import bids_label
from napari_ies.regular_files import file_sha256, sha256_of
from napari_ies.results.dataset import write_result
from napari_ies.results.names import sidecar_name, stem, whose
from napari_ies.results.saliency import every_name, saliency_files, save_saliency
from napari_ies.results.segmentation import save_segmentation
from napari_ies.results.session.own_files import OwnFiles
from napari_ies.results.session.record import (
    CheckpointEntry,
    FileEntry,
    ImageEntry,
    RegionEntry,
    SegmentationEntry,
)
from napari_ies.results.storage.images import image_writer
from napari_ies.results.storage.tables import table_writer
from napari_ies.results.storage.writing import write
from napari_ies.segmentation.subject import Lesion, Region, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation.segmentation import Segmentation

_LONGEST_ENTITY = 48
"""Letters of a region's name in the names of its files, of which file systems allow some 200."""
_DIGITS = 8
"""Hexadecimal digits at the end of a name that was cut."""


class TableWithSidecar(Protocol):
    """A result that is a table, and what the JSON beside it says."""

    @property
    def table(self) -> pd.DataFrame:
        """The table; its index, which has a name, is the first column."""

    @property
    def content(self) -> Mapping[str, Any]:
        """Of the JSON."""


class SessionFiles:
    """Writes the files that a session refers to into its folder, named by the patient.

    Attributes
    ----------
    own
        What was written here.
    """

    def __init__(self, folder: Path, case: Case) -> None:
        self._folder, self._case = folder, case
        self.own = OwnFiles(folder)

    def segmentation(
        self,
        segmentation: Segmentation,
        model: SegmentationModel,
        reference: Path | NDArray[np.bool_] | None,
        reference_sha256: str,
    ) -> SegmentationEntry:
        """Write a segmentation, and its reference mask if that has no file; see `begin`."""
        labels, probability, table = save_segmentation(
            self._folder, segmentation, case=self._case, model=model, flat=True
        )
        files = self._noted([*_with_sidecars([labels, probability]), table])
        return SegmentationEntry.model_construct(
            threshold=segmentation.threshold,
            smallest_lesion=segmentation.smallest or 1,
            forward=segmentation.forward,
            reference=self._reference(reference, reference_sha256),
            files=files,
        )

    def map(self, subject: Subject, saliency: Saliency, model: SegmentationModel) -> dict[str, str]:
        """Write a map; return the SHA-256 of each of its files, by name."""
        case, own = self._case, whose(subject if isinstance(subject, Lesion) else _entity(subject))

        def named(run: int | None) -> list[str]:
            names = saliency_files(case, saliency.request, saliency.sequences, run=run, **own)
            return [file for name in every_name(names) for file in (name, sidecar_name(name))]

        run = self._free_run(named)
        paths = save_saliency(
            self._folder, saliency, case=case, model=model, run=run, flat=True, **own
        )
        return self._noted(_with_sidecars(paths))

    def context(self, subject: Subject, written: TableWithSidecar) -> dict[str, str]:
        """Write a curve of context; return the SHA-256 of each of its files, by name."""
        case, lesion = self._case, isinstance(subject, Lesion)
        own = {"lesion": f"{subject:03d}"} if lesion else {"region": _entity(str(subject))}

        def named(run: int | None) -> list[str]:
            name = f"{stem('context', case.subject, case.visit, **own, run=run)}.tsv"
            return [name, sidecar_name(name)]

        name, _ = named(self._free_run(named))
        paths = write_result(
            self._folder,
            case,
            {name: table_writer(written.table)},
            {name: written.content},
            overwrite=False,
            flat=True,
        )
        return self._noted(_with_sidecars(paths))

    def region(self, name: str, mask: NDArray[np.bool_]) -> RegionEntry:
        """Write the mask of a region, bool (X, Y, Z)."""
        entity = _entity(name)

        def named(run: int | None) -> list[str]:
            return [self._image_name("mask", region=entity, run=run)]

        (file,) = named(self._free_run(named))
        digest = self._write_image(file, mask.astype(np.uint8)).sha256
        return RegionEntry.model_construct(name=name, file=file, sha256=digest)

    def images(self) -> list[ImageEntry]:
        """Record each image's file; of an image that has none, write one."""
        case, images = self._case, []
        for number, sequence in enumerate(case.sequences):
            path, digest = case.paths[number], case.sha256[number]
            if path is not None:
                file = FileEntry.of(self._folder, path, digest or _digest_of(path))
            else:
                name = self._image_name("image", seq=sequence)
                file = self._write_image(name, case.data[number])
            images.append(ImageEntry.model_construct(sequence=sequence, file=file))
        return images

    def checkpoint(self, model: SegmentationModel, device: str) -> CheckpointEntry:
        """Record a network's file, if it has one, and the device that was asked for."""
        path, digest = model.path, model.sha256
        file = FileEntry.of(self._folder, path, digest) if path is not None and digest else None
        return CheckpointEntry.model_construct(name=model.profile.name, device=device, file=file)

    def _reference(
        self, reference: Path | NDArray[np.bool_] | None, digest: str
    ) -> FileEntry | None:
        if reference is None:
            return None
        if isinstance(reference, Path):
            return FileEntry.of(self._folder, reference, digest or _digest_of(reference))
        return self._write_image(
            self._image_name("mask", desc="reference"), reference.astype(np.uint8)
        )

    def _image_name(self, suffix: str, **entities: str | int | None) -> str:
        return f"{stem(suffix, self._case.subject, self._case.visit, **entities)}.nii.gz"

    def _free_run(self, named: Callable[[int | None], list[str]]) -> int | None:
        """Return the first number under which none of some files lies, finished or not."""
        runs = itertools.chain([None], itertools.count(2))
        return next(
            run
            for run in runs
            if not any(os.path.lexists(self._folder / name) for name in named(run))
        )

    def _write_image(self, name: str, data: NDArray[Any]) -> FileEntry:
        if os.path.lexists(self._folder / name):
            raise ResultsError(
                f"{self._folder / name} is there already; choose another folder for the session."
            )
        (path,) = write(self._folder, {name: image_writer(data, self._case)})
        (digest,) = self._noted([path]).values()
        return FileEntry.of(self._folder, path, digest, made_here=True)

    def _noted(self, paths: Iterable[Path]) -> dict[str, str]:
        """Remember files as written just now; return the SHA-256 of each, by name."""
        digests = {path.name: _digest_of(path) for path in paths}
        self.own.wrote(digests)
        return digests


def _digest_of(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be read ({error.strerror or error}), so no session can refer to it; "
            "put it back, or choose another folder."
        ) from error


def _entity(name: str) -> Region:
    """Return a region's name as file names know it; the full name stands in ``session.json``."""
    letters = bids_label(name) or "unnamed"
    if len(letters) <= _LONGEST_ENTITY:
        return Region(letters)
    digest = sha256_of(name.encode("utf-8", "surrogatepass"))[:_DIGITS]
    return Region(letters[: _LONGEST_ENTITY - _DIGITS] + digest)


def _with_sidecars(paths: Iterable[Path]) -> list[Path]:
    return [file for path in paths for file in (path, path.with_name(sidecar_name(path.name)))]
