"""The program, killed in the middle of its work."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from napari_ies.network.model import SegmentationModel

replace = Path.replace


def program_dying(moves: int, arguments: list[str]) -> None:
    """Run the command line in this process, which dies before one more file comes to its place."""
    from napari_ies.cli import app

    left = moves

    def dies(*paths):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(*paths)

    Path.replace = dies
    sys.argv[1:] = arguments
    app()


def sine_model() -> SegmentationModel:
    """Return a network of one convolution, the same in any process."""
    import torch

    from napari_ies.network.model import SegmentationModel
    from napari_ies.network.profile import Profile

    network = torch.nn.Conv3d(2, 2, 3, padding=1)
    with torch.no_grad():
        network.weight.copy_(torch.linspace(-1, 1, 108).sin().reshape(2, 2, 3, 3, 3))
        network.bias.zero_()
    profile = Profile("linear", "UNet", {}, ("FLAIR", "T1"), window=(16, 16, 16), threshold=0.9)
    return SegmentationModel(network, profile, torch.device("cpu"))


def explaining_without_end(images: dict[str, Path], out: Path, running: Event) -> None:
    """Explain lesion 1 and save its map, then explain lesion 2 until somebody kills this process.

    `running` is set as soon as there is a running map of lesion 2.
    """
    from napari_ies import explain_progressively, load_case, segment
    from napari_ies.results.session import SessionWriter

    case, model = load_case(images), sine_model()
    found = segment(model, case, smallest=3)
    writer = SessionWriter.begin(out, found, case=case, model=model)
    *_, last = explain_progressively(model, case, found.labels == 1, n_samples=2)
    writer.add_map(1, last.result, model)
    for report in explain_progressively(model, case, found.labels == 2, n_samples=10**6):
        if report.result is not None:
            running.set()
