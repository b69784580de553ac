"""What a session knows: its images, networks, lesions, maps, regions and notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_ies.saliency.request import SaliencyRequest

SESSION_FILE = "session.json"

Subject = int | str
"""A lesion's label, or the name of a region."""


@dataclass(frozen=True)
class FileRecord:
    """A file that the session refers to, wherever it lies.

    Parameters
    ----------
    name
        Its name.
    sha256
        SHA-256 in hexadecimal.
    absolute
        Where it was.
    relative
        Where it was, as seen from the session's folder; None if no relative path leads there.
    made_here
        Whether the session wrote it into its folder, of a layer that had no file.
    """

    name: str
    sha256: str
    absolute: str
    relative: str | None
    made_here: bool = False


@dataclass(frozen=True)
class ImageRecord:
    """A sequence and its file."""

    sequence: str
    file: FileRecord


@dataclass(frozen=True)
class CheckpointRecord:
    """A network: its name, the device that was asked for, its file (None if made in memory)."""

    name: str
    device: str
    file: FileRecord | None


@dataclass(frozen=True)
class MapRecord:
    """A finished map: whose, of which request, by which checkpoint, in which files.

    Parameters
    ----------
    subject
        Lesion or region.
    request
        What was asked for.
    checkpoint
        Index among the session's checkpoints.
    files
        SHA-256 of each file, by name; the first is a map.
    """

    subject: Subject
    request: SaliencyRequest
    checkpoint: int
    files: Mapping[str, str]


@dataclass(frozen=True)
class SessionRecord:
    """Everything that ``session.json`` says.

    Parameters
    ----------
    subject
        Label of the patient.
    saved
        When, as ISO 8601 with the offset from UTC.
    images, checkpoints
        What was segmented, and with which networks; the first one segmented.
    threshold, smallest, forward, reference
        Settings of the segmentation.
    segmentation
        SHA-256 of each of its files, by name.
    request
        The settings of the last explanation, or None.
    selected
        The lesion or region looked at last, or None.
    notes
        Text of each subject that has one.
    regions
        File of each region's mask, by the region's name, with its SHA-256.
    maps
        In the order in which they were finished.
    obsolete
        SHA-256 of each file that was the session's, is not used any more and was left, by name.
    versions
        Of the programs that wrote it.
    visit
        Label of the visit; empty if there is none.
    """

    subject: str
    saved: str
    images: tuple[ImageRecord, ...]
    checkpoints: tuple[CheckpointRecord, ...]
    threshold: float
    smallest: int
    forward: str
    reference: FileRecord | None
    segmentation: Mapping[str, str]
    request: SaliencyRequest | None = None
    selected: Subject | None = None
    notes: tuple[tuple[Subject, str], ...] = ()
    regions: tuple[tuple[str, str, str], ...] = ()
    maps: tuple[MapRecord, ...] = ()
    obsolete: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[tuple[str, str], ...] = ()
    visit: str = ""

    @property
    def holds_work(self) -> bool:
        """Whether it holds more than a segmentation, which could be computed again."""
        return bool(self.maps or self.notes or self.regions)

    @property
    def own_files(self) -> tuple[str, ...]:
        """Names of the files that the session wrote into its folder, without ``session.json``."""
        kept = [image.file for image in self.images]
        if self.reference is not None:
            kept.append(self.reference)
        return tuple(
            dict.fromkeys(
                [
                    *self.segmentation,
                    *(name for one in self.maps for name in one.files),
                    *(file for _, file, _ in self.regions),
                    *(file.name for file in kept if file.made_here),
                ]
            )
        )


@dataclass(frozen=True)
class SessionSummary:
    """What a person is told of a session before it is opened.

    Parameters
    ----------
    folder
        Where it lies.
    record
        What its ``session.json`` says.
    digest
        SHA-256 of that file.
    """

    folder: Path
    record: SessionRecord
    digest: str

    @property
    def saved_at(self) -> datetime:
        """When it was saved."""
        return datetime.fromisoformat(self.record.saved)

    @property
    def text(self) -> str:
        """What it holds, such as "3 maps and 1 note, saved 2026-11-22 at 14:05"."""
        counts = (
            (len(self.record.maps), "map"),
            (len(self.record.notes), "note"),
            (len(self.record.regions), "region"),
        )
        held = [f"{count} {word}{'s' if count != 1 else ''}" for count, word in counts if count]
        *some, last = held or ["no map yet"]
        holds = f"{', '.join(some)} and {last}" if some else last
        return f"{holds}, saved {self.saved_at:%Y-%m-%d at %H:%M}"

    def is_of(self, images: Mapping[str, str], checkpoint: str) -> bool:
        """Whether it belongs to these images and this checkpoint.

        Parameters
        ----------
        images
            SHA-256 of each image, by sequence.
        checkpoint
            SHA-256 of the checkpoint that segments.
        """
        own = {image.sequence: image.file.sha256 for image in self.record.images}
        file = self.record.checkpoints[0].file
        known = all(images.values()) and bool(checkpoint)
        return known and own == dict(images) and file is not None and file.sha256 == checkpoint
