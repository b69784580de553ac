"""What a session knows, as ``session.json`` holds it: checked as a whole before it is used."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    PlainSerializer,
    model_validator,
)
from pydantic.alias_generators import to_pascal

from napari_ies.errors import SaliencyError
from napari_ies.printable import counted, joined
from napari_ies.results.session.values import (
    AnySubject,
    Digest,
    FilePath,
    Files,
    Name,
    Note,
    OwnName,
    PatientLabel,
    Whole,
    fault,
    moment,
    own_name,
)
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.segmentation.verdicts import Verdict  # noqa: TC001 - pydantic asks for it

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SESSION_FILE = "session.json"
FORMAT = "napari-ies session"
FORMAT_VERSION = 1


class _Entry(BaseModel):
    """Entries that a later version adds are no fault.

    What the program makes itself comes from ``model_construct`` and ``model_copy``, and is checked
    with all the rest before it is written.
    """

    model_config = ConfigDict(
        strict=True, frozen=True, allow_inf_nan=False, alias_generator=to_pascal
    )


class FileEntry(_Entry):
    """A file that the session refers to."""

    name: Name
    sha256: Digest = Field(alias="SHA256")
    absolute: FilePath
    """Where it was."""
    relative: FilePath | None
    """Where it was, as seen from the session's folder; None if no relative path leads there."""
    made_here: bool
    """Whether the session wrote it into its folder, of a layer that had no file."""

    @model_validator(mode="after")
    def _lies_in_the_folder(self) -> FileEntry:
        if self.made_here:
            own_name(self.name)
        return self

    @classmethod
    def of(cls, folder: Path, path: Path, digest: str, *, made_here: bool = False) -> FileEntry:
        """Record where a file with some SHA-256 lies, as seen from the folder of a session."""
        absolute = os.path.abspath(path)  # noqa: PTH100 - links as they are
        try:
            relative = Path(os.path.relpath(absolute, folder.absolute())).as_posix()
        except ValueError:  # another drive
            relative = None
        return cls.model_construct(
            name=path.name,
            sha256=digest,
            absolute=absolute,
            relative=relative,
            made_here=made_here,
        )


class ImageEntry(_Entry):
    """A sequence and its file."""

    sequence: Name
    file: FileEntry


class CheckpointEntry(_Entry):
    """A network; its file is null if it was made in memory."""

    name: Name
    device: Name
    """The device that was asked for."""
    file: FileEntry | None

    @property
    def identity(self) -> str:
        """What tells it from others: its content, or else its name."""
        return self.name if self.file is None else self.file.sha256


class SegmentationEntry(_Entry):
    """Settings of the segmentation, and its files with the SHA-256 of each."""

    threshold: Annotated[float, Field(ge=0, le=1)]
    smallest_lesion: Whole
    forward: Literal["sliding-window", "whole-volume"]
    reference: FileEntry | None
    files: Files


class RequestEntry(BaseModel):
    """The settings of a map, in the words of the program's ``SaliencyRequest``."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, extra="forbid")

    method: Literal["smoothgrad", "gradcam++"] = "smoothgrad"
    aggregation: Literal["mean", "sum", "max"] = "mean"
    n_samples: Whole = 50
    noise: Annotated[float, Field(ge=0)] = 0.05
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    forward: Literal["sliding-window", "whole-volume"] = "sliding-window"
    class_index: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    layer: Name | None = None
    tolerance: Annotated[float, Field(gt=0)] | None = None
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    noise_version: Annotated[int, Field(ge=1, le=2)] = 1
    """The first where none is named: there was no other."""

    @model_validator(mode="after")
    def _can_be_asked_for(self) -> RequestEntry:
        try:
            self.request()
        except SaliencyError as error:
            raise fault(f"cannot be asked for ({str(error).rstrip('.')})") from error
        return self

    def request(self) -> SaliencyRequest:
        """Return it as the program knows it."""
        return SaliencyRequest.recorded(self.model_dump(include=self.model_fields_set))


Request = Annotated[
    SaliencyRequest,
    GetPydanticSchema(lambda _, schema_of: schema_of(RequestEntry)),
    AfterValidator(RequestEntry.request),
    PlainSerializer(asdict),
]


class NoteEntry(_Entry):
    """What was written about a lesion or a region."""

    subject: AnySubject
    text: Note


class VerdictEntry(_Entry):
    """What a person says of a lesion or a region."""

    subject: AnySubject
    verdict: Verdict


class RegionEntry(_Entry):
    """A region that is no lesion, and the file of its mask."""

    name: Name
    file: OwnName
    sha256: Digest = Field(alias="SHA256")


class MapEntry(_Entry):
    """A finished map: whose, by which of the checkpoints, and its files, the first one a map."""

    subject: AnySubject
    checkpoint: Annotated[int, Field(ge=0)]
    request: Request
    files: Files


class ContextEntry(_Entry):
    """A curve of perilesional context: whose, by which of the checkpoints, and its files."""

    subject: AnySubject
    checkpoint: Annotated[int, Field(ge=0)]
    files: Files
    """The first one is the table; its JSON states the settings."""


class SessionEntry(_Entry):
    """A case as far as it was read, as ``session.json`` holds it."""

    format: Literal["napari-ies session"]
    format_version: Annotated[int, Field(ge=FORMAT_VERSION, le=FORMAT_VERSION)]
    saved: Annotated[str, AfterValidator(moment), Field(json_schema_extra={"format": "date-time"})]
    subject: PatientLabel
    visit: PatientLabel | None = None
    images: Annotated[list[ImageEntry], Field(min_length=1)]
    checkpoints: Annotated[list[CheckpointEntry], Field(min_length=1)]
    """Of which the first one segmented."""
    segmentation: SegmentationEntry
    request: Request | None = Field(alias="Explanation")
    """The settings of the last explanation."""
    selected: AnySubject | None
    """The lesion or region looked at last."""
    notes: list[NoteEntry]
    verdicts: list[VerdictEntry] = Field(default_factory=list)
    """None in a session of before there were any."""
    regions: list[RegionEntry]
    maps: list[MapEntry]
    """In the order in which they were finished."""
    contexts: list[ContextEntry] = Field(default_factory=list)
    """Likewise; none in a session of before there were any."""
    obsolete: dict[OwnName, Digest] = Field(default_factory=dict)
    """What was the session's, is not used any more and was left."""
    versions: dict[str, str]
    """Of the programs that wrote it."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> SessionEntry:
        for what, names in (
            ("Images", [image.sequence for image in self.images]),
            ("Regions", [region.name for region in self.regions]),
        ):
            if len(set(names)) < len(names):
                raise fault(f"{what} holds the same name twice")
        for what, entries in self._results.items():
            for number, one in enumerate(entries, 1):
                if one.checkpoint >= len(self.checkpoints):
                    raise fault(
                        f"{what}, entry {number}, Checkpoint is {one.checkpoint}, but there are "
                        f"{len(self.checkpoints)} checkpoints, counted from 0"
                    )
        return self

    @property
    def _results(self) -> dict[str, Sequence[MapEntry | ContextEntry]]:
        return {"Maps": self.maps, "Contexts": self.contexts}

    @property
    def holds_work(self) -> bool:
        """Whether it holds more than a segmentation, which could be computed again."""
        return bool(self.maps or self.notes or self.verdicts or self.regions or self.contexts)

    @property
    def own_files(self) -> tuple[str, ...]:
        """Names of the files that the session wrote into its folder, without ``session.json``."""
        kept = [*(image.file for image in self.images), self.segmentation.reference]
        names = [
            *self.segmentation.files,
            *(name for of in self._results.values() for one in of for name in one.files),
            *(region.file for region in self.regions),
            *(file.name for file in kept if file is not None and file.made_here),
        ]
        return tuple(dict.fromkeys(names))


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
    record: SessionEntry
    digest: str

    @property
    def saved_at(self) -> datetime:
        """When it was saved."""
        return datetime.fromisoformat(self.record.saved)

    @property
    def text(self) -> str:
        """What it holds, such as "3 maps and 1 note, saved 2026-11-22 at 14:05"."""
        record = self.record
        counts = (
            (record.maps, "map"),
            (record.contexts, "curve"),
            (record.notes, "note"),
            (record.verdicts, "verdict"),
            (record.regions, "region"),
        )
        held = [counted(len(entries), word) for entries, word in counts if entries]
        return f"{joined(held or ['no map yet'])}, saved {self.saved_at:%Y-%m-%d at %H:%M}"

    def is_of(self, images: Mapping[str, str], checkpoint: str) -> bool:
        """Whether it belongs to these images and this checkpoint.

        They are the SHA-256 of each image, by sequence, and of the checkpoint that segments.
        """
        own = {image.sequence: image.file.sha256 for image in self.record.images}
        return all(images.values()) and own == dict(images) and self.segmented_by(checkpoint)

    def segmented_by(self, checkpoint: str) -> bool:
        """Whether the checkpoint with this SHA-256 segmented; no checkpoint has an empty one."""
        file = self.record.checkpoints[0].file
        return bool(checkpoint) and file is not None and file.sha256 == checkpoint
