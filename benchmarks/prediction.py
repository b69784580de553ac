"""What is waited for: the segmentation, and the first map after a click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from benchmarks.literal import KeptForward, Noisy
from benchmarks.maps import first_map, warm_up, windows_holding
from benchmarks.report import Result, duration
from benchmarks.settings import overlay_target, segmentation_target
from benchmarks.timing import interleaved, seconds
from benchmarks.usage import used
from napari_ies.network.inference import network_input, predict
from napari_ies.progress import finish
from napari_ies.saliency.explanation import Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.settings import Settings
    from benchmarks.subjects import Lesion, Subjects


def first_overlay(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure the time from the click to the first map against the least it needs."""
    model = subjects.model
    size = np.array(model.profile.window)
    for lesion in subjects.lesions:
        warm_up(model, lesion)
        middle = np.median(lesion.voxels, axis=0).astype(int)
        start = np.clip(middle - size // 2, 0, np.array(lesion.case.shape) - size)
        window = tuple(slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))
        noisy = Noisy.of(model, lesion.case).crop(window)
        inside = lesion.voxels - start
        inside = inside[((inside >= 0) & (inside < size)).all(axis=1)]

        def minimum(noisy: Noisy = noisy, at: np.ndarray = inside) -> object:
            return KeptForward.run(model, noisy.draw(), "whole-volume").mean(at)

        prepared = Prepared()

        def ours(at: Lesion = lesion, prepared: Prepared = prepared) -> None:
            first_map(model, at, prepared)

        minimum()
        ours()  # the viewer prepares it before the first click
        times = interleaved(
            {
                "ours": lambda ours=ours: seconds(ours, model.device),
                "minimum": lambda minimum=minimum: seconds(minimum, model.device),
            },
            settings.overlays,
        )
        yield Result(
            what=f"first overlay after a click (mean), {lesion.name}",
            ours=duration(times["ours"]),
            against=f"forward and gradient of one window: {duration(times['minimum'])}",
            value=times["ours"] / times["minimum"],
            target=overlay_target(model.device),
            note=f"{windows_holding(model, lesion)} windows hold the lesion; {settings.overlays} "
            f"repetitions; ours takes {used(ours, model.device)}",
        )


def segmentation(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure the probability map against MONAI's inferer."""
    model, case = subjects.model, subjects.lesions[0].case
    image = network_input(model, case)
    batch = 1 if model.device.type == "cpu" else 4
    there = image[None].to(model.device)  # ours is there too, from the trial on

    def monai() -> object:
        with torch.inference_mode():
            logits = sliding_window_inference(
                there,
                model.profile.window,
                batch,
                model.network,
                overlap=model.profile.overlap,
                mode="gaussian",
            )
            return logits.softmax(dim=1)[0, model.profile.explained_class].cpu()

    def ours() -> object:
        return finish(predict(model, case)).probability

    difference = float(np.abs(np.asarray(ours()) - np.asarray(monai())).max())
    times = interleaved(
        {
            "ours": lambda: seconds(ours, model.device),
            "MONAI": lambda: seconds(monai, model.device),
        },
        settings.repetitions,
    )
    yield Result(
        what="segmentation, sliding-window",
        ours=duration(times["ours"]),
        against=f"MONAI's inferer: {duration(times['MONAI'])}",
        value=times["MONAI"] / times["ours"],
        target=segmentation_target(model.device),
        note=f"{batch} window(s) at a time in MONAI's; largest difference of the probabilities "
        f"{difference:.0e}; ours takes {used(ours, model.device)}",
    )
