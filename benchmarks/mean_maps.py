"""The mean map against the literal loop and against Captum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmarks.literal import KeptForward, Noisy, volume_logits
from benchmarks.maps import mean_difference, ours, warm_up
from benchmarks.report import Result, duration
from benchmarks.settings import N, mean_target
from benchmarks.timing import interleaved, seconds
from benchmarks.usage import used

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.settings import Settings
    from benchmarks.subjects import Lesion, Subjects
    from napari_ies.network.model import SegmentationModel


def mean_map_rows(subjects: Subjects, settings: Settings) -> Iterator[Result]:
    """Measure the mean map of each lesion against the literal loop and against Captum."""
    model, forward, samples = subjects.model, "whole-volume", settings.samples
    target = mean_target(model.device)
    others = 1 if model.device.type == "cpu" else 5
    for lesion in subjects.lesions:
        warm_up(model, lesion, forward)
        noisy = Noisy.of(model, lesion.case)

        def run(at: Lesion = lesion) -> object:
            return ours(model, at, "mean", forward, samples)

        def loop(at: Lesion = lesion, noisy: Noisy = noisy) -> None:
            for _ in range(others):
                KeptForward.run(model, noisy.draw(), forward).mean(at.voxels)

        contestants: dict[str, Callable[[], float]] = {
            "ours": lambda run=run: seconds(run, model.device) / samples,
            "literal loop": lambda loop=loop: seconds(loop, model.device) / others,
        }
        captum, missing = _captum(model, lesion, forward, others)
        if captum is not None:
            contestants["Captum"] = lambda captum=captum: seconds(captum, model.device) / others
        for measure in contestants.values():
            measure()
        times = interleaved(contestants, settings.repetitions)
        difference = mean_difference(model, lesion, forward)
        what, time = f"mean map, {forward}, {lesion.name}", duration(N * times["ours"])
        for name in ("literal loop", "Captum"):
            if name not in times:
                yield Result(what=what, against=name, target=target, note=missing)
                continue
            yield Result(
                what=what,
                ours=time,
                against=f"{name}: {duration(N * times[name])}",
                value=times[name] / times["ours"],
                target=target,
                note=f"{samples} of ours' samples and {others} of the other's timed"
                + (
                    f"; the two maps differ by {difference:.0e}; ours takes "
                    f"{used(run, model.device)}"
                    if name != "Captum"
                    else ""
                ),
            )


def _captum(
    model: SegmentationModel, lesion: Lesion, forward: str, samples: int
) -> tuple[Callable[[], object] | None, str]:
    """Return Captum's SmoothGrad of some noise samples, or why there is none."""
    try:
        from captum.attr import NoiseTunnel, Saliency
    except ImportError:
        return None, "captum is not installed: pip install captum"
    at = tuple(torch.from_numpy(lesion.voxels).to(model.device).T)
    noisy = Noisy.of(model, lesion.case)

    def mean_logit(batch: torch.Tensor) -> torch.Tensor:
        logits = volume_logits(model, batch[0], forward)[model.profile.explained_class]
        return logits[at].mean()[None]

    tunnel = NoiseTunnel(Saliency(mean_logit))

    def attribute() -> object:
        return tunnel.attribute(
            noisy.image[None].clone().requires_grad_(),
            nt_samples=samples,
            nt_samples_batch_size=1,
            stdevs=noisy.deviation,
            abs=False,
        )

    return attribute, ""
