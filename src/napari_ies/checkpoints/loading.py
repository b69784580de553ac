"""From a checkpoint file to a network that is ready, or to what there is to say about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.architectures import (
    FAMILIES,
    build_network,
    describe_unknown,
    load_weights,
    recognise,
)
from napari_ies.checkpoints.defaults import make_profile
from napari_ies.checkpoints.device import resolve_device
from napari_ies.checkpoints.model import SegmentationModel
from napari_ies.checkpoints.sidecar import profile_path, read_profile
from napari_ies.checkpoints.state_dict import file_sha256, read_state_dict
from napari_ies.checkpoints.trained_grid import stated_geometry
from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import nn

    from napari_ies.checkpoints.family import Family
    from napari_ies.checkpoints.profile import Profile


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

    The file is a state dict of MONAI's UNet, DynUNet, SwinUNETR or UNETR as training scripts save
    it. The architecture is recognised from the keys and shapes, and proved by loading every
    tensor strictly; ``NAME.profile.json`` beside ``NAME.pth`` overrides what is recognised or
    assumed. Nothing in the file is executed. A network with a single output channel is read with
    the sigmoid, any other with the softmax.

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
    network, profile, _ = _load(path)
    profile = stated_geometry(profile, orientation, spacing)
    return SegmentationModel(network, profile, chosen, path=path, sha256=file_sha256(path))


def inspect_checkpoint(path: str | Path) -> Inspection:
    """Say what a checkpoint file is, proved by loading it.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    CheckpointError
        As `load_checkpoint` does.
    """
    path = Path(path)
    network, profile, keys = _load(path)
    beside = profile_path(path)
    return Inspection(
        path=path,
        sha256=file_sha256(path),
        profile=profile,
        n_parameters=sum(parameter.numel() for parameter in network.parameters()),
        keys=keys,
        profile_file=beside if beside.exists() else None,
    )


def _load(path: Path) -> tuple[nn.Module, Profile, tuple[str, ...]]:
    tensors = read_state_dict(path)
    beside = profile_path(path)
    stated = read_profile(beside) if beside.exists() else {}
    try:
        family, arguments, guessed, tensors = _architecture(tensors, stated)
        _check_arguments(family, arguments, beside.name)
    except CheckpointError as error:
        raise CheckpointError(f"{path.name} cannot be loaded: {error}.") from error
    try:
        profile = make_profile(path.stem, family, arguments, guessed, stated)
    except CheckpointError as error:
        raise CheckpointError(f"{beside.name}: {error}.") from error
    try:
        network = build_network(family, arguments)
        load_weights(network, tensors, family, arguments)
    except CheckpointError as error:
        remedy = (
            f"correct {beside.name}"
            if stated
            else f"choose another file, or state the arguments in {beside.name} beside it"
        )
        raise CheckpointError(f"{path.name} cannot be loaded: {error}; {remedy}.") from error
    return network, profile, tuple(tensors)


def _architecture(
    tensors: dict[str, torch.Tensor], stated: Mapping[str, Any]
) -> tuple[Family, dict[str, Any], dict[str, str], dict[str, torch.Tensor]]:
    """Settle the architecture and its arguments: what is stated holds, the rest is recognised."""
    named = stated.get("architecture")
    said: dict[str, Any] = stated.get("arguments", {})
    found = recognise(tensors)
    if found is None or (named is not None and named != found[0].architecture):
        if named is None:
            raise CheckpointError(
                f"{describe_unknown(tensors)}; choose the checkpoint of such a network of MONAI"
            )
        return FAMILIES[named], dict(said), {}, tensors
    family, recognition, tensors = found
    guessed = {name: text for name, text in recognition.guessed.items() if name not in said}
    return family, {**recognition.arguments, **said}, guessed, tensors


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
            f"spatial_dims is {arguments['spatial_dims']!r}, expected 3: napari-ies explains 3-d "
            "networks only"
        )
    for name in ("in_channels", "out_channels"):
        if not isinstance(arguments[name], int) or arguments[name] < 1:
            raise CheckpointError(f"{name} is {arguments[name]!r}, expected a whole number above 0")
    try:
        family.divisor(arguments), family.fixed_size(arguments)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"the sizes and strides among the arguments of {family.architecture} cannot be read "
            f"({error}): each is a whole number or three of them"
        ) from error
