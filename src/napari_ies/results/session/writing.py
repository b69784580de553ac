"""A session as it grows: first the files of what is new, whole, then ``session.json`` names them.

Whenever the program is stopped, the folder holds either the session as it was or the session with
what was new: ``session.json`` is replaced in one step, and what it does not name does not count.
What it named once and does not any more is removed (:mod:`~napari_ies.results.session.tidying`).
"""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.bids_label import bids_label
from napari_ies.errors import ResultsError
from napari_ies.regular_files import file_sha256
from napari_ies.results.names import image_stem, label, mask_stem, sidecar_name
from napari_ies.results.saliency import every_name, saliency_files, save_saliency
from napari_ies.results.segmentation import save_segmentation
from napari_ies.results.session.record import (
    SESSION_FILE,
    CheckpointRecord,
    FileRecord,
    ImageRecord,
    MapRecord,
    SessionRecord,
    Subject,
    to_json,
)
from napari_ies.results.session.tidying import discard, remove_cut_short, remove_obsolete
from napari_ies.results.storage import image_writer, json_writer, prepare, space_code, write
from napari_ies.versions import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from napari_ies.case import Case
    from napari_ies.checkpoints.model import SegmentationModel
    from napari_ies.results.session.opening import Session
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation import Segmentation


class SessionWriter:
    """Adds to a session on disk; made by :meth:`begin` or :meth:`resume`.

    Each method returns when what it adds is on disk. Call it from one thread at a time.

    Attributes
    ----------
    folder
        Where the session lies.
    record
        What its ``session.json`` says now.
    """

    def __init__(self, folder: Path, case: Case, record: SessionRecord) -> None:
        self.folder = folder
        self.record = record
        self._case = case
        self._digest = ""
        self._masks: dict[str, NDArray[np.bool_]] = {}
        self._unread_regions: tuple[str, ...] = ()

    @classmethod
    def begin(
        cls,
        folder: str | Path,
        segmentation: Segmentation,
        *,
        case: Case,
        model: SegmentationModel,
        device: str = "auto",
        reference: Path | NDArray[np.bool_] | None = None,
    ) -> SessionWriter:
        """Begin a session with what a network marked in a case.

        Parameters
        ----------
        folder
            Made if it is not there; must not hold a session.
        segmentation, case, model
            What was marked, in whom, by which network. Images without a file are saved into the
            folder, so that the session can be opened again.
        device
            Name of the device that was asked for.
        reference
            File of the reference mask, or the mask itself, bool (X, Y, Z).

        Raises
        ------
        ResultsError
            If a session is there already, or the disk refuses.
        """
        folder = prepare(folder, [SESSION_FILE])
        images = _save_images(folder, case)
        record = SessionRecord(
            subject=case.subject,
            visit=case.visit,
            saved="",
            images=images,
            checkpoints=(_checkpoint_record(folder, model, device),),
            threshold=segmentation.threshold,
            smallest=segmentation.smallest or 1,
            forward=segmentation.forward,
            reference=_save_reference(folder, case, reference),
            segmentation={},
        )
        writer = cls(folder, case, record)
        labels, probability, table = save_segmentation(
            folder, segmentation, case=case, model=model, flat=True
        )
        paths = [*_with_sidecars([labels, probability]), table]
        writer._put(replace(record, segmentation=_digests(paths)))
        return writer

    @classmethod
    def resume(cls, session: Session, case: Case) -> SessionWriter:
        """Go on with a session that was opened; remove what a crash left behind in it.

        Parameters
        ----------
        session
            As it was read.
        case
            As `Session.load_case` returned it.

        Raises
        ------
        ResultsError
            If it was changed since it was read.
        """
        writer = cls(session.folder, case, session.record)
        writer._digest, writer._masks = session.digest, dict(session.regions)
        # What could not be read stays named, so that it counts again once its file is back.
        writer._unread_regions = tuple(
            name for name, _, _ in session.record.regions if name not in session.regions
        )
        writer._refuse_foreign_changes()
        remove_cut_short(session.folder)
        writer._tidy()
        return writer

    def add_map(
        self,
        subject: Subject,
        saliency: Saliency,
        model: SegmentationModel,
        request: SaliencyRequest | None = None,
    ) -> None:
        """Add a finished map.

        Parameters
        ----------
        subject
            The lesion's label, or the name of the region.
        saliency
            The map.
        model
            The network that it explains.
        request
            As it was asked for, where that left open what the map's own request states, such as
            the default layer.

        Raises
        ------
        ResultsError
            If the disk refuses; the session is then as it was.
        """
        case, checkpoints = self._case, self.record.checkpoints
        own = _checkpoint_record(self.folder, model, checkpoints[0].device)
        known = [_identity(one) for one in checkpoints]
        if _identity(own) not in known:
            checkpoints = (*checkpoints, own)
            known.append(_identity(own))
        entities: dict[str, int | str] = (
            {"lesion": subject} if isinstance(subject, int) else {"region": _entity(subject)}
        )
        paths = save_saliency(
            self.folder,
            saliency,
            case=case,
            model=model,
            run=self._free_run(saliency, entities),
            flat=True,
            **entities,  # type: ignore[arg-type]
        )
        added = MapRecord(
            subject,
            request or saliency.request,
            known.index(_identity(own)),
            _digests(_with_sidecars(paths)),
        )
        try:
            self._put(
                replace(self.record, checkpoints=checkpoints, maps=(*self.record.maps, added))
            )
        except ResultsError:
            self._take_back(added.files)
            raise

    def drop_maps(self, numbers: Iterable[int]) -> None:
        """Take maps out of the session, by their place in it, and remove their files."""
        dropped = set(numbers)
        kept = tuple(one for n, one in enumerate(self.record.maps) if n not in dropped)
        if len(kept) < len(self.record.maps):
            gone = [one.files for n, one in enumerate(self.record.maps) if n in dropped]
            self._put_without(replace(self.record, maps=kept), *gone)

    def set_regions(self, regions: Mapping[str, NDArray[np.bool_]]) -> None:
        """Keep these regions, bool (X, Y, Z) by name, in place of those before.

        Raises
        ------
        ResultsError
            If the disk refuses; the session is then as it was.
        """
        saved = {entry[0]: entry for entry in self.record.regions}
        for name, mask in regions.items():
            if name in saved and np.array_equal(self._masks.get(name, ()), mask):
                continue
            file = self._save_mask(name, mask)
            saved[name] = (name, file, file_sha256(self.folder / file))
        names = dict.fromkeys((*self._unread_regions, *regions))
        entries = tuple(saved[name] for name in names)
        if entries != self.record.regions:
            gone = {file: digest for _, file, digest in set(self.record.regions) - set(entries)}
            self._put_without(replace(self.record, regions=entries), gone)
        self._masks = dict(regions)

    def set_notes(self, notes: Mapping[Subject, str]) -> None:
        """Keep these notes, one text per lesion or region, in place of those before."""
        entries = tuple((subject, text) for subject, text in notes.items() if text)
        if entries != self.record.notes:
            self._put(replace(self.record, notes=entries))

    def set_view(self, request: SaliencyRequest | None, selected: Subject | None) -> None:
        """Keep the settings of the last explanation and what was looked at last."""
        if (request, selected) != (self.record.request, self.record.selected):
            self._put(replace(self.record, request=request, selected=selected))

    @property
    def made_way(self) -> bool:
        """Whether it held nothing but a segmentation and was removed, as another window may."""
        return not (self.record.holds_work or (self.folder / SESSION_FILE).exists())

    def discard(self) -> None:
        """Remove a session that holds nothing but a segmentation, and its folder if empty then.

        Raises
        ------
        ResultsError
            If it holds more, or the disk refuses.
        """
        self._refuse_foreign_changes()
        discard(self.folder, self.record)

    def _put(self, record: SessionRecord) -> None:
        self._refuse_foreign_changes()
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        record = replace(record, saved=now, versions=tuple(versions().items()))
        write(self.folder, {SESSION_FILE: json_writer(to_json(record))})
        self.record, self._digest = record, file_sha256(self.folder / SESSION_FILE)

    def _put_without(self, record: SessionRecord, *gone: Mapping[str, str]) -> None:
        """Put a record that names some files no more, then remove these.

        They are listed as obsolete until they are removed, so that after a crash in between it is
        known that they were the session's.
        """
        obsolete = dict(self.record.obsolete)
        for files in gone:
            obsolete.update(files)
        self._put(replace(record, obsolete=obsolete))
        self._tidy()

    def _tidy(self) -> None:
        """Remove what is obsolete; what is not done now is done when the session is opened next."""
        if self.record.obsolete:
            refused = remove_obsolete(self.folder, self.record)
            with contextlib.suppress(ResultsError):
                self._put(replace(self.record, obsolete=refused))

    def _take_back(self, files: Iterable[str]) -> None:
        """Remove files that were written just now, unless another window may name them."""
        with contextlib.suppress(ResultsError, OSError):
            self._refuse_foreign_changes()
            for name in files:
                (self.folder / name).unlink()

    def _refuse_foreign_changes(self) -> None:
        path = self.folder / SESSION_FILE
        if (file_sha256(path) if path.is_file() else "") != self._digest:
            raise ResultsError(
                f"The session in {self.folder} was changed or removed by another window or "
                "program, so nothing more is saved there; open it again, or choose another folder."
            )

    def _free_run(self, saliency: Saliency, entities: Mapping[str, int | str]) -> int | None:
        """Return the first number under which no file of a map lies, finished or not."""
        for run in itertools.chain([None], itertools.count(2)):
            names = saliency_files(
                self._case.subject,
                saliency.request,
                saliency.sequences,
                visit=self._case.visit,
                run=run,
                **entities,  # type: ignore[arg-type]
            )
            if not any((self.folder / name).exists() for name in every_name(names)):
                break
        return run

    def _save_mask(self, name: str, mask: NDArray[np.bool_]) -> str:
        file = _free_name(
            self.folder,
            lambda run: mask_stem(
                self._case.subject, visit=self._case.visit, region=_entity(name), run=run
            ),
        )
        data = mask.astype(np.uint8)
        write(self.folder, {file: image_writer(data, self._case.affine, space_code(self._case))})
        return file


def _save_images(folder: Path, case: Case) -> tuple[ImageRecord, ...]:
    """Record each image's file; of an image that has none, write one."""
    images = []
    for number, sequence in enumerate(case.sequences):
        path, digest = case.paths[number], case.sha256[number]
        if path is not None:
            file = _file_record(folder, path, digest or file_sha256(path))
        else:
            name = f"{image_stem(case.subject, label(sequence), visit=case.visit)}.nii.gz"
            writer = image_writer(case.data[number], case.affine, space_code(case))
            file = _made_here(folder, name, writer)
        images.append(ImageRecord(sequence, file))
    return tuple(images)


def _save_reference(
    folder: Path, case: Case, reference: Path | NDArray[np.bool_] | None
) -> FileRecord | None:
    if reference is None:
        return None
    if isinstance(reference, Path):
        return _file_record(folder, reference, file_sha256(reference))
    writer = image_writer(reference.astype(np.uint8), case.affine, space_code(case))
    stem = mask_stem(case.subject, visit=case.visit, desc="reference")
    return _made_here(folder, f"{stem}.nii.gz", writer)


def _made_here(folder: Path, name: str, writer: Callable[[Path], None]) -> FileRecord:
    (path,) = write(folder, {name: writer})
    return replace(_file_record(folder, path, file_sha256(path)), made_here=True)


def _checkpoint_record(folder: Path, model: SegmentationModel, device: str) -> CheckpointRecord:
    known = model.path is not None and bool(model.sha256)
    file = _file_record(folder, model.path, model.sha256) if model.path and known else None
    return CheckpointRecord(model.profile.name, device, file)


def _file_record(folder: Path, path: Path, digest: str) -> FileRecord:
    absolute = os.path.abspath(path)  # noqa: PTH100 - links as they are
    try:
        relative = Path(os.path.relpath(absolute, folder.absolute())).as_posix()
    except ValueError:  # another drive
        relative = None
    return FileRecord(path.name, digest, absolute, relative)


def _identity(checkpoint: CheckpointRecord) -> str:
    return checkpoint.name if checkpoint.file is None else checkpoint.file.sha256


def _entity(name: str) -> str:
    """Return a region's name as file names know it; the full name stands in ``session.json``."""
    return bids_label(name) or "unnamed"


def _free_name(folder: Path, stem: Callable[[int | None], str]) -> str:
    names = (f"{stem(run)}.nii.gz" for run in itertools.chain([None], itertools.count(2)))
    return next(name for name in names if not (folder / name).exists())


def _with_sidecars(paths: Iterable[Path]) -> list[Path]:
    return [file for path in paths for file in (path, path.with_name(sidecar_name(path.name)))]


def _digests(paths: Iterable[Path]) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in paths}
