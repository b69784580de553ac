"""The steps of a plan, some of which kernels stand in for: for which, and what they join."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import torch

from napari_ies.saliency.engines.kernels.choice import Subject
from napari_ies.saliency.engines.kernels.strided import Behind, Places, Strided
from napari_ies.saliency.engines.local_convolutions import Convolution
from napari_ies.saliency.engines.local_layers import Pointwise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_ies.geometry.box import Box
    from napari_ies.saliency.engines.kernels.candidates import JoiningRows
    from napari_ies.saliency.engines.local_translation import Node
    from napari_ies.saliency.engines.moves import Move
    from napari_ies.saliency.engines.patches import Kept
    from napari_ies.saliency.engines.plan import Join, Step

WORTH = 0.02
"""A convolution with less of a row's work is not tried."""


def worth_trying(nodes: Sequence[Node], boxes: Mapping[int, Box]) -> list[Subject]:
    """Return the convolutions that kernels may take rows through.

    Parameters
    ----------
    nodes
        Of the network.
    boxes
        What of each node's output one voxel of the network's depends on.
    """
    readers = [index for index, node in enumerate(nodes) if -1 in node.inputs]
    work: dict[int, int] = {}
    for index, node in enumerate(nodes):
        layer = node.layer
        if not isinstance(layer, Convolution) or layer.weight.dtype == torch.float64:
            continue  # kernels compute rows of float32
        if layer.groups == 1 and layer.dilation == (1, 1, 1):
            work[index] = layer.weight.numel() * boxes[index].size
    subjects = []
    for index, part in work.items():
        layer = nodes[index].layer
        if isinstance(layer, Convolution) and part >= WORTH * sum(work.values()):
            convolution = Strided(layer.weight, layer.stride, layer.padding)
            subjects.append(Subject(index, convolution, boxes[index].shape, readers == [index]))
    return subjects


def pulled(
    nodes: Sequence[Node],
    seeds: torch.Tensor,
    steps: Sequence[Step],
    slopes: Mapping[int, Kept],
) -> dict[int, torch.Tensor]:
    """Take cotangents of the output back through steps, by kernels where layers have them.

    Parameters
    ----------
    nodes
        Of the network.
    seeds
        (R, classes, x, y, z); copies with the channels last are taken through.
    steps
        The layers that they are taken through, the last one first.
    slopes
        Of the activations, by node.

    Returns
    -------
    What is left, by the node whose output it is of; -1 is the input.
    """
    waiting, scaled = {len(nodes) - 1: seeds.clone(memory_format=torch.channels_last_3d)}, -1
    for step, after in zip(steps, (*steps[1:], None), strict=True):
        node, values = nodes[step.node], waiting.pop(step.node)
        both = _joined(step, after, nodes, waiting, slopes)
        if both is not None:
            (scaled,) = node.inputs
            waiting[scaled] = both(values)
            continue
        if step.node == scaled:  # by the kernel of the step before
            parts = [values]
        else:
            parts = node.layer.pull(values, step.moves, slopes.get(step.node))
        del values
        for source, part, join in zip(node.inputs, parts, step.joins, strict=True):
            waiting[source] = part if join is None else join.add(waiting[source], part)
    return waiting


def _joined(
    step: Step,
    after: Step | None,
    nodes: Sequence[Node],
    waiting: dict[int, torch.Tensor],
    slopes: Mapping[int, Kept],
) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Return a convolution's kernel with the next step in it, None if it cannot take that.

    That is where the convolution's input is an activation's output that no other layer has yet
    to be taken back to: the cotangents that wait there are added (and taken out of those that
    wait), and the slopes multiplied.
    """
    node = nodes[step.node]
    kernel = node.layer.kernel if isinstance(node.layer, Convolution) else None
    if kernel is None or not kernel.takes_behind or after is None or after.node not in node.inputs:
        return None
    (join,) = step.joins
    if not isinstance(nodes[after.node].layer, Pointwise) or not _within(join):
        return None
    (scaling,) = after.moves
    factors = slopes[after.node].values
    if scaling.at is None or factors.dtype != torch.float32:
        return None
    added = adding = None
    if join is not None and join.adding.at is not None:
        added, adding = waiting.pop(after.node), _places(join.adding, join.adding.at)
    behind = Behind(added, adding, factors, _places(scaling, scaling.at))
    return partial(cast("JoiningRows", kernel), behind=behind)


def _within(join: Join | None) -> bool:
    """Whether what waits, if anything, lies within the boxes of what comes to it."""
    if join is None:
        return True
    alike = join.adding.size == join.adding.target
    return join.canvas is None and (alike or not join.first_is_larger)


def _places(move: Move, at: torch.Tensor) -> Places:
    return Places(at, move.volume, move.low, move.own_targets)
