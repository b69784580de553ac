"""The words of ``session.json``: what is written there, and how it is read back and checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ies.errors import ResultsError, SaliencyError
from napari_ies.regular_files import file_sha256
from napari_ies.results.storage import expected_content, read_sidecar
from napari_ies.saliency.request import SaliencyRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

SESSION_FILE = "session.json"
FORMAT = "napari-ies session"
FORMAT_VERSION = 1

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
        SHA-256 of each file that was the session's and is to be removed, by name.
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

    @property
    def named_files(self) -> frozenset[str]:
        """Names of all files that count for the session, its own and others'."""
        others = [image.file for image in self.images]
        others += [one.file for one in self.checkpoints if one.file is not None]
        if self.reference is not None:
            others.append(self.reference)
        return frozenset((SESSION_FILE, *self.own_files, *(file.name for file in others)))


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


def is_session(path: str | Path) -> bool:
    """Whether a folder, or a ``session.json``, is a session of napari-ies; reads that file only."""
    try:
        return bool(read_sidecar(_json_of(path)).get("Format") == FORMAT)
    except ResultsError:
        return False


def read_summary(path: str | Path) -> SessionSummary:
    """Read what a session holds, without opening or checking its files.

    Parameters
    ----------
    path
        The folder, or the ``session.json`` in it.

    Raises
    ------
    ResultsError
        If it is no session, is damaged, or was written by a newer version.
    """
    path = _json_of(path)
    if not path.is_file():
        raise ResultsError(
            f"There is no session in {path.parent}; expected a folder with the {SESSION_FILE} "
            "that napari-ies writes."
        )
    content = read_sidecar(path)
    if content.get("Format") != FORMAT:
        raise ResultsError(
            f"{path} was not written by napari-ies as a session; choose a folder that napari-ies "
            "saved a session in."
        )
    version = content.get("FormatVersion")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ResultsError(
            f"{path} was written by a newer napari-ies (format {version}, this one reads "
            f"{FORMAT_VERSION}); update napari-ies to open it."
        )
    with expected_content(path):
        try:
            return SessionSummary(path.parent, from_json(content), file_sha256(path))
        except SaliencyError as error:
            raise ValueError(str(error)) from error


def to_json(record: SessionRecord) -> dict[str, Any]:
    """Return a record in the words of ``session.json``."""
    return {
        "Format": FORMAT,
        "FormatVersion": FORMAT_VERSION,
        "Saved": record.saved,
        "Subject": record.subject,
        "Visit": record.visit or None,
        "Images": [
            {"Sequence": image.sequence, "File": _file_to_json(image.file)}
            for image in record.images
        ],
        "Checkpoints": [
            {"Name": one.name, "Device": one.device, "File": _file_to_json(one.file)}
            for one in record.checkpoints
        ],
        "Segmentation": {
            "Threshold": record.threshold,
            "SmallestLesion": record.smallest,
            "Forward": record.forward,
            "Reference": _file_to_json(record.reference),
            "Files": dict(record.segmentation),
        },
        "Explanation": None if record.request is None else asdict(record.request),
        "Selected": record.selected,
        "Notes": [{"Subject": subject, "Text": text} for subject, text in record.notes],
        "Regions": [
            {"Name": name, "File": file, "SHA256": digest} for name, file, digest in record.regions
        ],
        "Maps": [
            {
                "Subject": one.subject,
                "Checkpoint": one.checkpoint,
                "Request": asdict(one.request),
                "Files": dict(one.files),
            }
            for one in record.maps
        ],
        "Obsolete": dict(record.obsolete),
        "Versions": dict(record.versions),
    }


def from_json(content: Mapping[str, Any]) -> SessionRecord:
    """Read a record from the words of ``session.json``.

    Raises
    ------
    KeyError, TypeError, ValueError, SaliencyError
        If something is missing or impossible.
    """
    segmentation, request = content["Segmentation"], content["Explanation"]
    selected = content["Selected"]
    record = SessionRecord(
        subject=_text(content["Subject"]),
        saved=datetime.fromisoformat(content["Saved"]).astimezone().isoformat(),
        images=tuple(
            ImageRecord(_text(one["Sequence"]), _needed(one["File"])) for one in content["Images"]
        ),
        checkpoints=tuple(
            CheckpointRecord(_text(one["Name"]), _text(one["Device"]), _file(one["File"]))
            for one in content["Checkpoints"]
        ),
        threshold=float(segmentation["Threshold"]),
        smallest=int(segmentation["SmallestLesion"]),
        forward=_text(segmentation["Forward"]),
        reference=_file(segmentation["Reference"]),
        segmentation=_own_files(segmentation["Files"]),
        request=None if request is None else SaliencyRequest(**request),
        selected=None if selected is None else _subject(selected),
        notes=tuple((_subject(one["Subject"]), _text(one["Text"])) for one in content["Notes"]),
        regions=tuple(
            (_text(one["Name"]), _own_name(one["File"]), _text(one["SHA256"]))
            for one in content["Regions"]
        ),
        # Sessions of 0.1 have none.
        obsolete=_digests_by_name(content.get("Obsolete", {})),
        versions=tuple((str(k), str(v)) for k, v in content["Versions"].items()),
        visit=_text(content["Visit"]) if content.get("Visit") is not None else "",
    )
    if not record.images or not record.checkpoints:
        raise ValueError("it names no image or no checkpoint")
    maps = tuple(
        MapRecord(
            _subject(one["Subject"]),
            SaliencyRequest(**one["Request"]),
            range(len(record.checkpoints))[one["Checkpoint"]],
            _own_files(one["Files"]),
        )
        for one in content["Maps"]
    )
    return replace(record, maps=maps)


def session_folder(path: str | Path) -> Path:
    """Return the absolute folder of a session, given that or the ``session.json`` in it."""
    return _json_of(path).parent.absolute()


def _json_of(path: str | Path) -> Path:
    path = Path(path).expanduser()
    return path if path.name == SESSION_FILE else path / SESSION_FILE


def _file_to_json(file: FileRecord | None) -> dict[str, Any] | None:
    if file is None:
        return None
    return {
        "Name": file.name,
        "SHA256": file.sha256,
        "Absolute": file.absolute,
        "Relative": file.relative,
        "MadeHere": file.made_here,
    }


def _file(content: Any) -> FileRecord | None:
    if content is None:
        return None
    relative, made_here = content["Relative"], content["MadeHere"] is True
    return FileRecord(
        _own_name(content["Name"]) if made_here else _text(content["Name"]),
        _text(content["SHA256"]),
        _text(content["Absolute"]),
        None if relative is None else _text(relative),
        made_here,
    )


def _needed(content: Any) -> FileRecord:
    file = _file(content)
    if file is None:
        raise ValueError("an image has no file")
    return file


def _own_files(content: Any) -> dict[str, str]:
    if not content:
        raise ValueError("a result has no file")
    return _digests_by_name(content)


def _digests_by_name(content: Any) -> dict[str, str]:
    return {_own_name(name): _text(digest) for name, digest in content.items()}


def _own_name(name: Any) -> str:
    """Take the name of a file in the session's folder; nothing that leads out of it."""
    if _base(_text(name)) != name:
        raise ValueError(f"{name!r} is not the name of a file")
    return str(name)


def _base(name: str) -> str:
    """Return the last part of a path, whichever system it was written on."""
    last = name.replace("\\", "/").replace(":", "/").rpartition("/")[2]
    return "" if last in (".", "..") else last


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise TypeError(f"{value!r} is not a text")
    return value


def _subject(value: Any) -> Subject:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"{value!r} is neither a lesion nor a region")
    return value
