"""One window at many steps: the same voxels, of which ever more are kept."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.errors import SegmentationError
from napari_ies.free_memory import is_out_of_memory, not_enough_memory
from napari_ies.network.device import device_label, exact_float32
from napari_ies.network.finite import all_finite
from napari_ies.network.inference import SMALLER, network_logits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel

logger = logging.getLogger("napari_ies")

GPU_BATCH = 16
"""Steps of a window in one pass on a GPU; halved when memory runs out."""


class Forwards:
    """Runs a network on windows, in batches that its device has memory for.

    Parameters
    ----------
    model
        The network. It stays where it is: when a GPU runs out of memory, a copy goes on on the CPU.
    """

    def __init__(self, model: SegmentationModel) -> None:
        self._network, self._device = model.network, model.device
        self.size = 1 if model.device.type == "cpu" else GPU_BATCH
        """How many windows run in one pass now."""

    def run(
        self,
        count: int,
        make: Callable[[slice, torch.device], torch.Tensor],
        voxels: NDArray[np.int64],
    ) -> Iterator[tuple[slice, torch.Tensor, str]]:
        """Run windows and read the logits of some voxels.

        Parameters
        ----------
        count
            How many windows there are.
        make
            Gives those of a range of numbers on a device, float32 (n, C, x, y, z).
        voxels
            int64 (V, 3), indices in the window.

        Yields
        ------
        Which windows were run, their logits, float32 (n, classes, V) on the CPU, and a note, which
        is usually empty.

        Raises
        ------
        SegmentationError
            If the logits are not finite, or there is too little memory.
        """
        x, y, z = (torch.from_numpy(axis) for axis in voxels.T)
        done, note = 0, ""
        while done < count:
            batch = slice(done, min(done + self.size, count))
            try:
                with torch.inference_mode(), exact_float32():
                    logits = network_logits(self._network, make(batch, self._device))
                    picked = logits[:, :, x, y, z].float().cpu()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                note = self._smaller(error)
                continue
            if not all_finite(picked):
                raise SegmentationError(
                    "The network's logits are not finite numbers (NaN or infinity) where a "
                    "sequence is background; check the checkpoint, and the normalisation in its "
                    "profile."
                )
            done = batch.stop
            yield batch, picked, note
            note = ""

    def _smaller(self, error: BaseException) -> str:
        """Take less memory from now on; return what must be said of it."""
        if self._device.type == "cpu":
            said = not_enough_memory("run the network on this volume", SMALLER)
            raise SegmentationError(said) from error
        torch.cuda.empty_cache()
        if self.size > 1:
            self.size //= 2
            return ""
        note = f"{device_label(self._device)} ran out of memory; the rest is computed on the CPU."
        logger.warning(note)
        twin = copy.deepcopy(self._network.to("cpu"))
        self._network.to(self._device)
        self._network, self._device = twin, torch.device("cpu")
        return note


class WindowSteps:
    """What a window of the network's input is at each step.

    Parameters
    ----------
    crop
        float32 (C, x, y, z): the window of the images as they are.
    order
        int16 (x, y, z): at which step each voxel is reached.
    background
        float32 (C,): what a sequence is where it is not kept; NaN for one that stays whole.
    """

    def __init__(self, crop: torch.Tensor, order: torch.Tensor, background: torch.Tensor) -> None:
        self._parts = (crop, order, background)
        value = background[:, None, None, None]
        visible = ((crop != value) & ~value.isnan()).any(dim=0)
        steps = torch.unique(order[visible])
        self.levels = torch.unique(torch.cat([steps, steps.new_zeros(1)]))
        """int16 (L,): the steps at which the window differs from the step before, and step 0."""

    def make(self, numbers: NDArray[np.int64], device: torch.device) -> torch.Tensor:
        """Return the window at some of its levels, by their numbers, float32 (n, C, x, y, z)."""
        if self._parts[0].device != device:
            self._parts = tuple(part.to(device) for part in self._parts)  # type: ignore[assignment]
        crop, order, background = self._parts
        levels = self.levels[torch.from_numpy(numbers)].to(device)
        value = background[:, None, None, None]
        kept = order <= levels[:, None, None, None]
        return torch.where(kept[:, None] | value.isnan(), crop, value)

    def level_of(self, steps: range) -> NDArray[np.int64]:
        """Return the number of the level that each of some steps has, int64 (steps,)."""
        found = np.searchsorted(self.levels.numpy(), np.array(steps), side="right") - 1
        return np.asarray(found, dtype=np.int64)
