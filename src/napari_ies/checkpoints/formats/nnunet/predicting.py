"""nnU-Net's own predictor, in steps: it reports each pass of the network, and can be stopped."""

from __future__ import annotations

import contextlib
import io
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_ies.errors import SegmentationError
from napari_ies.free_memory import is_out_of_memory, not_enough_memory
from napari_ies.network.model import network_logits
from napari_ies.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence


def predicted(
    networks: Sequence[nn.Module],
    image: torch.Tensor,
    device: torch.device,
    mirrored: tuple[int, ...],
    made_by: tuple[Any, Any, Any, str],
) -> Generator[Progress[Any], None, tuple[int, torch.Tensor]]:
    """Predict the logits of an image as nnU-Net does.

    Parameters
    ----------
    networks
        One for each fold, on the device.
    image
        float32 (C, x, y, z), preprocessed.
    device
        Where the networks are.
    mirrored
        Axes that are mirrored; none for no mirroring.
    made_by
        nnU-Net's plans, configuration, dataset and the trainer's name.

    Yields
    ------
    A report after each pass of a network. Who stops iterating stops the predictor: what is left
    of it then takes no time.

    Returns
    -------
    The number of passes, and the logits, float32 (classes, x, y, z) on the CPU.

    Raises
    ------
    SegmentationError
        If memory runs out.
    CheckpointError
        If a network cannot take the windows.
    """
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    plans, configuration, dataset, trainer = made_by
    passes = _Passes(networks, plans.get_label_manager(dataset).num_segmentation_heads)
    with contextlib.redirect_stdout(io.StringIO()):  # it says what it does not support
        benchmark = torch.backends.cudnn.benchmark
        predictor = nnUNetPredictor(
            use_mirroring=bool(mirrored), device=device, allow_tqdm=False, verbose=False
        )
        torch.backends.cudnn.benchmark = benchmark
    # It "loads the weights" of one fold after the other: here it chooses among networks.
    folds: Any = list(range(len(networks)))
    predictor.manual_initialization(
        passes, plans, configuration, folds, dataset, trainer, mirrored or None
    )
    padded = [max(pair) for pair in zip(image.shape[1:], configuration.patch_size, strict=True)]
    windows = len(predictor._internal_get_sliding_window_slicers(tuple(padded)))
    total = windows * len(networks) * 2 ** len(mirrored)
    found: list[torch.Tensor] = []
    threads = torch.get_num_threads()

    def run() -> None:
        try:
            found.append(predictor.predict_logits_from_preprocessed_data(image))
        except BaseException as error:  # said to whoever iterates
            passes.error = passes.error or error
        passes.done.put(None)

    worker = threading.Thread(target=run, daemon=True, name="nnU-Net's predictor")
    worker.start()
    try:
        done = 0
        while passes.done.get() is not None:
            done += 1
            yield Progress("Segmenting", done, total + 1, "windows")
    finally:
        # What is left then is one fold without mirror images, all of it zeros.
        passes.stopped, predictor.use_mirroring = True, False
        folds.clear()
        worker.join()
        torch.set_num_threads(threads)
    if passes.error is not None:
        if is_out_of_memory(passes.error):
            raise SegmentationError(
                not_enough_memory("run the network on this volume")
            ) from passes.error
        raise passes.error
    return total, found[0].float()


class _Passes(nn.Module):
    """The folds' networks as the one network whose weights nnU-Net's predictor exchanges.

    An error, or a stop, is not raised in there: the predictor's own thread would wait for ever.
    """

    def __init__(self, networks: Sequence[nn.Module], classes: int) -> None:
        super().__init__()
        self._networks, self._classes, self._chosen = tuple(networks), classes, 0
        self.done = SimpleQueue[bool | None]()
        self.stopped = False
        self.error: BaseException | None = None

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        self._chosen = int(state_dict)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        if not self.stopped and self.error is None:
            try:
                logits = network_logits(self._networks[self._chosen], batch)
            except BaseException as error:  # raised by `predicted`
                self.error = error
            else:
                self.done.put(True)
                return logits
        return batch.new_zeros((len(batch), self._classes, *batch.shape[2:]))
