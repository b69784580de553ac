"""A session as it grows: first the files of what is new, whole, then ``session.json`` names them.

Whenever the program is stopped, the folder holds either the session as it was or the session with
what was new: ``session.json`` is replaced in one step, and what it does not name does not count.
What it named once and does not any more is removed if it was written since it was begun or opened
(:mod:`~napari_ies.results.session.own_files`); what stays is listed as obsolete: files of earlier
days, and all files of a result of which somebody changed one.
"""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import ResultsError
from napari_ies.regular_files import file_sha256, sha256_of
from napari_ies.results.session.document import session_text
from napari_ies.results.session.files import SessionFiles
from napari_ies.results.session.record import (
    FORMAT,
    FORMAT_VERSION,
    SESSION_FILE,
    ContextEntry,
    MapEntry,
    NoteEntry,
    SessionEntry,
    VerdictEntry,
)
from napari_ies.results.storage.staging import finish_leftovers
from napari_ies.results.storage.writing import prepare, text_writer, write
from napari_ies.segmentation.subject import as_subject
from napari_ies.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.results.session.files import TableWithSidecar
    from napari_ies.results.session.record import CheckpointEntry
    from napari_ies.results.session.saved import Session
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation.segmentation import Segmentation
    from napari_ies.segmentation.verdicts import Verdict


class SessionGoneError(ResultsError):
    """The folder of a session, or its ``session.json``, is not there any more."""


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

    def __init__(self, folder: Path, case: Case, record: SessionEntry) -> None:
        self.folder = folder
        self.record = record
        self._files = SessionFiles(folder, case)
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
        reference_sha256: str = "",
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
        reference_sha256
            SHA-256 of that file when it was read; empty for that of the file as it is now.

        Raises
        ------
        ResultsError
            If a session is there already, or the disk refuses.
        """
        folder = prepare(folder, [SESSION_FILE])
        writer = cls(folder, case, _nothing_yet(case))
        try:
            marked = writer._files.segmentation(segmentation, model, reference, reference_sha256)
            writer._put(
                images=writer._files.images(),
                checkpoints=[writer._files.checkpoint(model, device)],
                segmentation=marked,
            )
        except ResultsError:
            writer._files.own.remove_all()
            raise
        return writer

    @classmethod
    def resume(cls, session: Session, case: Case) -> SessionWriter:
        """Go on with a session that was opened; remove what writes left that were cut short.

        The session is as it was read, the case as `Session.load_case` returned it.

        Raises
        ------
        ResultsError
            If it was changed since it was read.
        """
        writer = cls(session.folder, case, session.record)
        writer._digest, writer._masks = session.digest, dict(session.regions)
        # What could not be read stays named, so that it counts again once its file is back.
        writer._unread_regions = tuple(
            one.name for one in session.record.regions if one.name not in session.regions
        )
        writer._refuse_foreign_changes()
        finish_leftovers(session.folder)
        return writer

    def add_map(
        self,
        subject: int | str,
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
        subject = as_subject(subject)
        checkpoints, number = self._with_checkpoint(model)
        files = self._files.map(subject, saliency, model)
        added = MapEntry.model_construct(
            subject=subject,
            request=request or saliency.request,
            checkpoint=number,
            files=files,
        )
        try:
            self._put(checkpoints=checkpoints, maps=[*self.record.maps, added])
        except ResultsError:
            self._files.own.remove(files)
            raise

    def drop_maps(self, numbers: Iterable[int]) -> None:
        """Take maps out of the session, by their place in it, and remove files it wrote of them."""
        dropped = set(numbers)
        kept = [one for n, one in enumerate(self.record.maps) if n not in dropped]
        if len(kept) < len(self.record.maps):
            gone = [one.files for n, one in enumerate(self.record.maps) if n in dropped]
            self._put_without(*gone, maps=kept)

    def add_context(
        self, subject: int | str, written: TableWithSidecar, model: SegmentationModel
    ) -> None:
        """Add a finished curve of context, as its files are to hold it; see :meth:`add_map`."""
        subject = as_subject(subject)
        checkpoints, number = self._with_checkpoint(model)
        files = self._files.context(subject, written)
        added = ContextEntry.model_construct(subject=subject, checkpoint=number, files=files)
        try:
            self._put(checkpoints=checkpoints, contexts=[*self.record.contexts, added])
        except ResultsError:
            self._files.own.remove(files)
            raise

    def drop_contexts(self, numbers: Iterable[int]) -> None:
        """Take curves of context out of the session; see :meth:`drop_maps`."""
        dropped, every = set(numbers), self.record.contexts
        if dropped:
            kept = [one for n, one in enumerate(every) if n not in dropped]
            gone = [one.files for n, one in enumerate(every) if n in dropped]
            self._put_without(*gone, contexts=kept)

    def set_regions(self, regions: Mapping[str, NDArray[np.bool_]]) -> None:
        """Keep these regions, bool (X, Y, Z) by name, in place of those before.

        Raises
        ------
        ResultsError
            If the disk refuses; the session is then as it was.
        """
        saved, written = {one.name: one for one in self.record.regions}, []
        for name, mask in regions.items():
            if name in saved and np.array_equal(self._masks.get(name, ()), mask):
                continue
            saved[name] = self._files.region(name, mask)
            written.append(saved[name].file)
        names = dict.fromkeys((*self._unread_regions, *regions))
        entries = [saved[name] for name in names]
        if entries != self.record.regions:
            gone = [{one.file: one.sha256} for one in self.record.regions if one not in entries]
            try:
                self._put_without(*gone, regions=entries)
            except ResultsError:
                self._files.own.remove(written)
                raise
        self._masks = dict(regions)

    def set_notes(self, notes: Mapping[Any, str]) -> None:
        """Keep these notes, one text per lesion or region, in place of those before."""
        entries = [
            NoteEntry.model_construct(subject=as_subject(subject), text=text)
            for subject, text in notes.items()
            if text
        ]
        if entries != self.record.notes:
            self._put(notes=entries)

    def set_verdicts(self, verdicts: Mapping[Any, Verdict]) -> None:
        """Keep these verdicts, one per lesion or region, in place of those before."""
        entries = [
            VerdictEntry.model_construct(subject=as_subject(subject), verdict=verdict)
            for subject, verdict in verdicts.items()
        ]
        if entries != self.record.verdicts:
            self._put(verdicts=entries)

    def set_view(self, request: SaliencyRequest | None, selected: int | str | None) -> None:
        """Keep the settings of the last explanation and what was looked at last."""
        if (request, selected) != (self.record.request, self.record.selected):
            self._put(request=request, selected=None if selected is None else as_subject(selected))

    @property
    def gone(self) -> bool:
        """Whether the session was removed or moved away since it was written."""
        return not os.path.lexists(self.folder / SESSION_FILE)

    def _with_checkpoint(self, model: SegmentationModel) -> tuple[list[CheckpointEntry], int]:
        """Return the checkpoints with that of a network, and its place among them."""
        checkpoints = self.record.checkpoints
        own = self._files.checkpoint(model, checkpoints[0].device)
        known = [one.identity for one in checkpoints]
        if own.identity in known:
            return checkpoints, known.index(own.identity)
        return [*checkpoints, own], len(known)

    def _put(self, **entries: object) -> None:
        self._refuse_foreign_changes()
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        changed = {**entries, "saved": now, "versions": versions()}
        record = self.record.model_copy(update=changed)
        text = session_text(record)
        write(self.folder, {SESSION_FILE: text_writer(text)})
        self.record, self._digest = record, sha256_of(text.encode())

    def _put_without(self, *gone: Mapping[str, str], **entries: object) -> None:
        """Put entries that name some files no more, then remove its own; one result at a time.

        They are listed as obsolete, so that a person who finds them knows what they are.
        """
        obsolete = dict(self.record.obsolete)
        for files in gone:
            obsolete.update(files)
        self._put(obsolete=obsolete, **entries)
        for files in gone:
            self._files.own.remove(files)
        # Listed with the content that it had, also if somebody changed it.
        named = set(self.record.own_files)
        left = {
            name: digest
            for name, digest in obsolete.items()
            if os.path.lexists(self.folder / name) and name not in named
        }
        if left != obsolete:
            with contextlib.suppress(ResultsError):
                self._put(obsolete=left)

    def _refuse_foreign_changes(self) -> None:
        path = self.folder / SESSION_FILE
        if self._digest and self.gone:
            raise SessionGoneError(
                f"The session in {self.folder} was removed or moved away, so nothing more is saved "
                "there; put it back, or save in another folder."
            )
        try:
            found = file_sha256(path)
        except FileNotFoundError:
            found = ""
        except OSError:  # something else has taken its name
            found = "other"
        if found != self._digest:
            raise ResultsError(
                f"The session in {self.folder} was changed or removed by another window or "
                "program, so nothing more is saved there; open it again, or choose another folder."
            )


def _nothing_yet(case: Case) -> SessionEntry:
    """Return what is known of a session before anything of it is written."""
    return SessionEntry.model_construct(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        subject=case.subject,
        visit=case.visit or None,
        request=None,
        selected=None,
        notes=[],
        verdicts=[],
        regions=[],
        maps=[],
    )
