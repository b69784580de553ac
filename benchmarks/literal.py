"""The loops that the engine is measured against, written plainly after the paper's scripts.

One noise sample is one forward of the whole volume whose graph is kept. The map of
``ies_maxpool.py`` then takes a backward pass through all of it for every voxel of the lesion, that
of ``ies.py`` one for all voxels together. Only the input requires gradients and they are asked of
`torch.autograd.grad`: the fastest way to write these loops.

Source: Spagnolo et al., *Scientific Reports* (2026), doi:10.1038/s41598-026-36560-9.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from monai.inferers import sliding_window_inference
from torch.nn import functional

from benchmarks.subjects import NOISE
from napari_ies.network.inference import network_input

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case


@dataclass(frozen=True, eq=False)
class Noisy:
    """A volume to which noise is added as a plain script does: drawn where the network computes.

    Parameters
    ----------
    image
        (C, X, Y, Z), what the network sees of a case, on its device.
    deviation
        The standard deviation of the noise.
    """

    image: torch.Tensor
    deviation: float

    @classmethod
    def of(cls, model: SegmentationModel, case: Case) -> Noisy:
        """Take what a network sees of a case."""
        image = network_input(model, case)
        return cls(image.to(model.device), NOISE * float(image[0].max() - image[0].min()))

    def crop(self, window: tuple[slice, ...]) -> Noisy:
        """Return a part of it."""
        return replace(self, image=self.image[(slice(None), *window)])

    def draw(self) -> torch.Tensor:
        """Return a noisy volume (C, X, Y, Z)."""
        return self.image + self.deviation * torch.randn_like(self.image)


def volume_logits(model: SegmentationModel, image: torch.Tensor, forward: str) -> torch.Tensor:
    """Return the logits of a volume.

    Parameters
    ----------
    model
        The network and the sizes it takes.
    image
        (C, X, Y, Z), on the model's device.
    forward
        ``"whole-volume"``: one pass, zero-padded at the far end of each axis to a multiple of the
        total stride. ``"sliding-window"``: MONAI's inferer, one window at a time.

    Returns
    -------
    (classes, X, Y, Z)
    """
    profile = model.profile
    if forward == "sliding-window":
        blended: torch.Tensor = sliding_window_inference(
            image[None], profile.window, 1, model.network, overlap=profile.overlap, mode="gaussian"
        )
        return blended[0]
    shape = image.shape[1:]
    missing = [-size % step for size, step in zip(shape, profile.divisor, strict=True)]
    padded = functional.pad(image, [0, missing[2], 0, missing[1], 0, missing[0]])
    logits: torch.Tensor = model.network(padded[None])[0]
    return logits[(slice(None), *(slice(size) for size in shape))]


@dataclass(frozen=True, eq=False)
class KeptForward:
    """One forward of a noisy volume, its graph kept for many backward passes.

    Parameters
    ----------
    noisy
        (C, X, Y, Z), requires gradients.
    logits
        (X, Y, Z): the explained class.
    """

    noisy: torch.Tensor
    logits: torch.Tensor

    @classmethod
    def run(cls, model: SegmentationModel, noisy: torch.Tensor, forward: str) -> KeptForward:
        """Run the network on a noisy volume (C, X, Y, Z)."""
        noisy = noisy.detach().clone().requires_grad_()
        logits = volume_logits(model, noisy, forward)
        return cls(noisy, logits[model.profile.explained_class])

    def row(self, voxel: NDArray) -> torch.Tensor:
        """Return the gradient of one voxel's logit, (C, X, Y, Z): a pass of the loop."""
        x, y, z = (int(index) for index in voxel)
        (gradient,) = torch.autograd.grad(self.logits[x, y, z], self.noisy, retain_graph=True)
        return gradient

    def mean(self, voxels: NDArray) -> torch.Tensor:
        """Return the gradient of the voxels' mean logit, (C, X, Y, Z)."""
        at = tuple(torch.from_numpy(voxels).to(self.logits.device).T)
        (gradient,) = torch.autograd.grad(self.logits[at].mean(), self.noisy)
        return gradient


def max_map(
    model: SegmentationModel, noisy: Iterable[torch.Tensor], voxels: NDArray, forward: str
) -> torch.Tensor:
    """Compute the map of ``ies_maxpool.py``, (C, X, Y, Z), voxel by voxel.

    Parameters
    ----------
    model
        The network.
    noisy
        A noisy volume (C, X, Y, Z) per noise sample.
    voxels
        int64 (V, 3): the lesion.
    forward
        As for :func:`volume_logits`.
    """
    total, count = torch.zeros(()), 0
    for volume in noisy:
        kept = KeptForward.run(model, volume, forward)
        largest = torch.zeros_like(volume)
        for voxel in voxels:
            row = kept.row(voxel)
            largest = torch.where(row.abs() > largest.abs(), row, largest)
        total, count = total + largest, count + 1
    return total / count


def mean_map(
    model: SegmentationModel, noisy: Iterable[torch.Tensor], voxels: NDArray, forward: str
) -> torch.Tensor:
    """Compute the map of ``ies.py`` for one lesion, (C, X, Y, Z); parameters as for `max_map`."""
    total, count = torch.zeros(()), 0
    for volume in noisy:
        total = total + KeptForward.run(model, volume, forward).mean(voxels)
        count += 1
    return total / count
