"""Grad-CAM++ of one footprint.

Source: Chattopadhay et al., *Grad-CAM++* (WACV 2018), arXiv:1710.11063, with the weights kept per
position and the score ``y' = Σ_{v∈Ω} y[v]`` of a footprint (Spagnolo et al., *Scientific Reports*
2026, doi:10.1038/s41598-026-36560-9).
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_ies.errors import SaliencyError
from napari_ies.geometry.box import Box
from napari_ies.network.device import arithmetic
from napari_ies.network.finite import all_finite
from napari_ies.network.inference import network_logits
from napari_ies.network.layers import forget_outputs, see_layers, small_size
from napari_ies.network.members import (
    InMirrors,
    members_of,
    mirror_image,
    mirrors_of,
    mirrors_together,
)
from napari_ies.saliency.footprint import Piece, pieces
from napari_ies.saliency.problem import Estimate, Problem, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel

UPSAMPLING = (nn.ConvTranspose3d, nn.Upsample)
UPSAMPLES = ("aten.conv_transpose3d", "aten.upsample_")
STAGE = re.compile(r"(encoder|decoder)\.(stages|transpconvs)\.\d+")
"""A stage of the networks of nnU-Net, by its name."""
NO_LAYERS = (
    "A TorchScript network lets nobody look at its layers, so there is no Grad-CAM++ of it: choose "
    "SmoothGrad, or load the network's weights or what torch.export makes of it."
)


def candidate_layers(model: SegmentationModel) -> tuple[str, ...]:
    """Return the names of the layers a Grad-CAM++ can look at, in the order they run.

    The network runs once on a small volume of zeros.

    Returns
    -------
    Names of the modules whose output is one map per channel, (N, K, x, y, z) with at least two
    positions, as `torch.nn.Module.get_submodule` takes them. Of a network that is made of stages,
    as nnU-Net's are, only these and what upsamples between them: inside a stage every layer is
    there under several names.
    """
    names = tuple(_layer_sizes(model))
    return tuple(name for name in names if STAGE.fullmatch(name)) or names


def layers_offered(model: SegmentationModel) -> tuple[tuple[str, ...], str, str]:
    """Return the layers a Grad-CAM++ can look at, the default one, and why there is none of them.

    Returns
    -------
    `candidate_layers`, `default_layer` and an empty string; where there is no Grad-CAM++ of the
    network no layers and a sentence that says why; where only no default, an empty name and that
    sentence.
    """
    layers: tuple[str, ...] = ()
    try:
        check_gradients(model.network)
        layers = candidate_layers(model)
        return layers, default_layer(model), ""
    except SaliencyError as error:
        return layers, "", str(error)


def default_layer(model: SegmentationModel) -> str:
    """Return the last upsampling layer below output resolution, or else the last layer below it.

    Raises
    ------
    SaliencyError
        If no layer lies below output resolution.
    """
    return model.derive("default layer", lambda: _last_below(model))


def _last_below(model: SegmentationModel) -> str:
    sizes = _layer_sizes(model)
    below = [name for name, size in sizes.items() if size != small_size(model)]
    first = members_of(model.network)[0]
    upsampling = [name for name in below if _upsamples(first.get_submodule(name))]
    if not sizes and any(
        isinstance(one, torch.jit.ScriptModule) for one in model.network.modules()
    ):
        raise SaliencyError(NO_LAYERS)
    if not below:
        raise SaliencyError(
            "The network has no layer below output resolution; choose a layer by name."
        )
    return (upsampling or below)[-1]


def _upsamples(layer: nn.Module) -> bool:
    if isinstance(layer, UPSAMPLING):
        return True
    # Of an exported network it is known what each layer runs, and no more what class it was.
    nodes = getattr(getattr(layer, "graph", None), "nodes", ())
    alone = next(layer.children(), None) is None
    return alone and any(str(node.target).startswith(UPSAMPLES) for node in nodes)


def check_gradients(network: nn.Module) -> None:
    """Refuse a network back through which, or a member of which, no gradients flow.

    Raises
    ------
    SaliencyError
        With the reason.
    """
    for one in members_of(network):
        if why := getattr(one, "no_gradients", ""):
            raise SaliencyError(why)


def gradcam(problem: Problem, voxels: NDArray[np.int64], layer: str) -> Iterator[Estimate]:
    """Compute a footprint's Grad-CAM++.

    The activations of all windows that hold the footprint count as one set of positions: the
    sums in the weights run over all of them, and the maps of overlapping windows add.

    Parameters
    ----------
    problem
        What the gradients depend on.
    voxels
        int64 (V, 3): the footprint.
    layer
        Name of the layer in the network.

    Yields
    ------
    An estimate after each window; the last one carries the map, (1, x, y, z), upsampled
    trilinearly to the image.

    Raises
    ------
    SaliencyError
        If there is no such layer or it gives no map per channel.
    """
    found = pieces(voxels, problem.tiles)
    box = Box.hull([problem.tiles.visible(piece.window) for piece in found])
    passes = []
    total = torch.zeros(())
    for done, piece in enumerate(found):
        window = problem.tiles.crop(problem.image, piece.window).to(problem.device)
        activations, gradients = layer_pass(problem, piece, window, layer)
        problem.check(all_finite(activations), f"activations of {layer}", piece.window)
        problem.check(all_finite(gradients), "gradients", piece.window)
        total = total + (activations * gradients**3).sum(dim=(0, 2, 3, 4)).cpu()
        passes.append((activations.cpu(), gradients.cpu()))
        yield Estimate(done, len(found), 0, box)
    members = len(members_of(problem.network))
    # A member alone has its channels only, and a gradient that no mean with others makes smaller.
    shares = [(slice(None), 1)]
    if members > 1:
        each = len(total) // members
        shares += [(slice(n * each, (n + 1) * each), members) for n in range(members)]
    canvas = torch.zeros((len(shares), *box.shape))
    for piece, (activations, gradients) in zip(found, passes, strict=True):
        part = problem.tiles.visible(piece.window)
        for number, (own, times) in enumerate(shares):
            upsampled = window_map(
                activations[:, own], times * gradients[:, own], times**3 * total[own], piece
            )
            inside = upsampled[(0, *part.within(piece.window))]
            canvas[(number, *part.within(box))] += inside
    if not all_finite(total) or not all_finite(canvas):
        raise too_large()
    first, *alone = canvas[:, None]
    yield Estimate(len(found), len(found), 1, box, first, members=tuple(alone))


def window_map(
    activations: torch.Tensor, gradients: torch.Tensor, total: torch.Tensor, piece: Piece
) -> torch.Tensor:
    """Return a window's part of the map, (1, x, y, z), upsampled to its voxels.

    Its mirror images are windows of their own, whose maps add.
    """
    raw = torch.stack(
        [
            _position_map(*view, total.to(activations))
            for view in zip(activations, gradients, strict=True)
        ]
    ).sum(dim=0)
    return functional.interpolate(
        raw[None, None], size=piece.window.shape, mode="trilinear", align_corners=False
    )[0]


def _position_map(
    activations: torch.Tensor, gradients: torch.Tensor, total: torch.Tensor
) -> torch.Tensor:
    """Return Σ_k α_k ReLU(g_k) A_k, rectified, with α = g² / (2 g² + Σ A g³)."""
    squares = gradients**2
    denominator = 2 * squares + total[:, None, None, None]
    alpha = torch.where(denominator != 0, squares / denominator, 0.0)
    return (alpha * gradients.relu() * activations).sum(dim=0).relu()


def layer_pass(
    problem: Problem, piece: Piece, window: torch.Tensor, layer: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the layer's activations and the score's gradient there, each (M, K, x, y, z).

    M counts the mirror images that the network sees, turned back; the channels K are those of all
    networks that it is the mean of.
    """
    network = problem.network
    members = members_of(network)
    share = 1 / (len(members) * len(mirrors_of(network)))
    views = [
        [
            _pass_of(problem, InMirrors(one, mirrors), share * len(mirrors), piece, window, layer)
            for one in members
        ]
        for mirrors in mirrors_together(network, window[0].numel())
    ]
    activations, gradients = (
        torch.cat([torch.cat([one[which] for one in each], dim=1) for each in views])
        for which in (0, 1)
    )
    return activations, gradients


def _pass_of(
    problem: Problem,
    network: InMirrors,
    share: float,
    piece: Piece,
    window: torch.Tensor,
    layer: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `layer_pass` does, of one member and some mirror images."""
    with torch.enable_grad(), _watched(network.network, layer) as outputs:
        with arithmetic(problem.precision, window.device):
            logits = network_logits(network, window[None])[0, problem.class_index]
        forget_outputs(network.network)
        if len(outputs) != 1:
            raise SaliencyError(
                f"The layer {layer!r} runs {len(outputs)} times in one pass; choose one that "
                "runs once."
            )
        logits = logits.to(window.dtype)
        problem.check(all_finite(logits), "logits", piece.window)
        score = (
            share
            * (
                logits[tuple(torch.from_numpy(piece.local).to(logits.device).T)]
                * piece.weight.to(logits)
            ).sum()
        )
        if not score.requires_grad:
            raise SaliencyError(
                f"The prediction does not depend on the layer {layer!r}; choose another one."
            )
        with arithmetic(problem.precision):
            (gradient,) = torch.autograd.grad(score, outputs)
    found = (_turned_back(one.to(window), network) for one in (outputs[0].detach(), gradient))
    activations, gradients = found
    return activations, gradients


def _turned_back(values: torch.Tensor, network: InMirrors) -> torch.Tensor:
    """Return what a layer gave for each mirror image, (M, K, x, y, z), turned back."""
    pairs = zip(values, network.mirrors, strict=True)
    return torch.stack([mirror_image(one, mirror) for one, mirror in pairs])


def layer_named(network: nn.Module, layer: str) -> nn.Module:
    """Return a layer by its name; of several networks as one, that of the first.

    Raises
    ------
    SaliencyError
        If the network has none of that name.
    """
    network = members_of(network)[0]
    try:
        found = network.get_submodule(layer)
        if isinstance(found, torch.jit.ScriptModule):
            raise SaliencyError(NO_LAYERS)
        return found
    except AttributeError:
        names = [name for name, _ in network.named_modules() if name]
        near = ", ".join(get_close_matches(layer, names, cutoff=0.0))
        raise SaliencyError(
            f"The network has no layer {layer!r}; choose one that it has, such as {near}."
        ) from None


@contextmanager
def _watched(network: nn.Module, layer: str) -> Iterator[list[torch.Tensor]]:
    """Collect a layer's output as the start of the graph: nothing before it is differentiated."""
    outputs: list[torch.Tensor] = []

    def watch(_module: nn.Module, _inputs: object, output: object) -> torch.Tensor:
        if not isinstance(output, torch.Tensor) or output.ndim != 5:
            raise SaliencyError(
                f"The layer {layer!r} gives no map per channel; choose a convolution, "
                "normalisation or activation layer."
            )
        leaf = output.detach().requires_grad_()
        outputs.append(leaf)
        return leaf.clone()  # what follows may work in place

    handle = layer_named(network, layer).register_forward_hook(watch)
    try:
        yield outputs
    finally:
        handle.remove()


def _layer_sizes(model: SegmentationModel) -> dict[str, tuple[int, ...]]:
    """Run the network on zeros; return the output size of each layer in the order they end."""
    sizes: dict[str, tuple[int, ...]] = {}

    def record(name: str, _module: nn.Module, _inputs: object, output: object) -> None:
        tensor = output if name and isinstance(output, torch.Tensor) else None
        if tensor is not None and tensor.ndim == 5 and tensor[0, 0].numel() > 1:
            sizes[name] = tuple(tensor.shape[2:])

    see_layers(model, record, members_of(model.network)[0])
    return sizes
