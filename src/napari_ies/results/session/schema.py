"""What ``session.json`` may hold: checked as a whole before anything of it is used or shown.

:func:`published_schema` is what ``docs/session.schema.json`` says of it to other programs.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_pascal
from pydantic_core import PydanticCustomError

from napari_ies.errors import SaliencyError
from napari_ies.patient.bids_label import bids_label
from napari_ies.saliency.request import SaliencyRequest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

FORMAT = "napari-ies session"
FORMAT_VERSION = 1

LARGEST_LABEL = 2**31 - 1
"""Labels are written as int32."""
LONGEST_NAME = 1_000
LONGEST_PATH = 32_767
"""Characters that Windows, the most generous system, allows in a path."""
LONGEST_NOTE = 1_000_000

_SHOWN = 60
"""Characters of an odd value that are quoted."""


def _fault(text: str) -> PydanticCustomError:
    return PydanticCustomError("session", "{text}", {"text": text})


def _without_null(text: str) -> str:
    if "\0" in text:
        raise _fault("holds a null character")
    return text


def _own_name(name: str) -> str:
    """Take the name of a file in the session's folder; nothing that leads out of it."""
    last = name.replace("\\", "/").replace(":", "/").rpartition("/")[2]
    if last != name or last in (".", ".."):
        raise _fault(f"{name[:_SHOWN]!r} is not the name of a file")
    return name


def _label(text: str) -> str:
    if not bids_label(text):
        raise _fault(f"{text[:_SHOWN]!r} holds no letter or digit")
    return text


def _moment(text: str) -> str:
    """Take a date and time, and return it in the time of this place."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError, OSError) as error:
        raise _fault(
            f"is {text[:_SHOWN]!r}, expected a date and time such as 2026-11-26T08:01:45+00:00"
        ) from error


def _subject(value: Any) -> int | str:
    """Take a lesion's label or the name of a region."""
    lesion = type(value) is int and 1 <= value <= LARGEST_LABEL
    region = type(value) is str and 1 <= len(value) <= LONGEST_NAME
    if not (lesion or region):
        raise _fault(
            f"is {_shown(value)}, expected the label of a lesion (a whole number of at least 1) or "
            "the name of a region"
        )
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _fault("is no Unicode text") from error
        return _without_null(value)
    return int(value)


_Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_without_null)]
_Path = Annotated[str, Field(min_length=1, max_length=LONGEST_PATH), AfterValidator(_without_null)]
_Note = Annotated[str, Field(min_length=1, max_length=LONGEST_NOTE), AfterValidator(_without_null)]
_OwnName = Annotated[_Name, AfterValidator(_own_name)]
_PatientLabel = Annotated[_Name, AfterValidator(_label)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Files = Annotated[dict[_OwnName, _Digest], Field(min_length=1)]
_Subject = Annotated[
    int | str,
    PlainValidator(_subject),
    WithJsonSchema(
        {
            "description": "Label of a lesion, or name of a region",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": LARGEST_LABEL},
                {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
            ],
        }
    ),
]
_Whole = Annotated[int, Field(ge=1, le=2**31 - 1)]


class _Entry(BaseModel):
    """Entries that a later version adds are no fault."""

    model_config = ConfigDict(
        strict=True, frozen=True, allow_inf_nan=False, alias_generator=to_pascal
    )


class FileEntry(_Entry):
    """A file that the session refers to."""

    name: _Name
    sha256: _Digest = Field(alias="SHA256")
    absolute: _Path
    relative: _Path | None
    made_here: bool

    @model_validator(mode="after")
    def _lies_in_the_folder(self) -> FileEntry:
        if self.made_here:
            _own_name(self.name)
        return self


class ImageEntry(_Entry):
    """A sequence and its file."""

    sequence: _Name
    file: FileEntry


class CheckpointEntry(_Entry):
    """A network; its file is null if it was made in memory."""

    name: _Name
    device: _Name
    file: FileEntry | None


class SegmentationEntry(_Entry):
    """Settings of the segmentation, and its files with the SHA-256 of each."""

    threshold: Annotated[float, Field(ge=0, le=1)]
    smallest_lesion: _Whole
    forward: Literal["sliding-window", "whole-volume"]
    reference: FileEntry | None
    files: _Files


class RequestEntry(BaseModel):
    """The settings of a map, in the words of the program's ``SaliencyRequest``."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, extra="forbid")

    method: Literal["smoothgrad", "gradcam++"] = "smoothgrad"
    aggregation: Literal["mean", "sum", "max"] = "mean"
    n_samples: _Whole = 50
    noise: Annotated[float, Field(ge=0)] = 0.05
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    forward: Literal["sliding-window", "whole-volume"] = "sliding-window"
    class_index: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    layer: _Name | None = None
    tolerance: Annotated[float, Field(gt=0)] | None = None
    precision: Literal["float32", "tf32", "bf16"] = "float32"

    @model_validator(mode="after")
    def _can_be_asked_for(self) -> RequestEntry:
        try:
            self.request()
        except SaliencyError as error:
            raise _fault(f"cannot be asked for ({str(error).rstrip('.')})") from error
        return self

    def request(self) -> SaliencyRequest:
        """Return it as the program knows it."""
        return SaliencyRequest(**self.model_dump())


class NoteEntry(_Entry):
    """What was written about a lesion or a region."""

    subject: _Subject
    text: _Note


class RegionEntry(_Entry):
    """A region that is no lesion, and the file of its mask."""

    name: _Name
    file: _OwnName
    sha256: _Digest = Field(alias="SHA256")


class MapEntry(_Entry):
    """A finished map: whose, by which of the checkpoints, and its files, the first one a map."""

    subject: _Subject
    checkpoint: Annotated[int, Field(ge=0)]
    request: RequestEntry
    files: _Files


class SessionEntry(_Entry):
    """A case as far as it was read, as ``session.json`` holds it."""

    format: Literal["napari-ies session"]
    format_version: Annotated[int, Field(ge=FORMAT_VERSION, le=FORMAT_VERSION)]
    saved: Annotated[str, AfterValidator(_moment), Field(json_schema_extra={"format": "date-time"})]
    subject: _PatientLabel
    visit: _PatientLabel | None = None
    images: Annotated[list[ImageEntry], Field(min_length=1)]
    checkpoints: Annotated[list[CheckpointEntry], Field(min_length=1)]
    segmentation: SegmentationEntry
    explanation: RequestEntry | None
    selected: _Subject | None
    notes: list[NoteEntry]
    regions: list[RegionEntry]
    maps: list[MapEntry]
    obsolete: dict[_OwnName, _Digest] = Field(default_factory=dict)
    versions: dict[str, str]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> SessionEntry:
        for what, names in (
            ("Images", [image.sequence for image in self.images]),
            ("Regions", [region.name for region in self.regions]),
        ):
            if len(set(names)) < len(names):
                raise _fault(f"{what} holds the same name twice")
        for number, one in enumerate(self.maps, 1):
            if one.checkpoint >= len(self.checkpoints):
                raise _fault(
                    f"Maps, entry {number}, Checkpoint is {one.checkpoint}, but there are "
                    f"{len(self.checkpoints)} checkpoints, counted from 0"
                )
        return self


def checked(content: Any) -> SessionEntry:
    """Check what a ``session.json`` holds, every entry of it.

    Raises
    ------
    ValueError
        That names the first entry that cannot be, and says what it is and should be.
    """
    try:
        return SessionEntry.model_validate(content)
    except ValidationError as error:
        first, *more = error.errors(include_url=False)
        others = f" (and {len(more)} more such entries)" if more else ""
        raise ValueError(_sentence(first) + others) from None


def published_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``session.json``."""
    described = SessionEntry.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **described,
        "title": FORMAT,
    }


def _sentence(error: ErrorDetails) -> str:
    where = [
        f"entry {part + 1}" if isinstance(part, int) else str(part)[:_SHOWN]
        for part in error["loc"]
        if part != "[key]"
    ]
    return f"{', '.join(where)} {_what(error)}".strip()


def _what(error: ErrorDetails) -> str:
    """Say what is wrong with one entry."""
    kind, value, limits = error["type"], error["input"], error.get("ctx", {})
    last = str(error["loc"][-1]) if error["loc"] else ""
    if kind == "session":
        return str(limits["text"])
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is no setting of a map that this version knows"
    if kind == "too_short":
        return f"names no {last.lower().removesuffix('s')}"
    if kind == "literal_error":
        expected = limits["expected"]
        return f"is {_shown(value)}, and there is no {last} of that name; expected {expected}"
    return f"is {_shown(value)}, expected {_EXPECTED.get(kind, 'something else').format(**limits)}"


_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "an object with entries",
    "finite_number": "a number that is finite",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_type": "a whole number",
    "less_than_equal": "at most {le}",
    "list_type": "a list",
    "model_attributes_type": "an object with entries",
    "model_type": "an object with entries",
    "string_pattern_mismatch": "a SHA-256 of 64 hexadecimal digits",
    "string_too_long": "a text of at most {max_length} characters",
    "string_too_short": "a text that is not empty",
    "string_type": "a text",
    "string_unicode": "a Unicode text",
}
"""What should stand in an entry, by pydantic's name of the fault."""


def _shown(value: Any) -> str:
    """Return an odd value as a person reads it, never much of it."""
    if isinstance(value, str):
        return f"the text {value[:_SHOWN]!r}{'…' if len(value) > _SHOWN else ''}"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)[:_SHOWN]
