"""State dicts of networks of MONAI, as training scripts save them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.families.architectures import (
    FAMILIES,
    build_network,
    check_fit,
    describe_unknown,
    load_weights,
    shorter,
)
from napari_ies.checkpoints.families.defaults import make_profile
from napari_ies.checkpoints.file.groups import (
    Tables,
    chosen_tables,
    find_groups,
    groups_for,
    named,
    what_else,
)
from napari_ies.checkpoints.file.metadata import Told, told_of
from napari_ies.checkpoints.file.state_dict import StateFile, read_state_file
from napari_ies.checkpoints.formats.format import Loaded
from napari_ies.checkpoints.sidecar import profile_path
from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import torch
    from torch import nn

    from napari_ies.checkpoints.families.family import Family
    from napari_ies.network.profile import Profile

name = "state dict"

OF_A_FOLDER = ("folds", "mirroring")
"""What the command line asks of nnU-Net folders, and of no file."""

_TRIED = 3  # groups of tensors, where a person states the whole network
_LARGEST_STRIDE, _LARGEST_IMAGE = 64, 512


def recognises(path: Path) -> bool:
    """Whether it is one: whatever is nothing else is to be one, and what it lacks is said."""
    return True


def files(path: Path) -> Mapping[str, Path]:
    """Return none: it is a file."""
    return {}


def load(path: Path, stated: Mapping[str, Any], trust: bool) -> Loaded:
    """Read a file in the first way that is proved by loading every tensor strictly.

    Nothing in it is executed, whether or not it is trusted.
    """
    file = read_state_file(path)
    tables = file.tables
    beside = profile_path(path)
    architecture = stated.get("architecture")
    with _told(f"{beside.name}: "):
        if architecture not in (None, *FAMILIES):
            raise CheckpointError(
                f'architecture is "{architecture}", expected one of {", ".join(FAMILIES)}'
            )
        if stated.get("weights") is not None:
            tables = chosen_tables(tables, stated["weights"])
    with _told(f"{path.name} cannot be loaded: "):
        readings = _readings(tables, stated, file.content)
    reasons = []
    for reading in readings:
        try:
            network, profile = _told_or_not(path, beside, reading, stated, file)
        except CheckpointError as error:
            reasons.append(error)
        else:
            return Loaded(network, profile, file.sha256, tuple(reading.tensors))
    raise reasons[0]


@dataclass(frozen=True)
class _Reading:
    """One way to read a file: which of its tensors are which network."""

    family: Family
    arguments: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    """The network and its weights."""
    guessed: dict[str, str]
    """What the file leaves open, a sentence each."""
    weights: str | None = None
    """Which of several networks in the file it is, or None."""
    told: Told = field(default_factory=Told)
    """What the file says of it beside the weights."""

    def with_told(self, stated: Mapping[str, Any]) -> _Reading:
        """Return it with what the file says of what a person leaves open."""
        said = stated.get("arguments", {})
        arguments = {k: v for k, v in self.told.arguments.items() if k not in said}
        left = {k: v for k, v in self.guessed.items() if k not in arguments}
        for place, sentence in enumerate(self.told.said):
            left[f"metadata {place}"] = sentence
        return replace(self, arguments={**self.arguments, **arguments}, guessed=left)


def _readings(tables: Tables, stated: Mapping[str, Any], content: Any) -> list[_Reading]:
    """Settle what to try, the likeliest first: what is stated holds, the rest is recognised.

    Arguments that are complete hold whatever is recognised. `content` is what the file says beside
    the weights.
    """
    architecture = stated.get("architecture")
    said: dict[str, Any] = stated.get("arguments", {})
    groups = find_groups(tables)
    readings = [
        _Reading(
            group.family,
            {**group.recognition.arguments, **said},
            group.tensors,
            {k: v for k, v in group.recognition.guessed.items() if k not in said}
            | what_else(tables, group, groups),
            named(group, groups) if len(groups) > 1 else None,
            told_of(content, group.family, group.recognition),
        )
        for group in groups
        if group.recognition and architecture in (None, group.family.architecture)
    ]
    reasons = [group.error for group in groups if group.error]
    if architecture is not None:
        family = FAMILIES[architecture]
        if all(name in said for name in family.required):
            readings += [
                _Reading(family, dict(said), one.tensors, what_else(tables, one, []))
                for one in groups_for(tables, family)[:_TRIED]
            ]
            reasons = []
        if not (readings or reasons):
            readings = [_Reading(family, dict(said), _largest(tables), {})]
    if not (readings or reasons):
        raise CheckpointError(
            f"{describe_unknown(_largest(tables))}; choose the checkpoint of such a network of "
            "MONAI"
        )
    if not readings:
        raise reasons[0]
    return readings


def _largest(tables: Tables) -> dict[str, torch.Tensor]:
    """Return the largest table, what DataParallel and torch.compile put before its keys removed."""
    tensors = max(tables.values(), key=len)
    for wrapper in ("module.", "_orig_mod.") * 2:
        if all(key.startswith(wrapper) for key in tensors):
            tensors = {key.removeprefix(wrapper): tensor for key, tensor in tensors.items()}
    return tensors


def _told_or_not(
    path: Path, beside: Path, reading: _Reading, stated: Mapping[str, Any], file: StateFile
) -> tuple[nn.Module, Profile]:
    """Build a network with what its file says beside the weights, or without if that cannot be."""
    try:
        return _built(path, beside, reading.with_told(stated), stated, file)
    except CheckpointError:
        if not (reading.told.arguments or reading.told.fields):
            raise
        without = replace(reading, told=reading.told.refused())
        return _built(path, beside, without.with_told(stated), stated, file)


def _built(
    path: Path, beside: Path, reading: _Reading, stated: Mapping[str, Any], file: StateFile
) -> tuple[nn.Module, Profile]:
    family, arguments = reading.family, reading.arguments
    remedy = (
        f"correct {beside.name}"
        if stated
        else f"choose another file, or state the arguments in {beside.name} beside it"
    )
    with _told(f"{path.name} cannot be loaded: "):
        check_arguments(family, arguments, beside.name)
    with _told(f"{path.name} cannot be loaded: ", f"; {remedy}"):
        check_fit(reading.tensors, family, arguments, file.size)
    with _told(f"{beside.name}: "):
        profile = make_profile(
            path.stem,
            family,
            arguments,
            reading.guessed,
            stated,
            {**reading.told.fields, "weights": reading.weights},
            file.sha256,
        )
    with _told(f"{path.name} cannot be loaded: ", f"; {remedy}"):
        network = build_network(family, arguments, reading.tensors)
    # No arguments make such numbers right.
    with _told(f"{path.name} cannot be loaded: ", "; choose another file"):
        load_weights(network, reading.tensors)
    return network, profile


@contextmanager
def _told(before: str, after: str = "") -> Iterator[None]:
    """Make a sentence of the clause that an error holds."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{before}{error}{after}.") from error


def check_arguments(family: Family, arguments: Mapping[str, Any], profile_file: str) -> None:
    """Refuse arguments that no network of a family has, before anything is built of them.

    Raises
    ------
    CheckpointError
        In a clause; what is missing is to be stated in the profile file.
    """
    unknown = [name for name in arguments if name not in family.argument_names]
    if unknown:
        if unknown[0] in OF_A_FOLDER:
            raise CheckpointError(
                f"folds and mirroring are chosen of nnU-Net folders, and this is one "
                f"{family.architecture}: leave --folds and --no-mirroring out, or arguments of "
                f"{profile_file}"
            )
        raise CheckpointError(
            f"{family.architecture} has no argument {unknown[0]!r}: the arguments are "
            f"{', '.join(sorted(family.argument_names))}"
        )
    missing = [name for name in family.required if name not in arguments]
    if missing:
        raise CheckpointError(
            f"the arguments of {family.architecture} lack {', '.join(missing)}, which the weights "
            f"do not tell: state them under arguments in {profile_file} beside it"
        )
    if arguments.get("spatial_dims", 3) != 3:
        raise CheckpointError(
            f"spatial_dims is {shorter(arguments['spatial_dims'])}, expected 3: napari-ies "
            "explains 3-d networks only"
        )
    for name in ("in_channels", "out_channels"):
        value = arguments[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise CheckpointError(f"{name} is {shorter(value)}, expected a whole number above 0")
    try:
        sizes = (*family.divisor(arguments), *(family.fixed_size(arguments) or ()))
        if min(sizes) < 1:
            raise ValueError(f"{min(sizes)} is no size")
        if max(family.divisor(arguments)) > _LARGEST_STRIDE or max(sizes) > _LARGEST_IMAGE:
            raise ValueError(
                f"{max(sizes)} voxels, more than any network's total stride or image size"
            )
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise CheckpointError(
            f"the sizes and strides among the arguments of {family.architecture} cannot be read "
            f"({error}): each is a whole number or three of them"
        ) from error
