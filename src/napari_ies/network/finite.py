"""Values that are no numbers (NaN) or infinite, and the layer of a network where they arise."""

from __future__ import annotations

import warnings
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from napari_ies.network.layers import layers_of, out_of_place, watched

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_ies.geometry.box import Box
    from napari_ies.network.windows import Tiling


def all_finite(tensor: torch.Tensor) -> bool:
    """Whether every value is a finite number.

    A sum is finite only if its terms are, and takes a fraction of the time of looking at each one;
    they are looked at where the sum is not, since finite terms can have an infinite sum.
    """
    if tensor.itemsize == 1 and tensor.is_floating_point():
        tensor = tensor.float()
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def where_not_finite(network: nn.Module, image: torch.Tensor, tiles: Tiling, window: Box) -> str:
    """Say in which window, and in which layer of the network, values stopped being finite.

    Parameters
    ----------
    network
        It is run once more on this window, its layers watched.
    image
        (C, X, Y, Z): the volume that the window lies in.
    tiles, window
        The windows, and the one where it was noticed.

    Returns
    -------
    Such as ``"in window 3 of 27 (voxels 0-95, 72-167, 0-95), first in its layer model.0.conv"``;
    without a layer where none makes them so without noise. A layer makes values so if those that
    come to it, forward or with the gradient of the logits' sum backward, are finite.
    """
    number = tiles.windows.index(window) + 1
    voxels = ", ".join(f"{part.start}-{part.stop - 1}" for part in tiles.visible(window))
    place = f"in window {number} of {len(tiles.windows)} (voxels {voxels})"
    crop = tiles.crop(image, window)
    if not all_finite(crop):
        return f"{place}, whose image holds such values itself"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch, on hooks
        layer = _first_layer(network, crop) or _first_backward(network, crop)
    return f"{place}, first in its layer {layer}" if layer else place


def _first_layer(network: nn.Module, crop: torch.Tensor) -> str:
    """Return the name of the first layer whose output is not finite; empty if there is none."""
    import torch

    found: list[str] = []

    def see(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        values = output if isinstance(output, list | tuple) else (output,)
        for value in values:
            if not found and hasattr(value, "isfinite") and not all_finite(value):
                found.append(name or type(_module).__name__)

    with watched(network, see), torch.no_grad():
        parameter = next(network.parameters(), crop)
        network(crop[None].to(parameter))
    return found[0] if found else ""


def _first_backward(network: nn.Module, crop: torch.Tensor) -> str:
    """Return the first layer that makes gradients of the logits' sum so; empty if none does."""
    import torch

    found: list[str] = []
    with out_of_place(network), ExitStack() as undone, torch.enable_grad():
        for name, module in layers_of(network):
            hook = module.register_full_backward_hook(_backward_watcher(name, found))
            undone.callback(hook.remove)
        parameter = next(network.parameters(), crop)
        leaf = crop[None].to(parameter).detach().requires_grad_()
        with suppress(RuntimeError):
            output = network(leaf)
            output = output[0] if isinstance(output, list | tuple) else output
            torch.autograd.grad(output.sum(), leaf)
    return found[0] if found else ""


def _backward_watcher(name: str, found: list[str]):  # type: ignore[no-untyped-def]
    def watch(module: nn.Module, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        made = any(g is not None and not all_finite(g) for g in inputs)
        if made and not found and all(g is None or all_finite(g) for g in outputs):
            found.append(name or type(module).__name__)

    return watch
