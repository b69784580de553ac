"""From a checkpoint file to a network that is ready, or to what there is to say about it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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
from napari_ies.checkpoints.file.state_dict import read_state_file
from napari_ies.checkpoints.sidecar import profile_path, read_profile
from napari_ies.errors import CheckpointError
from napari_ies.network.device import resolve_device
from napari_ies.network.model import SegmentationModel
from napari_ies.network.trained_grid import stated_geometry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch
    from torch import nn

    from napari_ies.checkpoints.families.family import Family
    from napari_ies.network.profile import Profile

_TRIED = 3  # groups of tensors, where a person states the whole network
_LARGEST_STRIDE, _LARGEST_IMAGE = 64, 512


@dataclass(frozen=True)
class Inspection:
    """What a checkpoint is.

    Parameters
    ----------
    path
        The checkpoint file.
    sha256
        Its SHA-256 in hexadecimal.
    profile
        Architecture, inputs, classes, and what was guessed.
    n_parameters
        Number of the network's trained values, each counted once.
    keys
        The keys of the tensors in the file, wrappers stripped.
    profile_file
        The profile file beside it that was used, or None.
    """

    path: Path
    sha256: str
    profile: Profile
    n_parameters: int
    keys: tuple[str, ...]
    profile_file: Path | None


def load_checkpoint(
    path: str | Path,
    *,
    device: str | torch.device = "auto",
    orientation: str | None = None,
    spacing: Sequence[float] | None = None,
) -> SegmentationModel:
    """Load a network from a checkpoint file.

    The file is a state dict of a network of MONAI (UNet, DynUNet, SwinUNETR, UNETR, BasicUNet,
    SegResNet, SegResNetDS, AttentionUnet, VNet) as training scripts save it, wherever in the file
    and under whatever start of its keys. The architecture is recognised from the keys and shapes,
    and proved by loading every tensor strictly; what else the file holds is named in the
    profile's `guessed`. ``NAME.profile.json`` beside ``NAME.pth`` overrides
    what is recognised or assumed. Nothing in the file is executed.

    Parameters
    ----------
    path
        The file.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``: see `resolve_device`.
    orientation, spacing
        Axis codes and voxel size of the images it was trained on, in place of the profile's: see
        `with_geometry`.

    Returns
    -------
    The network in evaluation mode in float32, its weights frozen, with its profile.

    Raises
    ------
    CheckpointError
        If it cannot be loaded, in a sentence that says why and what to do.
    """
    path = Path(path)
    chosen = resolve_device(device)
    network, found = _load(path, spacing)
    profile = stated_geometry(found.profile, orientation, spacing)
    return SegmentationModel(network, profile, chosen, path=path, sha256=found.sha256)


def inspect_checkpoint(path: str | Path) -> Inspection:
    """Say what a checkpoint file is, proved by loading it.

    Raises
    ------
    CheckpointError
        As `load_checkpoint` does.
    """
    return _load(Path(path))[1]


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


def _load(path: Path, spacing: Sequence[float] | None = None) -> tuple[nn.Module, Inspection]:
    """Read a file in the first way that is proved by loading every tensor strictly."""
    file = read_state_file(path)
    tables = file.tables
    beside = profile_path(path)
    there = os.path.lexists(beside)
    stated = read_profile(beside) if there else {}
    if stated.get("resample") and spacing is not None:
        del stated["resample"]  # said with the spacing, by `stated_geometry`
    with _told(f"{beside.name}: "):
        if stated.get("weights") is not None:
            tables = chosen_tables(tables, stated["weights"])
    with _told(f"{path.name} cannot be loaded: "):
        readings = _readings(tables, stated)
    reasons = []
    for reading in readings:
        try:
            network, profile = _built(path, beside, reading, stated, file.size)
        except CheckpointError as error:
            reasons.append(error)
        else:
            count = sum(parameter.numel() for parameter in network.parameters())
            keys, used = tuple(reading.tensors), beside if there else None
            return network, Inspection(path, file.sha256, profile, count, keys, used)
    raise reasons[0]


def _readings(tables: Tables, stated: Mapping[str, Any]) -> list[_Reading]:
    """Settle what to try, the likeliest first: what is stated holds, the rest is recognised.

    Arguments that are complete hold whatever is recognised.
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


def _built(
    path: Path, beside: Path, reading: _Reading, stated: Mapping[str, Any], size: int
) -> tuple[nn.Module, Profile]:
    family, arguments = reading.family, reading.arguments
    remedy = (
        f"correct {beside.name}"
        if stated
        else f"choose another file, or state the arguments in {beside.name} beside it"
    )
    with _told(f"{path.name} cannot be loaded: "):
        _check_arguments(family, arguments, beside.name)
    with _told(f"{path.name} cannot be loaded: ", f"; {remedy}"):
        check_fit(reading.tensors, family, arguments, size)
    with _told(f"{beside.name}: "):
        profile = make_profile(
            path.stem, family, arguments, reading.guessed, stated, reading.weights
        )
    with _told(f"{path.name} cannot be loaded: ", f"; {remedy}"):
        network = build_network(family, arguments)
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


def _check_arguments(family: Family, arguments: Mapping[str, Any], profile_file: str) -> None:
    unknown = [name for name in arguments if name not in family.argument_names]
    if unknown:
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
