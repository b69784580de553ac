"""The networks that may lie in a file: groups of tensors whose keys start alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ies.checkpoints.families.architectures import FAMILIES, some
from napari_ies.checkpoints.families.family import Family, Recognition, Shapes
from napari_ies.errors import CheckpointError
from napari_ies.network.profile import Guess
from napari_ies.printable import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch


Tables = dict[str, dict[str, "torch.Tensor"]]
"""The tables of tensors in a file, each with its tensors by key: by where they lie in it, with
dots and places in lists, such as ``"state_dict"`` or ``"folds[0]"``; the file's top level has no
name."""

TOP_LEVEL = 'the top level ("")'
MOST_NETWORKS = 64
_DEEPEST = 6
_USUAL_TABLES = (
    "state_dict",
    "model_state_dict",
    "model",
    "network",
    "network_state_dict",
    "network_weights",
    "net",
    "weights",
)
_RATHER_NOT = ("ema", "swa", "averag", "shadow", "teacher", "exp_avg", "momentum", "optim", "grad")


@dataclass(frozen=True)
class Group:
    """Tensors that a family takes for a network of its own."""

    table: str
    """Where they lie."""
    prefix: str
    """What their keys start with in it: empty, or with a dot at the end."""
    tensors: dict[str, torch.Tensor]
    """By their keys in the network."""
    family: Family
    """That takes them."""
    recognition: Recognition | None = None
    """What it says about them; None if it can say no more than `error`."""
    error: CheckpointError | None = None
    """Why the family cannot use them."""

    @property
    def size(self) -> int:
        """The number of tensors that matter."""
        return sum(not key.endswith(".num_batches_tracked") for key in self.tensors)


def find_groups(tables: Tables) -> list[Group]:
    """Find the groups that a family recognises, the one to prefer first.

    That is the largest; among equals the one not named like an average of weights or an
    optimizer's, then the one in a table that training scripts usually write, then the first.

    Raises
    ------
    CheckpointError
        In a clause, if there are more than any ensemble has.
    """
    groups = []
    for family in FAMILIES.values():
        for group in _own(tables, family):
            shapes = {key: tuple(tensor.shape) for key, tensor in group.tensors.items()}
            try:
                recognition, error = family.recognise(Shapes(family.architecture, shapes)), None
            except CheckpointError as reason:
                recognition, error = None, reason
            if recognition or error:
                groups.append(
                    Group(group.table, group.prefix, group.tensors, family, recognition, error)
                )
            if len(groups) > MOST_NETWORKS:
                raise CheckpointError(
                    f"it seems to hold more than {MOST_NETWORKS} networks; choose the checkpoint "
                    "of one"
                )
    return sorted(groups, key=_rank)


def groups_for(tables: Tables, family: Family) -> list[Group]:
    """Return the groups that may be a network of this family, the one to prefer first."""
    return sorted(_own(tables, family), key=_rank)


def _own(tables: Tables, family: Family) -> Iterator[Group]:
    """Give, for each common start of keys, the tensors that lie in parts of such a network."""
    for table, tensors in tables.items():
        for prefix, keys in _by_prefix(tensors).items():
            own = {
                family.renamed(key.removeprefix(prefix)): tensors[key]
                for key in keys
                if key.removeprefix(prefix).partition(".")[0] in family.parts
            }
            if own:
                yield Group(table, prefix, own, family)


def _by_prefix(keys: Mapping[str, object]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in keys:
        parts = key.split(".")
        for depth in range(min(len(parts), _DEEPEST)):
            found.setdefault("".join(f"{part}." for part in parts[:depth]), []).append(key)
    return found


def _rank(group: Group) -> tuple[int, bool, int]:
    place = f"{group.table}.{group.prefix}".lower()
    last = group.table.rpartition(".")[2]
    usual = _USUAL_TABLES.index(last) if last in _USUAL_TABLES else len(_USUAL_TABLES)
    return -group.size, any(word in place for word in _RATHER_NOT), usual


def chosen_tables(tables: Tables, weights: str) -> Tables:
    """Return what a person chose of a file.

    Parameters
    ----------
    tables
        All there is.
    weights
        Name of a table, start of the keys in one, or both; the dot at the end may be missing. The
        empty name stands for what lies at the file's top level under its own keys.

    Raises
    ------
    CheckpointError
        In a clause, if there is no such thing in the file.
    """
    start = weights.rstrip(".")
    found: Tables = {}
    for table, tensors in tables.items():
        if start == table:
            found[table] = _at_top(tensors) if not start else tensors
            continue
        inner = start.removeprefix(f"{table}.") if table else start
        under = {key: t for key, t in tensors.items() if key.startswith(f"{inner}.")}
        if under:
            found[table] = under
    if not found:
        groups = find_groups(tables)
        there = [named(group, groups) for group in groups] or list(tables)
        holds = joined([name or TOP_LEVEL for name in there])
        raise CheckpointError(
            f"weights is {weights!r}, expected a table of the file or the start of its keys: it "
            f"holds {holds}"
        )
    return found


def _at_top(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    parts = {part for family in FAMILIES.values() for part in family.parts}
    return {key: t for key, t in tensors.items() if key.partition(".")[0] in parts}


def named(group: Group, groups: list[Group]) -> str:
    """Name a group among others as a person may choose it: by table, by prefix or by both."""
    if group.table and sum(other.table == group.table for other in groups) == 1:
        return group.table
    if sum(other.prefix == group.prefix for other in groups) == 1 and group.prefix:
        return group.prefix
    return f"{group.table}.{group.prefix}" if group.table else group.prefix


def what_else(tables: Tables, group: Group, groups: list[Group]) -> dict[str, str]:
    """Say what a file holds besides the network that is used.

    Returns
    -------
    Sentences: under ``"weights"`` which networks there are to choose from, under ``"left out"``
    which tensors beside this one's belong to no network.
    """
    said: dict[str, str] = {}
    others = [other for other in groups if not _same(other, group)]
    if others:
        every = (named(one, groups) for one in (group, *others))
        names = tuple(dict.fromkeys(every))
        shown = [f'"{name}"' if name else TOP_LEVEL for name in names]
        said["weights"] = Guess(
            f"The file holds the networks {joined(sorted(shown))}; {shown[0]} is used: weights in "
            "the profile file chooses another.",
            *("weights", names[0], names),
        )
    known = {
        key
        for one in (group, *groups)
        if one.table == group.table
        for key in tables[one.table]
        if key.startswith(one.prefix)
        and key.removeprefix(one.prefix).partition(".")[0] in one.family.parts
    }
    if left_out := [key for key in tables[group.table] if key not in known]:
        noun = "tensor" if len(left_out) == 1 else "tensors"
        said["left out"] = (
            f"Left out: {len(left_out)} {noun} of the file ({some(left_out)}), taken for no part "
            "of the network."
        )
    return said


def _same(one: Group, other: Group) -> bool:
    """Return whether two groups hold the same numbers under the same keys."""
    if one is other:
        return True
    return one.tensors.keys() == other.tensors.keys() and all(
        tensor.shape == other.tensors[key].shape and _equal(tensor, other.tensors[key])
        for key, tensor in one.tensors.items()
    )


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    # Numbers of 8 bits know no comparison.
    one, other = (t.float() if t.itemsize == 1 else t for t in (one, other))
    return bool((one == other).all())
