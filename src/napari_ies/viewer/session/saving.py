"""Recording: one reading on its way to disk. Runs in a thread of its own and knows no Qt."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.errors import ResultsError
from napari_ies.regular_files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.results.session import Session, SessionSummary, SessionWriter
    from napari_ies.results.session.record import SessionEntry
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.segmentation.subject import Subject
    from napari_ies.segmentation.verdicts import Verdict
    from napari_ies.viewer.state.answers import Answer, Key
    from napari_ies.viewer.state.curves import Curve
    from napari_ies.viewer.state.reading import Reading


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a reading holds at one moment, taken on the GUI thread."""

    answers: tuple[tuple[Answer, SegmentationModel | None], ...]
    """The finished maps, with the network of each; None for one that is not loaded any more."""
    curves: tuple[tuple[Curve, SegmentationModel | None], ...]
    """Likewise the finished curves."""
    regions: Mapping[str, NDArray]  # type: ignore[type-arg]
    """Masks by name."""
    notes: Mapping[Subject, str]
    """Texts by subject."""
    verdicts: Mapping[Subject, Verdict]
    """By subject."""
    request: SaliencyRequest
    """The settings asked for last."""
    selected: Subject | None
    """What is looked at."""

    @property
    def holds_work(self) -> bool:
        """Whether there is more than a segmentation, which could be computed again."""
        said = self.verdicts or any(self.notes.values())
        return bool(self.answers or self.curves or self.regions or said)


@dataclass(frozen=True)
class Found:
    """What lies where a session is to be saved."""

    earlier: SessionSummary | None
    """The session of the same case and checkpoint that was saved last, if there is one."""
    unread: tuple[str, ...]
    """A sentence for each session that cannot be read."""


@dataclass(eq=False)
class Recording:
    """A reading and its session on disk."""

    reading: Reading
    """What is saved."""
    roots: tuple[Path, ...]
    """Where its session's folder is made: in the first of them that lets it be written."""
    device: str
    """Name of the device that was asked for."""
    before: frozenset[Path] = frozenset()
    """Where the same reading was saved until now, at other thresholds, if anywhere."""
    writer: SessionWriter | None = None
    """Adds to the session; None until it was begun."""
    known: list[tuple[Key | None, int | None]] = field(default_factory=list)
    """The maps in the session, in its order: what each answers, and its revision, or None for one
    that has not been read back yet; without a key what is missing or changed on disk."""

    known_curves: list[Curve | None] = field(default_factory=list)
    """The curves in the session, in its order; None for what is missing or changed on disk."""
    planned: Path | None = None
    """Where its session will lie, as far as can be told before it is begun."""
    wanted: bool = False
    """Whether it is to begin though nothing that it holds is finished yet."""
    _reference_sha256: str = ""
    _news: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path | None:
        """Where the session lies, once there is one."""
        return None if self.writer is None else self.writer.folder

    @property
    def summary(self) -> SessionSummary | None:
        """What a person is told of the session, once there is one."""
        from napari_ies.results.session import SessionSummary

        writer = self.writer
        return None if writer is None else SessionSummary(writer.folder, writer.record, "")

    def take_news(self) -> list[str]:
        """Return what a person has not been told yet of where it is saved: sentences."""
        news, self._news = self._news, []
        return news

    def look(self) -> Found:
        """Look for an earlier session of the same case and checkpoint; write nothing.

        Those that were saved in before this are no earlier ones: it is the same work.
        """
        # Here, not above: the panel opens without what only saving needs.
        from napari_ies.results.provenance import data_digest
        from napari_ies.results.session import next_session_folder, sessions_in, shows

        case, model = self.reading.case, self.reading.model
        images = dict(zip(case.sequences, case.sha256, strict=True))
        values = {
            name: partial(data_digest, data)
            for name, data in zip(case.sequences, case.data, strict=True)
        }
        problems: list[str] = []
        earlier: list[SessionSummary] = []
        for root in self.roots:
            there, unread = sessions_in(root)
            problems += unread
            earlier += [
                one
                for one in there
                if one.record.holds_work
                and shows(one, images, values)
                and one.segmented_by(model.sha256)
                and one.folder not in self.before
            ]
            if self.planned is None:
                self.planned = next_session_folder(root, case.subject, case.visit)
        if isinstance(self.reading.reference, Path):
            # As it was read just now: the session may begin much later.
            with suppress(OSError):
                self._reference_sha256 = file_sha256(self.reading.reference)
        last = max(earlier, key=lambda summary: summary.saved_at, default=None)
        return Found(last, tuple(problems))

    def go_on(self, reading: Reading, before: frozenset[Path]) -> None:
        """Go on with the same lesions, which are there again; see ``before``."""
        self.reading, self.before = reading, before
        if self.writer is None:
            self.planned = None  # somebody else may have taken that folder meanwhile

    def resume(self, session: Session) -> bool:
        """Go on with a session that was opened.

        Raises
        ------
        ResultsError
            If it was changed since.
        """
        from napari_ies.results.session import SessionWriter

        self.writer = SessionWriter.resume(session, self.reading.case)
        return True

    def recognise(self, now: Snapshot) -> bool:
        """Take note of the maps that were read back, without saving anything.

        So that one that takes the place of another later is known to be new.
        """
        self._forgotten(_held(now))
        return False

    def lacks(self, now: Snapshot) -> bool:
        """Whether a snapshot holds a map, a note, a verdict or a region that is not saved."""
        if self.writer is None:
            return now.holds_work
        known = {key: revision for key, revision in self.known if key is not None}
        record = self.writer.record
        notes = {subject: text for subject, text in now.notes.items() if text}
        return (
            any(known.get(key, 0) not in (None, revision) for key, revision in _held(now).items())
            or notes != {one.subject: one.text for one in record.notes}
            or dict(now.verdicts) != {one.subject: one.verdict for one in record.verdicts}
            or set(now.regions) != {one.name for one in record.regions}
        )

    def save(self, now: Snapshot) -> bool:
        """Bring the session on disk up to a snapshot; return whether anything was new.

        It begins with the first snapshot that holds any work, or as soon as it is wanted. A session
        whose folder was removed is made again, if all that it held is in memory.

        Raises
        ------
        ResultsError
            If the disk refuses. The session is whole, and the next snapshot tries again.
        """
        if self.writer is not None and self.writer.gone:
            self._begin_again(now)
        elif self.writer is None:
            if not (now.holds_work or self.wanted):
                return False
            self._begin()
        writer = self.writer
        assert writer is not None  # noqa: S101 - begun just now
        before = writer.record
        writer.set_regions(now.regions)
        writer.set_notes(now.notes)
        writer.set_verdicts(now.verdicts)
        forgotten = self._forgotten(_held(now))
        known = {key for number, (key, _) in enumerate(self.known) if number not in forgotten}
        for answer, model in now.answers:
            if answer.key not in known and model is not None:
                writer.add_map(answer.subject, answer.saliency, model, answer.request)
                self.known.append((answer.key, answer.revision))
        # Last, so that at no moment neither a map nor the one in its place is there.
        writer.drop_maps(forgotten)
        self.known = [one for number, one in enumerate(self.known) if number not in forgotten]
        self._save_curves(writer, now)
        writer.set_view(now.request, now.selected)
        return writer.record is not before

    def _save_curves(self, writer: SessionWriter, now: Snapshot) -> None:
        """Add the curves that are new, then drop those that the panel forgot."""
        held = {curve for curve, _ in now.curves}
        known = {curve for curve in self.known_curves if curve is not None}
        for curve, model in now.curves:
            if curve not in known and model is not None:
                writer.add_context(curve.subject, self.reading.written(curve, model), model)
                self.known_curves.append(curve)
        forgotten = {n for n, one in enumerate(self.known_curves) if one and one not in held}
        writer.drop_contexts(forgotten)
        self.known_curves = [one for n, one in enumerate(self.known_curves) if n not in forgotten]

    def _begin(self) -> None:
        """Begin the session in the first root that lets it be written; else refuse."""
        self.known, self.known_curves = [], []
        *others, last = self.roots
        refused = ""
        for root in others:
            try:
                self.writer = self._begin_in(root)
                break
            except ResultsError as error:
                cause = error.__cause__
                refused = refused or getattr(cause, "strerror", None) or str(cause or error)
        else:
            self.writer = self._begin_in(last)
        if refused:
            self._news.append(
                f"Nothing can be saved beside the images ({refused}), so this session is saved in "
                f"{self.folder}."
            )

    def _begin_again(self, now: Snapshot) -> None:
        """Make a session whole again whose folder was removed, if all of it is in memory."""
        from napari_ies.results.session import SessionGoneError

        assert self.writer is not None  # noqa: S101 - else there was nothing to remove
        before = self.writer.folder
        lacking = self._lacking(now, self.writer.record)
        if lacking:
            raise SessionGoneError(
                f"{before} was removed or moved away, and {lacking}, so the session cannot be made "
                "whole again; put the folder back, or save in another folder what there is."
            )
        self._begin()
        where = "there" if self.folder == before else f"in {self.folder}"
        self._news.append(
            f"The session in {before} was removed, so all of it was saved again {where}."
        )

    def _lacking(self, now: Snapshot, record: SessionEntry) -> str:
        """Say what of the session is not in memory, or nothing."""
        case, model = self.reading.case, self.reading.model
        held = {answer.key for answer, _ in now.answers}
        if any(key is None or (one is None and key not in held) for key, one in self.known):
            return "not all of its maps were read back"
        if None in self.known_curves:
            return "not all of its curves were read back"
        if any(network is None for _, network in (*now.answers, *now.curves)):
            return "the network of one of its maps or curves is not loaded any more"
        if {one.name for one in record.regions} - set(now.regions):
            return "not all of its regions were read back"
        if case.missing:
            return f"its image of {case.missing[0]} is not there"
        file = record.checkpoints[0].file
        if file is not None and (model.path is None or model.sha256 != file.sha256):
            return f"its checkpoint {file.name} is not there"
        return ""

    def _begin_in(self, root: Path) -> SessionWriter:
        from napari_ies.results.session import SessionWriter, new_session_folder

        reading = self.reading
        return SessionWriter.begin(
            new_session_folder(root, reading.case.subject, reading.case.visit),
            reading.segmentation,
            case=reading.case,
            model=reading.model,
            device=self.device,
            reference=reading.reference,
            reference_sha256=self._reference_sha256,
        )

    def _forgotten(self, held: Mapping[Key, int]) -> set[int]:
        """Return which maps the panel forgot, or holds another one in place of."""
        # A map that was read back since is the one that was saved.
        self.known = [
            (key, held.get(key) if key is not None and revision is None else revision)
            for key, revision in self.known
        ]
        return {
            number
            for number, (key, revision) in enumerate(self.known)
            if key is not None and revision is not None and held.get(key) != revision
        }


def _held(now: Snapshot) -> dict[Key, int]:
    return {answer.key: answer.revision for answer, _ in now.answers}
