"""What a checkpoint says of its network beside the weights, where these leave no trace of it.

safetensors hold texts beside their tensors, PyTorch's files whatever a training script kept. All
of it is data: it answers what else would be guessed, and nothing that the weights tell. A table in
it counts as the network's arguments where it names the architecture, or states one of its arguments
as the weights do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.profile_file import FIELDS, checked
from napari_ies.errors import CheckpointError
from napari_ies.printable import joined, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ies.checkpoints.families.family import Family, Recognition

_DEEPEST, _MOST_ENTRIES, _LONGEST = 4, 1000, 1 << 20
_ARCHITECTURE = ("architecture", "_target_", "class_name")
_CALLED = {
    "channel_names": "sequences",
    "modalities": "sequences",
    "class_names": "classes",
    "labels": "classes",
    "label_names": "classes",
    "normalization": "normalisation",
    "voxel_size": "spacing",
    "roi_size": "window",
}
"""Fields of a profile by the names that other tools give them."""
_OF_A_FILE = ("name", "sha256", "architecture", "arguments", "weights", "to_complete")
_PROFILE = ("profile", "napari-ies", "napari_ies")


@dataclass(frozen=True)
class Told:
    """What metadata say of one network."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of the network's class, those that the weights do not tell."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of its profile."""
    said: tuple[str, ...] = ()
    """What was used, and what was not and why, a sentence each."""

    def refused(self) -> Told:
        """Return that nothing is used after all, since no network is like that."""
        stated = _list({**self.arguments, **self.fields})
        return Told(
            said=(
                "What the file itself says of its network is not used, since none with these "
                f"weights can be like that: {stated}.",
            )
        )


def told_of(content: Any, family: Family, recognition: Recognition) -> Told:
    """Return what a file's metadata say of a network that was recognised in it.

    Parameters
    ----------
    content
        The metadata, as tables, lists, texts and numbers; texts may be JSON.
    family, recognition
        What the weights tell.
    """
    if not isinstance(content, Mapping):
        return Told()
    arguments, wrong = _arguments(content, family, recognition)
    fields, odd = _fields(content, recognition.arguments)
    said = []
    if used := {**arguments, **fields}:
        said.append(f"The file itself says of its network: {_list(used)}.")
    if not_used := [*wrong, *odd]:
        said.append(f"Not used of what the file itself says: {'; '.join(not_used)}.")
    return Told(arguments, fields, tuple(said))


def _arguments(
    content: Mapping[str, Any], family: Family, recognition: Recognition
) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments that are told, and what contradicts the weights, a clause each."""
    found: dict[str, Any] = {}
    wrong: list[str] = []
    known = {k: v for k, v in recognition.arguments.items() if k not in recognition.guessed}
    for table, architecture in _tables(content, "", _DEEPEST):
        stated = {name: _plain(table[name]) for name in family.argument_names & table.keys()}
        open_ones = [name for name in recognition.guessed if stated.get(name) is not None]
        if not open_ones:
            continue
        shared = [
            name for name in stated.keys() & known.keys() if _alike(stated[name], known[name])
        ]
        against = [
            f"{name} {_words(stated[name])} (its weights: {_words(known[name])})"
            for name in sorted(stated.keys() & known.keys())
            if _comparable(stated[name], known[name]) and not _alike(stated[name], known[name])
        ]
        if architecture not in ("", family.architecture):
            against.append(f"{architecture} (by its weights: {family.architecture})")
        if against:
            wrong += against
        elif shared or architecture:
            found |= {name: stated[name] for name in open_ones if name not in found}
    return found, wrong


def _fields(
    content: Mapping[str, Any], arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of a profile that are told, and which are told as they cannot be."""
    found: dict[str, Any] = {}
    odd: list[str] = []
    own = (_read(content.get(name)) for name in _PROFILE)
    counts = {"sequences": arguments["in_channels"], "classes": arguments["out_channels"]}
    for table in (content, *(one for one in own if isinstance(one, Mapping))):
        for called in table:
            name = _CALLED.get(str(called), str(called))
            if name not in FIELDS or name in _OF_A_FILE:
                continue
            value = _read(table[called])
            value = _names(value) if name in counts else value
            try:
                taken = checked({name: _listed(value)}, "")[name]
            except CheckpointError:
                odd.append(printable(str(called)))
                continue
            if taken is None:
                continue
            if name in counts and len(taken) != counts[name]:
                odd.append(f"{called} ({len(taken)} names for {counts[name]})")
            else:
                found[name] = taken
    return found, odd


def _tables(
    content: Mapping[str, Any], architecture: str, levels: int
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Give each table, from outside to inside, with the architecture that it is said to be of."""
    if len(content) > _MOST_ENTRIES:
        return
    values = {str(name): _read(value) for name, value in content.items()}
    named = (values.get(name) for name in _ARCHITECTURE)
    said = next((one for one in named if isinstance(one, str) and one), architecture)
    yield values, said.rpartition(".")[2][:100]
    for value in values.values():
        if isinstance(value, Mapping) and levels:
            yield from _tables(value, said, levels - 1)


def _read(value: Any) -> Any:
    """Return what a text in JSON says, and anything else as it is."""
    if isinstance(value, str) and value[:1] in tuple('[{"-0123456789tfn') and len(value) < _LONGEST:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _plain(value: Any, levels: int = 3) -> Any:
    """Return a value of numbers and short words, lists as tuples; None for anything else."""
    if isinstance(value, bool | int | float) or (
        isinstance(value, str) and len(value) <= 40 and value.replace("_", "a").isalnum()
    ):
        return value
    if isinstance(value, list | tuple) and levels and len(value) <= 16:
        parts = tuple(_plain(one, levels - 1) for one in value)
        return None if None in parts else parts
    if isinstance(value, Mapping) and levels and len(value) <= 16:
        table = {str(name): _plain(one, levels - 1) for name, one in value.items()}
        return None if None in table.values() else table
    return None


def _names(value: Any) -> Any:
    """Return names in order; a table has them by number, or their numbers by name."""
    if not isinstance(value, Mapping):
        return value
    pairs = list(value.items())
    try:
        if all(isinstance(one, str) for _, one in pairs):
            pairs = sorted((int(number), name) for number, name in pairs)
            return [name for _, name in pairs]
        return [str(name) for name, _ in sorted(pairs, key=lambda pair: int(pair[1]))]
    except (TypeError, ValueError):
        return value


def _listed(value: Any) -> Any:
    """Return a value as JSON has it."""
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value


def _comparable(one: Any, other: Any) -> bool:
    """Return whether two values are whole numbers, or as many of them."""
    ones, others = (v if isinstance(v, tuple) else (v,) for v in (one, other))
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in (*ones, *others))
    return whole and isinstance(one, tuple) == isinstance(other, tuple)


def _alike(one: Any, other: Any) -> bool:
    return _comparable(one, other) and one == other


def _list(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} {_words(value)}" for name, value in values.items())


def _words(value: Any) -> str:
    if isinstance(value, tuple) and all(isinstance(one, str) for one in value):
        return joined(value)
    return printable(json.dumps(value, ensure_ascii=False))
