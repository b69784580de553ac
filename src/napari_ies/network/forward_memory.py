"""How much memory a pass of a network takes at the least, asked before it is begun."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from napari_ies.errors import SegmentationError
from napari_ies.free_memory import lacking
from napari_ies.network.layers import is_innermost, see_layers, small_size

if TYPE_CHECKING:
    from torch import nn

    from napari_ies.network.model import SegmentationModel
    from napari_ies.network.windows import Tiling


def layer_bytes(model: SegmentationModel) -> float:
    """Return the bytes that a layer's input and output hold at once, by voxel of the window.

    It is that of the layer that takes most: what a pass holds at some moment at the least, on
    whatever device. The network runs once on a small volume of zeros.
    """
    return model.derive("bytes of the largest layer", lambda: _largest(model))


def check_memory(model: SegmentationModel, tiles: Tiling, instead: str) -> None:
    """Refuse a volume that the machine has no memory for, before it is all taken.

    The tiles are the network's windows over the volume; `instead` says what takes less.

    Raises
    ------
    SegmentationError
        If less is free than is needed at the least.
    """
    # The blended logits, and the same on the stored grid or as probabilities.
    needed = 2.0 * 4 * len(model.profile.classes) * math.prod(tiles.shape)
    if model.device.type == "cpu":
        needed += layer_bytes(model) * max(window.size for window in tiles.windows)
    reason = lacking(needed)
    if reason:
        size = " × ".join(map(str, tiles.shape))
        raise SegmentationError(
            f"The network on a volume of {size} voxels {reason}; close other programs, or "
            f"{instead}."
        )


def _largest(model: SegmentationModel) -> float:
    found = 0.0

    def see(_: str, module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        nonlocal found
        if is_innermost(module):
            tensors = [value for value in (*inputs, output) if isinstance(value, torch.Tensor)]
            found = max(found, float(sum(tensor.nbytes for tensor in tensors)))

    see_layers(model, see)
    return found / math.prod(small_size(model))
