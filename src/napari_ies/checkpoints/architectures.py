"""The families of networks: how one is built, and how weights get into it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints import dynunet, swin_unetr, unet, unetr
from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import torch
    from torch import nn

    from napari_ies.checkpoints.family import Family

FAMILIES: Mapping[str, Family] = {
    family.architecture: family
    for family in (unet.FAMILY, dynunet.FAMILY, swin_unetr.FAMILY, unetr.FAMILY)
}

_SHOWN = 3


def describe_unknown(keys: Collection[str]) -> str:
    """Say in a clause what a state dict of no known architecture looks like."""
    if any(".encoder.stages." in f".{key}" for key in keys):
        return "it is a network of nnU-Net itself, not MONAI's DynUNet"
    return f"its {len(keys)} tensors ({some(keys)}) are those of none of {', '.join(FAMILIES)}"


def build_network(family: Family, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a network of MONAI with initial weights, leaving PyTorch's random numbers alone.

    Parameters
    ----------
    family
        The network's family.
    arguments
        Keyword arguments of its class.

    Raises
    ------
    CheckpointError
        If the class does not take these arguments.
    """
    import torch
    from monai.networks import nets

    network_class = getattr(nets, family.architecture)
    if "spatial_dims" in inspect.signature(network_class).parameters:
        arguments = {"spatial_dims": 3, **arguments}
    try:
        with torch.random.fork_rng(devices=[]):
            network: nn.Module = network_class(**arguments)
    # The arguments may come from a person's file, and MONAI checks few of them.
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise CheckpointError(
            f"no {family.architecture} can be built with the arguments {_listed(arguments)} "
            f"({reason})"
        ) from error
    return network


def load_weights(
    network: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    family: Family,
    arguments: Mapping[str, Any],
) -> None:
    """Copy a state dict into a network: every key, none more, each of the same shape.

    Only the family's inert keys may be missing or surplus.

    Raises
    ------
    CheckpointError
        If keys are missing or surplus or tensors have other shapes, or a weight is not finite.
    """
    wanted = network.state_dict()
    inert = family.inert(arguments)

    def counts(key: str) -> bool:
        return not (inert and inert.match(key)) and not key.endswith(".num_batches_tracked")

    missing = [key for key in wanted if key not in tensors and counts(key)]
    surplus = [key for key in tensors if key not in wanted and counts(key)]
    reshaped = [k for k in wanted if k in tensors and tensors[k].shape != wanted[k].shape]
    clauses = []
    if missing:
        clauses.append(f"{len(missing)} of its tensors are missing ({some(missing)})")
    if surplus:
        clauses.append(f"{len(surplus)} are surplus ({some(surplus)})")
    if reshaped:
        key = reshaped[0]
        clauses.append(
            f"{len(reshaped)} have other shapes ({key} has {_shape(tensors[key])} in the file, "
            f"{_shape(wanted[key])} in the network)"
        )
    if clauses:
        raise CheckpointError(
            f"it does not fit {family.architecture}({_listed(arguments)}): {', '.join(clauses)}"
        )
    infinite = [k for k, t in tensors.items() if t.is_floating_point() and not _finite(t)]
    if infinite:
        raise CheckpointError(
            f"{len(infinite)} of its tensors ({some(infinite)}) hold NaN or infinity"
        )
    network.load_state_dict({k: t for k, t in tensors.items() if k in wanted}, strict=False)


def _finite(tensor: torch.Tensor) -> bool:
    return bool(tensor.isfinite().all())


def some(keys: Collection[str]) -> str:
    """List the first few of many keys."""
    shown = ", ".join(list(keys)[:_SHOWN])
    return shown if len(keys) <= _SHOWN else f"{shown}, …"


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"


def _listed(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
