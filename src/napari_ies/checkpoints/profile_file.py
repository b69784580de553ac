"""What a profile file may say, and in words what is wrong with one that says anything else.

:func:`published_schema` is what ``docs/profile.schema.json`` says of it to other programs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from napari_ies.errors import CheckpointError
from napari_ies.network.profile import Activation, Profile
from napari_ies.network.trained_grid import (
    LARGEST_VOXEL,
    SMALLEST_VOXEL,
    VOXEL_SIZES,
    is_orientation,
)
from napari_ies.parameters import parameters_of
from napari_ies.patient.normalisation import EXPECTED, is_method
from napari_ies.printable import printable
from napari_ies.regular_files import read_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGEST = 4 << 20
"""Bytes of a profile file."""
LONGEST_NAME = 200
DEEPEST = 5
"""Levels of lists and objects among the arguments."""
_ABOUT = parameters_of(Profile)
_SMALLEST_EDGE, LARGEST_WINDOW = (int(end) for end in _ABOUT["window"].limits)

_SHA256 = r"^[0-9a-f]{64}$"


def _ends(name: str) -> dict[str, Any]:
    """Return the limits of a field as pydantic takes them."""
    about = _ABOUT[name]
    least, most = about.limits
    return {"gt" if about.above else "ge": least, "lt" if about.below else "le": most}


def _only(accepts: Callable[[Any], bool]) -> AfterValidator:
    def checked(value: Any) -> Any:
        if not accepts(value):
            raise ValueError
        return value

    return AfterValidator(checked)


def _are_different(values: list[str]) -> bool:
    return len(set(values)) == len(values)


def _is_line(text: str) -> bool:
    return bool(text.strip()) and printable(text) == text and not {"\n", "\t"} & set(text)


def _codes(value: str) -> str:
    codes = value.strip().upper()
    if not is_orientation(codes):
        raise ValueError
    return codes


_Text = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
_Names = Annotated[
    list[Annotated[_Text, _only(_is_line)]],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    _only(_are_different),
]
_Edge = Annotated[int, Field(ge=_SMALLEST_EDGE, le=LARGEST_WINDOW)]
_Three = Field(min_length=3, max_length=3)


class ProfileFile(BaseModel):
    """Fields of a network's profile that hold, whatever its checkpoint tells; any is left out."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, title="napari-ies profile")

    name: Annotated[
        _Text,
        Field(description="a text without slashes, since files are named by it"),
        _only(lambda text: _is_line(text) and text.isprintable() and not set(text) & {"/", "\\"}),
    ] = ""
    sha256: Annotated[
        str | None,
        Field(
            pattern=_SHA256,
            description="null, or the SHA-256 of the checkpoint that this is the profile of, 64 "
            "hexadecimal digits",
        ),
    ] = None
    architecture: Annotated[_Text, Field(description="the name of an architecture")] = ""
    arguments: Annotated[
        dict[str, Any],
        Field(description="an object with keyword arguments of the architecture's class"),
        _only(lambda value: not deeper(value, DEEPEST)),
    ] = {}
    sequences: Annotated[_Names, Field(description="a list of different names")] = []
    classes: Annotated[_Names, Field(description="a list of different names")] = []
    explained_class: Annotated[
        Annotated[int, Field(ge=0)] | Annotated[_Text, _only(_is_line)],
        Field(description="the index or the name of a class"),
    ] = 0
    normalisation: Annotated[
        str,
        Field(description=EXPECTED),
        _only(is_method),
    ] = ""
    brain_extracted: Annotated[bool, Field(description="true or false")] = False
    activation: Annotated[Activation, Field(description="one of softmax, sigmoid")] = "softmax"
    spacing: Annotated[
        Annotated[list[Annotated[float, Field(ge=SMALLEST_VOXEL, le=LARGEST_VOXEL)]], _Three]
        | None,
        Field(description=f"null or three voxel sizes in mm above 0, {VOXEL_SIZES}"),
    ] = None
    resample: Annotated[bool, Field(description="true or false")] = False
    orientation: Annotated[
        Annotated[str, AfterValidator(_codes)] | None,
        Field(description="null or three axis codes such as LAS"),
    ] = None
    window: Annotated[
        _Edge | Annotated[list[_Edge], _Three],
        Field(
            description=f"one or three whole numbers of voxels above 0, at most {LARGEST_WINDOW}"
        ),
    ] = 1
    overlap: Annotated[
        float, Field(**_ends("overlap"), description="a number from 0 up to but not including 1")
    ] = 0.0
    blending: Annotated[
        Literal["gaussian", "constant"], Field(description="one of gaussian, constant")
    ] = "gaussian"
    threshold: Annotated[
        float, Field(**_ends("threshold"), description="a probability above 0 and below 1")
    ] = 0.5
    smallest_lesion: Annotated[
        int,
        Field(
            ge=int(_ABOUT["smallest_lesion"].limits[0]),
            le=10**9,
            description="a whole number of voxels, 1 or more and at most a thousand million",
        ),
    ] = 1
    weights: Annotated[
        Annotated[str, Field(max_length=LONGEST_NAME)] | None,
        Field(description="null, or the name of a table in the file or the start of its keys"),
    ] = None
    to_complete: Annotated[
        dict[str, Any],
        Field(
            description="an object that states nothing: what was guessed when the file was written"
        ),
        _only(lambda value: not deeper(value, 2 * DEEPEST)),
    ] = {}


FIELDS: tuple[str, ...] = tuple(ProfileFile.model_fields)


def read_profile(path: Path) -> dict[str, Any]:
    """Read what a profile file says.

    Parameters
    ----------
    path
        A JSON file with an object whose keys are fields of `ProfileFile`. Any may be left out.

    Returns
    -------
    The fields it sets, lists as tuples. The explained class may be an index or a name still.

    Raises
    ------
    CheckpointError
        If it is not JSON, or a field is unknown or has a value it cannot have.
    """
    try:
        content = json.loads(read_text(path, LARGEST), object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        raise CheckpointError(
            f"{path.name} is not valid JSON ({error.msg}, line {error.lineno} column "
            f"{error.colno}): correct that line, or remove the file."
        ) from error
    except _TwiceError as error:
        raise CheckpointError(
            f"{path.name} states {_a(str(error))} twice: remove one of the two."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path.name} cannot be read as a JSON text in UTF-8 ({_reason(error)}): correct "
            "the file, or remove it."
        ) from error
    return checked(content, path.name)


def checked(content: Any, name: str) -> dict[str, Any]:
    """Check what a profile file of that name says.

    Returns
    -------
    The fields it sets, lists as tuples.

    Raises
    ------
    CheckpointError
        If it is no object, or a field is unknown or has a value it cannot have.
    """
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{name} holds {_a(content)}, expected an object with the fields of a profile "
            f"({', '.join(FIELDS)})."
        )
    try:
        profile = ProfileFile.model_validate(content)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = str(fault["loc"][0])
        if fault["type"] == "extra_forbidden":
            raise CheckpointError(
                f"{name}: there is no field {_shorter(field)!r} in a profile: the fields are "
                f"{', '.join(FIELDS)}."
            ) from None
        expected = ProfileFile.model_fields[field].description
        raise CheckpointError(
            f"{name}: {field} is {_a(content[field])}, expected {expected}."
        ) from None
    fields = {one: _tuples(getattr(profile, one)) for one in content}
    if isinstance(fields.get("window"), int):
        fields["window"] = (fields["window"],) * 3
    return fields


def published_schema() -> dict[str, Any]:
    """Return the JSON Schema of a profile file."""
    described = ProfileFile.model_json_schema()
    for field in described["properties"].values():
        del field["default"]  # what is left out is recognised or assumed
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}


class _TwiceError(ValueError):
    """A JSON object has a key twice; the text is the key."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "it cannot be opened"
    if isinstance(error, UnicodeDecodeError):
        return "it is no text"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "a number in it has too many digits"


def _a(value: Any) -> str:
    """Show a value of JSON in a sentence, shortened."""
    if isinstance(value, dict | list) and (len(value) > 100 or deeper(value, DEEPEST)):
        kind = "an object" if isinstance(value, dict) else "a list"
        return f"{kind} of {len(value)} entries" if len(value) > 100 else f"{kind} of many levels"
    return _shorter(json.dumps(value, ensure_ascii=False))


def deeper(value: Any, levels: int) -> bool:
    """Return whether a value is nested deeper than so many levels."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(deeper(each, levels - 1) for each in cast("list[Any]", inner))


def _shorter(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return value
