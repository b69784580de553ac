"""The families of networks: how one is built, and how weights get into it."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.families import (
    attention_unet,
    basic_unet,
    dynunet,
    lst_ai,
    segresnet,
    segresnet_ds,
    swin_unetr,
    unet,
    unetr,
    vnet,
)
from napari_ies.errors import CheckpointError
from napari_ies.free_memory import lacking
from napari_ies.network.finite import all_finite
from napari_ies.own_symbols import own_symbols

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import torch
    from torch import nn

    from napari_ies.checkpoints.families.family import Family

FAMILIES: Mapping[str, Family] = {
    family.architecture: family
    for family in (
        unet.FAMILY,
        dynunet.FAMILY,
        swin_unetr.FAMILY,
        unetr.FAMILY,
        basic_unet.FAMILY,
        segresnet.FAMILY,
        segresnet_ds.FAMILY,
        attention_unet.FAMILY,
        vnet.FAMILY,
        lst_ai.FAMILY,
    )
}

_SHOWN = 3
_LONGEST = 200
_DEEPEST, _FEW = 4, 8
_LARGEST = 10_000_000
_COUNTS = frozenset(
    {"num_res_units", "depths", "deep_supr_num", "blocks_down", "blocks_up", "dsdepth"}
)
"""Arguments that say how many layers there are."""
_LARGER, _SMALL = 8, 256 << 20
"""A network has at most so many times the bytes of its file (float32 of 8-bit numbers, and layers
that no output depends on), and so many more (what follows from an attention's window)."""


def describe_unknown(keys: Collection[str]) -> str:
    """Say in a clause what a state dict of no known architecture looks like."""
    if any(".encoder.stages." in f".{key}" for key in keys):
        return "it is a network of nnU-Net itself, not MONAI's DynUNet"
    return f"its {len(keys)} tensors ({some(keys)}) are those of none of {', '.join(FAMILIES)}"


def build_network(
    family: Family, arguments: Mapping[str, Any], replaced_by: Collection[str] = ()
) -> nn.Module:
    """Build a network with initial weights, leaving PyTorch's random numbers alone.

    Parameters
    ----------
    family, arguments
        The network's class, and keyword arguments of it.
    replaced_by
        Keys of tensors that will replace its own: if they are all, its weights are not drawn first.

    Raises
    ------
    CheckpointError
        If the class does not take these arguments.
    """
    import torch
    from monai.networks import nets

    from napari_ies.checkpoints.families.initial_numbers import undrawn

    network_class = family.build or getattr(nets, family.architecture)
    if "spatial_dims" in inspect.signature(network_class).parameters:
        arguments = {"spatial_dims": 3, **arguments}
    try:
        with torch.random.fork_rng(devices=[]):
            # SegResNetDS fills in what its arguments leave out, in the dictionaries it is given.
            def made() -> nn.Module:
                network: nn.Module = network_class(**copy.deepcopy(dict(arguments)))
                return network

            network = undrawn(made, replaced_by) if replaced_by else made()
    # The arguments may come from a person's file, and MONAI checks few of them.
    except Exception as error:
        reason = " ".join(str(error)[:_LONGEST].split()).rstrip(".") or type(error).__name__
        raise CheckpointError(
            f"no {family.architecture} can be built with the arguments {_listed(arguments)} "
            f"({reason})"
        ) from error
    return network


def check_fit(
    tensors: Mapping[str, torch.Tensor], family: Family, arguments: Mapping[str, Any], size: int
) -> None:
    """Check that a state dict is that of a network: every key, none more, each of its shape.

    The network is built without its numbers, so that this takes no memory, whatever the arguments
    claim. Only the family's inert keys may be missing or surplus.

    Parameters
    ----------
    tensors
        The state dict.
    family, arguments
        The network.
    size
        Bytes of the file that they come from.

    Raises
    ------
    CheckpointError
        If keys are missing or surplus, tensors have other shapes, or the network would take more
        memory than there is, or than such a file can tell of.
    """
    _check_numbers(arguments, len(tensors))
    wanted = _without_numbers(family, arguments).state_dict()
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
    needed = sum(tensor.numel() * tensor.itemsize for tensor in wanted.values())
    if needed > _LARGER * size + _SMALL:
        raise CheckpointError(
            f"{family.architecture}({_listed(arguments)}) has {needed / 1e9:.1f} GB of numbers, "
            f"far more than a file of {size / 1e6:.1f} MB tells"
        )
    if lack := lacking(2 * needed):
        raise CheckpointError(f"loading it {lack}: close other programs")


def load_weights(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Copy a state dict that fits into a network, and look at what has become of its numbers.

    Raises
    ------
    CheckpointError
        If a weight is no decimal number, not finite, or too large for the network's float32, a
        variance is negative, an index leads nowhere, or copies of one tensor contradict each other.
    """
    own = network.state_dict()
    for key, tensor in tensors.items():
        if key in own and own[key].is_floating_point() and not tensor.is_floating_point():
            raise CheckpointError(
                f"its tensor {key} holds {_kind(tensor)} numbers, where decimal ones were expected"
            )
        if key in own and key.endswith(".relative_position_index"):
            low, high = own[key].aminmax()
            if tensor.is_complex() or tensor.min() < low or tensor.max() > high:
                raise CheckpointError(f"its tensor {key} holds places that the network has not")
    network.load_state_dict({k: t for k, t in tensors.items() if k in own}, strict=False)
    loaded = {k: t for k, t in network.state_dict().items() if k in tensors}
    spoilt = [k for k, t in loaded.items() if t.is_floating_point() and not all_finite(t)]
    if infinite := [key for key in spoilt if not all_finite(tensors[key])]:
        raise CheckpointError(
            f"{len(infinite)} of its tensors ({some(infinite)}) hold NaN or infinity"
        )
    if spoilt:
        raise CheckpointError(
            f"{len(spoilt)} of its tensors ({some(spoilt)}) hold numbers too large for the "
            "network's float32"
        )
    negative = [k for k, t in loaded.items() if k.endswith(".running_var") and bool((t < 0).any())]
    if negative:
        raise CheckpointError(
            f"{len(negative)} of its tensors ({some(negative)}) hold negative variances"
        )
    _check_copies(loaded, tensors)


def _check_copies(own: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse a file that holds a tensor of the network twice, with other numbers each."""
    first: dict[int, str] = {}
    for key in sorted(own):
        other = first.setdefault(own[key].data_ptr(), key) if own[key].numel() else key
        one, copy = tensors[other], tensors[key]
        if one.shape == copy.shape and bool((one.float() != copy.float()).any()):
            raise CheckpointError(
                f"its tensors {other} and {key} are one in the network, and hold different numbers"
            )


def _without_numbers(family: Family, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a network whose tensors have shapes and no memory."""
    from napari_ies.checkpoints.families.initial_numbers import without_memory

    # Some operations without memory go by PyTorch's compiler, which imports Triton.
    with own_symbols(), without_memory():
        return build_network(family, arguments)


def _check_numbers(value: Any, most: int, name: str = "arguments", depth: int = 0) -> None:
    """Refuse arguments that no network has: as many layers as the file has tensors are the most."""
    if isinstance(value, dict | list | tuple):
        # Of the arguments themselves a class has as many as it has.
        if (depth and len(value) > max(most, _FEW)) or depth > _DEEPEST:
            raise CheckpointError(
                f"{name} has {len(value)} entries, more than a file with {most} tensors can have"
            )
        inner = value.items() if isinstance(value, dict) else ((name, each) for each in value)
        for key, each in inner:
            _check_numbers(each, most, str(key), depth + 1)
    elif isinstance(value, str) and len(value) > _LONGEST:
        raise CheckpointError(f"{name} is a text of {len(value)} letters")
    elif isinstance(value, int | float):
        limit = max(most, _FEW) if name in _COUNTS else _LARGEST
        if not abs(value) <= limit:
            raise CheckpointError(
                f"{name} is {shorter(value)}, where at most {limit} is possible"
                + (f" for a file with {most} tensors" if name in _COUNTS else "")
            )


def _kind(tensor: torch.Tensor) -> str:
    return "complex" if tensor.is_complex() else str(tensor.dtype).removeprefix("torch.")


def shorter(value: Any) -> str:
    """Show a value in a sentence, shortened."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return f"a number of {value.bit_length() * 3 // 10} digits"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def some(keys: Collection[str]) -> str:
    """List the first few of many keys."""
    shown = ", ".join(list(keys)[:_SHOWN])
    return shown if len(keys) <= _SHOWN else f"{shown}, …"


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"


def _listed(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={shorter(value)}" for name, value in arguments.items())
