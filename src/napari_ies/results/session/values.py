"""Values that ``session.json`` may hold, each with what it must be."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from napari_ies.patient.bids_label import bids_label
from napari_ies.segmentation.subject import Subject, as_subject

LARGEST_LABEL = 2**31 - 1
"""Labels are written as int32."""
LONGEST_NAME = 1_000
LONGEST_PATH = 32_767
"""Characters that Windows, the most generous system, allows in a path."""
LONGEST_NOTE = 1_000_000

SHOWN = 60
"""Characters of an odd value that are quoted."""


def fault(text: str) -> PydanticCustomError:
    """Say in a clause what an entry is that it must not be."""
    return PydanticCustomError("session", "{text}", {"text": text})


def _without_null(text: str) -> str:
    if "\0" in text:
        raise fault("holds a null character")
    return text


def own_name(name: str) -> str:
    """Take the name of a file in the session's folder; nothing that leads out of it."""
    last = name.replace("\\", "/").replace(":", "/").rpartition("/")[2]
    if last != name or last in (".", ".."):
        raise fault(f"{name[:SHOWN]!r} is not the name of a file")
    return name


def _label(text: str) -> str:
    if not bids_label(text):
        raise fault(f"{text[:SHOWN]!r} holds no letter or digit")
    return text


def moment(text: str) -> str:
    """Take a date and time, and return it in the time of this place."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError, OSError) as error:
        raise fault(
            f"is {text[:SHOWN]!r}, expected a date and time such as 2026-11-26T08:01:45+00:00"
        ) from error


def _subject(value: Any) -> Subject:
    """Take a lesion's label or the name of a region."""
    lesion = type(value) is int and 1 <= value <= LARGEST_LABEL
    region = type(value) is str and 1 <= len(value) <= LONGEST_NAME
    if not (lesion or region):
        raise fault(
            f"is {shown(value)}, expected the label of a lesion (a whole number of at least 1) or "
            "the name of a region"
        )
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise fault("is no Unicode text") from error
        _without_null(value)
    return as_subject(value)


Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_without_null)]
FilePath = Annotated[
    str, Field(min_length=1, max_length=LONGEST_PATH), AfterValidator(_without_null)
]
Note = Annotated[str, Field(min_length=1, max_length=LONGEST_NOTE), AfterValidator(_without_null)]
OwnName = Annotated[Name, AfterValidator(own_name)]
PatientLabel = Annotated[Name, AfterValidator(_label)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Files = Annotated[dict[OwnName, Digest], Field(min_length=1)]
AnySubject = Annotated[
    Subject,
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
Whole = Annotated[int, Field(ge=1, le=2**31 - 1)]


def shown(value: Any) -> str:
    """Return an odd value as a person reads it, never much of it."""
    if isinstance(value, str):
        return f"the text {value[:SHOWN]!r}{'…' if len(value) > SHOWN else ''}"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)[:SHOWN]
