"""One row through a whole window: against PyTorch's own pass, and what the machine allows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.parts import Parts
from benchmarks.report import Result, duration
from benchmarks.timing import threads
from benchmarks.work import operations
from napari_ies.geometry.box import Box
from napari_ies.network.inference import network_logits
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.plan import Seeds

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.settings import Settings
    from napari_ies.network.model import SegmentationModel

BATCH = 2
"""Windows in one batch: more do not fit beside ours in the memory of a small machine."""


def window_row(model: SegmentationModel, architecture: str, settings: Settings) -> Result:
    """Measure one row of a window, in processor time of one thread."""
    repetitions = 1 if settings.small else 3
    size = settings.product
    with threads(1):
        ours, plain = _ours(model), _plain(model)
        with Parts() as parts:
            ours()
        one, other = torch.randn(2, size, size)
        times = least_in_turn(
            {
                "ours": ours,
                "plain": plain,
                "product": lambda: one @ other,
                "parts": parts.measure,
            },
            repetitions,
        )
        done = operations(plain) / BATCH
    products, copies = parts.products_seconds(), parts.copies_seconds()
    row, literal = times["ours"], times["plain"] / BATCH
    peak = 2 * size**3 / times["product"]
    return Result(
        what=f"one row of a window, {architecture}, 1 thread",
        ours=f"{duration(row)}, {done / 1e9:.3g} GFLOP",
        against=f"plain backward of {BATCH} windows in one batch: {duration(literal)} a row",
        value=literal / row,
        note=f"processor time, the least of {repetitions}, in turn; ours is "
        f"{done / row / peak:.0%} of the matrix product's {peak / 1e9:.3g} GFLOP/s (plain: "
        f"{done / literal / peak:.0%}) and {(products + copies) / row:.0%} of what its parts "
        f"allow: products {duration(products)}, each shape alone, and all else "
        f"{duration(copies)}, as fast as a copy",
    )


def least_in_turn(work: dict[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Return the processor time of each of several things, the least of some, done in turn."""
    least = dict.fromkeys(work, float("inf"))
    for _ in range(repetitions):
        for name, one in work.items():
            start = time.process_time()
            one()
            least[name] = min(least[name], time.process_time() - start)
    return least


def _ours(model: SegmentationModel) -> Callable[[], object]:
    window = model.profile.window
    image = torch.randn((1, len(model.profile.sequences), *window))
    centre = np.array([window]) // 2
    engine, seeds = choose_engine(model), Seeds(centre, torch.ones(1))
    linear = engine.linearise(image, Box.whole(window), window, model.profile.explained_class)
    return lambda: linear.rows(seeds, slice(0, 1))


def _plain(model: SegmentationModel) -> Callable[[], object]:
    x, y, z = model.profile.window
    images = torch.randn((BATCH, len(model.profile.sequences), x, y, z), requires_grad=True)
    with torch.enable_grad():
        logits = network_logits(model.network, images)[:, model.profile.explained_class]
    cotangents = torch.zeros_like(logits)
    cotangents[:, x // 2, y // 2, z // 2] = 1
    return lambda: torch.autograd.grad(logits, images, cotangents, retain_graph=True)
