"""Recording: one reading on its way to disk. Runs in a thread of its own and knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_ies.errors import ResultsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.checkpoints.model import SegmentationModel
    from napari_ies.results.session import Session, SessionSummary, SessionWriter
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.viewer.reading import Answer, Key, Reading, Subject


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a reading holds at one moment, taken on the GUI thread.

    Parameters
    ----------
    answers
        The finished maps, with the network of each.
    regions, notes
        Masks by name, texts by subject.
    request, selected
        The settings asked for last, and what is looked at.
    """

    answers: tuple[tuple[Answer, SegmentationModel], ...]
    regions: Mapping[str, NDArray]  # type: ignore[type-arg]
    notes: Mapping[Subject, str]
    request: SaliencyRequest
    selected: Subject | None


@dataclass(eq=False)
class Recording:
    """A reading and its session on disk.

    Parameters
    ----------
    reading
        What is saved.
    roots
        Where its session's folder is made: in the first of them that lets it be written.
    device
        Name of the device that was asked for.
    writer
        Adds to the session; None until it was begun.
    known
        The maps in the session, in its order: what each answers, and the map itself, or None for
        one that has not been read back yet; without a key what is missing or changed on disk.
    """

    reading: Reading
    roots: tuple[Path, ...]
    device: str
    writer: SessionWriter | None = None
    known: list[tuple[Key | None, Saliency | None]] = field(default_factory=list)
    refused: str = ""
    """Why the first root was not taken, in a few words; empty if it was."""

    @property
    def folder(self) -> Path | None:
        """Where the session lies, once there is one."""
        return None if self.writer is None else self.writer.folder

    def begin(self) -> SessionSummary | None:
        """Save what was segmented; return an earlier session of the same case and checkpoint.

        Raises
        ------
        ResultsError
            If nothing can be saved in any of the roots.
        """
        # Here, not above: the panel opens without what only saving needs.
        from napari_ies.results.session import discard_superseded, find_session

        case, model = self.reading.case, self.reading.model
        images = dict(zip(case.sequences, case.sha256, strict=True))
        found = [find_session(root, images, model.sha256) for root in self.roots]
        earlier = [summary for summary in found if summary is not None]
        self.known, self.refused = [], ""
        *others, last = self.roots
        for root in others:
            try:
                self.writer = self._begin_in(root)
                break
            except ResultsError as error:
                cause = error.__cause__
                self.refused = self.refused or getattr(cause, "strerror", None) or str(cause)
        else:
            self.writer = self._begin_in(last)
        discard_superseded(self.writer.folder, self.writer.record)
        return max(earlier, key=lambda summary: summary.saved_at, default=None)

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

    def save(self, now: Snapshot) -> bool:
        """Bring the session on disk up to a snapshot; return whether anything was new.

        Raises
        ------
        ResultsError
            If the disk refuses. The session is whole, and the next snapshot tries again.
        """
        if self.writer is None or self.writer.made_way:
            self.begin()
        writer = self.writer
        assert writer is not None  # noqa: S101 - begun just now
        before = writer.record
        writer.set_regions(now.regions)
        writer.set_notes(now.notes)
        held = {answer.key: answer.saliency for answer, _ in now.answers}
        forgotten = self._forgotten(held)
        known = {key for number, (key, _) in enumerate(self.known) if number not in forgotten}
        for answer, model in now.answers:
            if answer.key not in known:
                writer.add_map(answer.subject, answer.saliency, model, answer.request)
                self.known.append((answer.key, answer.saliency))
        # Last, so that at no moment neither a map nor the one in its place is there.
        writer.drop_maps(forgotten)
        self.known = [one for number, one in enumerate(self.known) if number not in forgotten]
        writer.set_view(now.request, now.selected)
        return writer.record is not before

    def _begin_in(self, root: Path) -> SessionWriter:
        from napari_ies.results.session import SessionWriter, new_session_folder

        reading = self.reading
        folder = new_session_folder(root, reading.case.subject, reading.case.visit)
        try:
            return SessionWriter.begin(
                folder,
                reading.segmentation,
                case=reading.case,
                model=reading.model,
                device=self.device,
                reference=reading.reference,
            )
        except ResultsError:
            _remove_unfinished(folder, reading.case.subject)
            raise

    def end(self) -> None:
        """Leave nothing behind of layers without files that were segmented and no more."""
        writer = self.writer
        if writer is None or writer.record.holds_work:
            return
        if any(image.file.made_here for image in writer.record.images):
            writer.discard()
            self.writer = None

    def give_way(self) -> None:
        """Remove a session that holds nothing but a segmentation; keep any other."""
        if self.writer is not None and not self.writer.record.holds_work:
            self.writer.discard()
            self.writer = None

    def _forgotten(self, held: Mapping[Key, Saliency]) -> set[int]:
        """Return which maps the panel forgot, or holds another one in place of."""
        # A map that was read back since is the one that was saved.
        self.known = [
            (key, held.get(key) if key is not None and saliency is None else saliency)
            for key, saliency in self.known
        ]
        return {
            number
            for number, (key, saliency) in enumerate(self.known)
            if key is not None and saliency is not None and held.get(key) is not saliency
        }


def _remove_unfinished(folder: Path, subject: str) -> None:
    """Remove what was written of a session into a folder that was empty before."""
    try:
        for path in (*folder.glob(f"sub-{subject}_*"), folder / "dataset_description.json"):
            path.unlink(missing_ok=True)
        folder.rmdir()
    except OSError:  # the disk refuses this too, or somebody put something there
        return
