"""How a network that sees windows covers a volume: the one forward that all rooms share.

The logits of a volume are ``y[v] = Σ_w b_w[v] f(x_w)[v]``: a blend, with weights ``b`` that sum to
1 at every voxel, of the network's outputs ``f`` on the windows ``w`` that hold the voxel. A
sliding window has many windows, a whole-volume pass has one with the weight 1. Segmentation
evaluates this sum, saliency differentiates it; both take it from here, so what is explained is
what is on the screen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_ies.errors import SegmentationError
from napari_ies.free_memory import lacking
from napari_ies.geometry.box import Box, Triple

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.network.profile import Blending, Profile

MOST_WINDOWS = 100_000
"""Days of work, and more than this are a slip in the window or its overlap."""


@dataclass(frozen=True, eq=False)
class Tiling:
    """The windows of one forward over a volume, with their blend weights.

    Parameters
    ----------
    shape
        Size of the volume.
    windows
        All windows, in the order they are evaluated, in the indices of the volume; one may reach
        beyond it.
    blended
        Whether overlapping windows are blended; otherwise there is a single window.
    blending
        With which weights, see `Profile`.
    """

    shape: Triple
    windows: tuple[Box, ...]
    blended: bool
    blending: Blending = "gaussian"

    def importance(self, window: Box) -> torch.Tensor:
        """Return the unscaled weights of a window on the part of it that lies in the volume.

        Divided by :attr:`total` they are the blend weights: over all windows these sum to 1 at
        every voxel. Float64 (x, y, z) on the CPU.
        """
        return self.window_importance[self.visible(window).within(window)]

    def visible(self, window: Box) -> Box:
        """Return the part of a window that lies in the volume, in the volume's indices."""
        part = window.meet(Box.whole(self.shape))
        if part is None:
            raise ValueError("the window lies outside the volume")
        return part

    def crop(self, volume: torch.Tensor, window: Box, box: Box | None = None) -> torch.Tensor:
        """Return what a window sees of a volume, zeros where it reaches beyond it.

        Parameters
        ----------
        volume
            (..., x, y, z): the whole volume, or the box of it that is given.
        window
            One of `windows`.
        box
            Which part of the volume is given; it must hold the window's visible part.

        Returns
        -------
        (..., *window.shape): a view where the window lies inside the volume, else a copy.
        """
        part = self.visible(window)
        crop = volume[(..., *(part if box is None else part.within(box)))]
        padding = window.margins(part)
        return functional.pad(crop, padding) if any(padding) else crop

    def meeting(self, box: Box) -> list[Box]:
        """Return the windows that share a voxel with a box, in their order."""
        first, size = self._starts, self.windows[0].shape
        shared = (first < box.stop) & (first + size > box.start)
        return [self.windows[number] for number in np.flatnonzero(shared.all(axis=1))]

    def total_on(self, device: torch.device, box: Box) -> torch.Tensor:
        """Return the sum of all windows' importance on a box, float64 on a device that has it."""
        if device.type == "cpu":
            return self.total[box]
        dtype = torch.float32 if device.type == "mps" else torch.float64
        importance = self.window_importance.to(device, dtype)
        total = torch.zeros(box.shape, dtype=dtype, device=device)
        for window in self.meeting(box):
            part = self.visible(window).meet(box)
            if part is not None:
                total[part.within(box)] += importance[part.within(window)]
        return total

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.array([window.start for window in self.windows])

    @cached_property
    def window_importance(self) -> torch.Tensor:
        """The unscaled weights of a whole window, float64 (x, y, z) on the CPU."""
        from monai.data.utils import compute_importance_map

        size = self.windows[0].shape
        if not self.blended or self.blending == "constant":
            return torch.ones((), dtype=torch.float64).expand(size)
        if self.blending == "nnU-Net":
            from nnunetv2.inference.sliding_window_prediction import compute_gaussian

            # The factor and the half precision are those of nnU-Net's own predictor.
            cpu = torch.device("cpu")
            gaussian: torch.Tensor = compute_gaussian(size, 1 / 8, 10, torch.float16, cpu)
            return gaussian.double()
        importance: torch.Tensor = compute_importance_map(size, mode="gaussian", sigma_scale=0.125)
        return importance.double()

    @cached_property
    def total(self) -> torch.Tensor:
        """Sum of all windows' importance at every voxel, float64 (X, Y, Z)."""
        total = torch.zeros(self.shape, dtype=torch.float64)
        for window in self.windows:
            total[self.visible(window)] += self.importance(window)
        return total


def tiling(profile: Profile, shape: Triple, forward: str) -> Tiling:
    """Return the windows of a forward.

    Parameters
    ----------
    profile
        Gives the window, its overlap, its blending and the sizes the network takes.
    shape
        Size of the volume.
    forward
        ``"sliding-window"``: the windows of MONAI's sliding-window inference, or of nnU-Net's
        where the profile says so, blended; a volume smaller than the window is padded with zeros
        on both sides.
        ``"whole-volume"``: one window, padded with zeros at the far end of each axis.

    Raises
    ------
    SegmentationError
        If the network cannot take the whole volume in one pass.
    """
    if forward == "sliding-window":
        _check_memory(profile, shape, profile.window, "give the profile a smaller window")
        return _sliding(shape, profile.window, profile.overlap, profile.blending)
    if profile.fixed_size is not None:
        size = " x ".join(map(str, profile.fixed_size))
        raise SegmentationError(
            f"{profile.architecture} takes windows of {size} voxels and nothing else; choose the "
            "forward sliding-window instead of whole-volume."
        )
    sizes = zip(shape, profile.divisor, strict=True)
    window = Box.whole([math.ceil(n / divisor) * divisor for n, divisor in sizes])
    _check_memory(profile, shape, window.shape, "choose the forward sliding-window")
    return Tiling(shape, (window,), blended=False)


def _check_memory(profile: Profile, shape: Triple, window: Triple, remedy: str) -> None:
    """Refuse what takes more than is free even if the network's layers took nothing.

    Raises
    ------
    SegmentationError
        If a window with its logits and weights, or the logits of all classes, do not fit.
    """
    inputs, classes = len(profile.sequences), len(profile.classes)
    words = f"{inputs} image{'s' if inputs > 1 else ''} and {classes} class"
    words += "es" if classes > 1 else ""
    if lack := lacking(math.prod(window) * (4 * inputs + 2 * 4 * classes + 8)):
        size = " × ".join(map(str, window))
        raise SegmentationError(f"A window of {size} voxels with {words} {lack}; {remedy}.")
    if lack := lacking(math.prod(shape) * 4 * classes):
        size = " × ".join(map(str, shape))
        raise SegmentationError(
            f"A volume of {size} voxels with {words} {lack}; close other programs, or choose a "
            "network with fewer classes."
        )


@lru_cache(maxsize=1)
def _sliding(shape: Triple, size: Triple, overlap: float, blending: Blending) -> Tiling:
    """Place windows as `monai.inferers.sliding_window_inference` does (tested against it)."""
    padded = [max(length, extent) for length, extent in zip(shape, size, strict=True)]
    if blending == "nnU-Net":
        from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

        steps = compute_steps_for_sliding_window(tuple(padded), size, 1 - overlap)
    else:
        steps = [_starts(*lengths, overlap) for lengths in zip(padded, size, strict=True)]
    starts = [
        [start - max(extent - length, 0) // 2 for start in axis]
        for axis, length, extent in zip(steps, shape, size, strict=True)
    ]
    number = math.prod(map(len, starts))
    if number > MOST_WINDOWS:
        raise SegmentationError(
            f"Windows of {' × '.join(map(str, size))} voxels that overlap by {overlap:g} would be "
            f"{number} on this volume, at most {MOST_WINDOWS} are possible; give the "
            "profile a larger window or a smaller overlap."
        )
    windows = tuple(Box.whole(size).shift(start) for start in product(*starts))
    return Tiling(shape, windows, blended=True, blending=blending)


def _starts(padded: int, extent: int, overlap: float) -> list[int]:
    step = extent if padded == extent else max(int(extent * (1 - overlap)), 1)
    count = math.ceil((padded - extent) / step) + 1
    return [min(i * step, padded - extent) for i in range(count)]
