"""The profile in a file beside the checkpoint, ``NAME.profile.json``, which has the last word."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from napari_ies.errors import CheckpointError
from napari_ies.network.profile import Activation, Profile
from napari_ies.network.trained_grid import VOXEL_SIZES, is_orientation, is_voxel_size
from napari_ies.patient.normalisation import METHODS
from napari_ies.printable import printable
from napari_ies.regular_files import read_text

LARGEST = 4 << 20
"""Bytes of a profile file."""
LONGEST_NAME = 200
DEEPEST = 5
"""Levels of lists and objects among the arguments."""
LARGEST_WINDOW = 4096


def profile_path(checkpoint: str | Path) -> Path:
    """Return where a checkpoint's profile lies: ``NAME.profile.json`` beside ``NAME.pth``.

    Of a folder it lies beside the folder, and is called as all of its name.
    """
    path = Path(checkpoint)
    if os.path.isdir(path):  # noqa: PTH112 - a name that is too long is no folder's
        path = path.resolve() if path.name in ("", "..") else path
        return path.with_name(f"{path.name}.profile.json")
    return path.with_suffix(".profile.json")


def read_profile(path: Path) -> dict[str, Any]:
    """Read what a profile file says.

    Parameters
    ----------
    path
        A JSON file with an object whose keys are fields of `Profile`. Any may be left out.

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
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path.name} holds {_a(content)}, expected an object with the fields of a profile "
            f"({', '.join(_CHECKS)})."
        )
    fields = {}
    for name, value in content.items():
        if name not in _CHECKS:
            raise CheckpointError(
                f"{path.name}: there is no field {_shorter(name)!r} in a profile: the fields are "
                f"{', '.join(_CHECKS)}."
            )
        expected, accepts = _CHECKS[name]
        if not accepts(value):
            raise CheckpointError(f"{path.name}: {name} is {_a(value)}, expected {expected}.")
        fields[name] = _tuples(value)
    if isinstance(fields.get("window"), int):
        fields["window"] = (fields["window"],) * 3
    if fields.get("orientation") is not None:
        fields["orientation"] = _codes(fields["orientation"])
    return fields


def profile_to_json(profile: Profile) -> str:
    """Return a profile as the text of a profile file: the fields that such a file may set."""
    content = {name: getattr(profile, name) for name in _CHECKS}
    content["arguments"] = dict(profile.arguments)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_profile(path: str | Path, profile: Profile) -> None:
    """Write a profile file, whole or not at all.

    Parameters
    ----------
    path
        Where: `profile_path` of the checkpoint, for it to be used with the checkpoint.
    profile
        What is written.

    Raises
    ------
    CheckpointError
        If it cannot be written there.
    """
    path = Path(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(profile_to_json(profile))
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"The profile cannot be written to {path} ({error.strerror}): check the folder's "
            "permissions and space."
        ) from error


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


_Check = tuple[str, Callable[[Any], bool]]
"""What a field is expected to be, in words, and whether a value of JSON is that."""


def _one_of(names: Iterable[str]) -> _Check:
    known = tuple(names)
    return f"one of {', '.join(known)}", lambda value: value in known


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= LONGEST_NAME


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(_is_name(name) and printable(name) == name for name in value)
        and not {"\n", "\t"} & set("".join(value))
        and len(set(value)) == len(value)
    )


def _is_spacing(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and len(value) == 3
        and all(_is_number(v) and is_voxel_size(v) for v in value)
    )


def _codes(value: str) -> str:
    return value.strip().upper()


def _is_window(value: Any) -> bool:
    edges = value if isinstance(value, list) and len(value) == 3 else [value]
    return all(type(edge) is int and 0 < edge <= LARGEST_WINDOW for edge in edges)


_CHECKS: dict[str, _Check] = {
    "name": (
        "a text without slashes, since files are named by it",
        lambda value: _is_name(value) and value.isprintable() and not set(value) & {"/", "\\"},
    ),
    "architecture": ("the name of an architecture", _is_name),
    "arguments": (
        "an object with keyword arguments of the architecture's class",
        lambda value: isinstance(value, dict) and not _deeper(value, DEEPEST),
    ),
    "sequences": ("a list of different names", _are_names),
    "classes": ("a list of different names", _are_names),
    "explained_class": (
        "the index or the name of a class",
        lambda value: _is_name(value) or (type(value) is int and value >= 0),
    ),
    "normalisation": _one_of(METHODS),
    "brain_extracted": ("true or false", lambda value: isinstance(value, bool)),
    "activation": _one_of(get_args(Activation)),
    "spacing": (f"null or three voxel sizes in mm above 0, {VOXEL_SIZES}", _is_spacing),
    "resample": ("true or false", lambda value: isinstance(value, bool)),
    "orientation": (
        "null or three axis codes such as LAS",
        lambda value: value is None or (isinstance(value, str) and is_orientation(_codes(value))),
    ),
    "window": (
        f"one or three whole numbers of voxels above 0, at most {LARGEST_WINDOW}",
        _is_window,
    ),
    "overlap": (
        "a number from 0 up to but not including 1",
        lambda value: _is_number(value) and 0 <= value < 1,
    ),
    "threshold": (
        "a probability above 0 and below 1",
        lambda value: _is_number(value) and 0 < value < 1,
    ),
    "smallest_lesion": (
        "a whole number of voxels, 1 or more and at most a thousand million",
        lambda value: type(value) is int and 1 <= value <= 10**9,
    ),
    "weights": (
        "null, or the name of a table in the file or the start of its keys",
        lambda value: value is None or (isinstance(value, str) and len(value) <= LONGEST_NAME),
    ),
}


def _a(value: Any) -> str:
    """Show a value of JSON in a sentence, shortened."""
    if isinstance(value, dict | list) and (len(value) > 100 or _deeper(value, DEEPEST)):
        kind = "an object" if isinstance(value, dict) else "a list"
        return f"{kind} of {len(value)} entries" if len(value) > 100 else f"{kind} of many levels"
    return _shorter(json.dumps(value, ensure_ascii=False))


def _deeper(value: Any, levels: int) -> bool:
    """Return whether a value is nested deeper than so many levels."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(each, levels - 1) for each in inner)


def _shorter(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return value
