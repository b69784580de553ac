"""The network over a whole volume: logits, blended, to the probability of the explained class."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from napari_ies.errors import SegmentationError
from napari_ies.free_memory import is_out_of_memory
from napari_ies.network.blending import CPU, SMALLER, TOO_LARGE, Blend
from napari_ies.network.device import free_on, on_host, runs_ahead
from napari_ies.network.finite import all_finite
from napari_ies.network.members import alone, averages_probabilities, check_one_logit
from napari_ies.network.model import check_channels, class_probability, network_logits
from napari_ies.network.network_grid import network_case, network_turn, to_stored
from napari_ies.network.windows import tiling
from napari_ies.patient.case import Case
from napari_ies.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel

__all__ = [
    "SMALLER",
    "Prediction",
    "changed_logits",
    "class_probability",
    "logit_map",
    "network_input",
    "network_input_there",
    "network_logits",
    "predict",
    "probability_of",
]


Inputs = dict[tuple[str, str | None], dict[torch.device, torch.Tensor]]
"""A case as a network sees it, by normalisation and orientation, and by where it is."""
IMAGE_SHARE = 0.05
"""An image that takes no more than this part of what is free on a GPU is kept there."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network makes of a case.

    Parameters
    ----------
    probability
        float32 (X, Y, Z): probability of the explained class, see :func:`probability_of`.
    logits
        float32 (classes, X, Y, Z): the blended logits, or None where they were not asked for.
    """

    probability: NDArray[np.float32]
    logits: NDArray[np.float32] | None


def network_input(model: SegmentationModel, case: Case) -> torch.Tensor:
    """Return a case as the network sees it, before it is cut into windows.

    Parameters
    ----------
    model
        Gives the normalisation.
    case
        Its sequences in the profile's order, as :func:`network_case` returns it.

    Returns
    -------
    float32 (C, X', Y', Z') on the CPU, with the axes of :func:`network_turn`; kept with the network
    as long as the case lives, so it is not to be written to.

    Raises
    ------
    CheckpointError
        If the number of sequences is not the network's.
    """
    check_channels(model, case.sequences)
    kept = _kept_inputs(model, case)
    if CPU not in kept:
        made = model.preparation is not None and model.preparation.normalises
        values = case.data if made else case.normalised(model.profile.normalisation)
        turned = np.ascontiguousarray(network_turn(model, case).apply(values))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            kept[CPU] = torch.from_numpy(turned)
    return kept[CPU]


def network_input_there(model: SegmentationModel, case: Case) -> torch.Tensor:
    """Return :func:`network_input` on the network's device, sent once for all.

    Where that is no GPU, or has not much more memory than it takes, it is on the CPU.
    """
    image = network_input(model, case)
    if not runs_ahead(model.device):
        return image
    kept = _kept_inputs(model, case)
    if model.device not in kept and image.nbytes <= IMAGE_SHARE * free_on(model.device):
        with suppress(RuntimeError, MemoryError):  # parts of it are sent one by one
            kept[model.device] = image.to(model.device)
    return kept.get(model.device, image)


def _kept_inputs(model: SegmentationModel, case: Case) -> dict[torch.device, torch.Tensor]:
    profile = model.profile
    cases = model.derive("inputs", WeakKeyDictionary[Case, Inputs])
    return cases.setdefault(case, {}).setdefault((profile.normalisation, profile.orientation), {})


def predict(
    model: SegmentationModel,
    case: Case,
    forward: str = "sliding-window",
    *,
    keep_logits: bool = False,
) -> Iterator[Progress[Prediction]]:
    """Compute the probability of the explained class, on the device up to its last step.

    Windows that are constant in every sequence, such as the background around a brain-extracted
    head, are computed once and reused: equal windows give equal outputs.

    Parameters
    ----------
    model, case
        The network and the patient.
    forward
        ``"sliding-window"`` or ``"whole-volume"``, see :func:`napari_ies.network.windows.tiling`.
    keep_logits
        Whether the result holds the logits; they take 4 bytes per voxel and class.

    Yields
    ------
    A report per batch of windows, with a note when GPU memory ran out; the last one holds the
    :class:`Prediction`.

    Raises
    ------
    SegmentationError
        If the network cannot run on the volume.
    """
    if averages_probabilities(model.network):
        yield from _of_members(model, case, forward, keep_logits)
        return
    seen = network_case(model, case)
    steps, blend = yield from _blending(model, seen, forward)
    logits = None
    if keep_logits or seen is not case:
        logits = _stored(model, seen, case, blend)
    if seen is not case and logits is not None:
        # Linear are the logits, and their probability is that of the stored grid.
        probability = probability_of(model, case, logits)
    else:
        turned = on_host(_probability_there(model, blend)).numpy()
        probability = np.ascontiguousarray(network_turn(model, seen).invert(turned))
    result = Prediction(probability, logits if keep_logits else None)
    yield Progress("Segmenting", steps, steps, "windows", result)


def _of_members(
    model: SegmentationModel, case: Case, forward: str, keep_logits: bool
) -> Iterator[Progress[Prediction]]:
    """Predict by the mean of the members' probabilities; the logits kept are the mean logits."""
    members = model.derive(
        "members", lambda: [replace(model, network=one) for one in alone(model.network)]
    )
    probability: Any = 0
    logits: Any = None
    count = len(members)
    for number, one in enumerate(members):
        for report in predict(one, case, forward, keep_logits=keep_logits):
            if report.result is not None:
                probability = probability + report.result.probability / np.float32(count)
                if report.result.logits is not None:
                    share = report.result.logits / np.float32(count)
                    logits = share if logits is None else logits + share
            done, total = number * report.total + report.done, count * report.total
            last = number == count - 1 and report.result is not None
            result = Prediction(probability, logits) if last else None
            yield Progress("Segmenting", done, total, "windows", result, report.note)


def logit_map(
    model: SegmentationModel, case: Case, forward: str = "sliding-window"
) -> Iterator[Progress[NDArray[np.float32]]]:
    """Compute the blended logits of all classes, as :func:`predict` does.

    Yields
    ------
    A report per batch of windows; the last one holds the logits, float32 (classes, X, Y, Z) on the
    stored grid, brought there linearly where the network ran at its own voxel size
    (:func:`napari_ies.network.network_grid.network_case`).
    """
    seen = network_case(model, case)
    steps, blend = yield from _blending(model, seen, forward)
    yield Progress("Segmenting", steps, steps, "windows", _stored(model, seen, case, blend))


def probability_of(
    model: SegmentationModel, case: Case, logits: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the probability of the explained class.

    Parameters
    ----------
    model, case
        The network and the patient.
    logits
        (classes, X, Y, Z), from :func:`logit_map`.

    Returns
    -------
    float32 (X, Y, Z): the softmax over the classes, or the sigmoid of the explained class's logit
    where the profile's `activation` says so or there is a single output channel.
    """
    turn = network_turn(model, case)
    values = torch.from_numpy(np.ascontiguousarray(turn.apply(logits)))
    probability = class_probability(model.profile, values)
    return np.ascontiguousarray(turn.invert(probability.numpy()))


def changed_logits(
    model: SegmentationModel,
    before: Case,
    after: Case,
    logits: NDArray[np.float32],
    forward: str = "sliding-window",
) -> Iterator[Progress[NDArray[np.float32]]]:
    """Compute the logits of a case from those of another one that differs in some voxels.

    A window's output depends on that window's voxels alone, so only windows that hold a changed
    voxel are run: on both cases, because the blend is ``y[v] = Σ_w b_w[v] f(x_w)[v]`` and the
    part of the other windows in it is known only as the rest,
    ``y'[v] = y[v] + Σ_{w changed} b_w[v] (f(x'_w)[v] - f(x_w)[v])``. That equals a run of all
    windows up to the rounding of float32, and wherever no change reaches, nothing changes at all.
    At the network's own voxel size the change of the logits is computed there and brought back.

    Parameters
    ----------
    model
        The network.
    before, after
        The two cases, on one grid. Voxels count as changed where the network's input differs:
        `after` must be normalised by the statistics of `before`, see
        :attr:`napari_ies.patient.case.Case.normalised_as`, or every voxel does.
    logits
        (classes, X, Y, Z) of `before`, from :func:`logit_map` with the same `forward`.
    forward
        ``"sliding-window"`` or ``"whole-volume"``.

    Yields
    ------
    A report per batch of windows; the last one holds the logits of `after`, as `logits`.

    Raises
    ------
    SegmentationError
        If the network cannot run on the volume.
    """
    check_one_logit(model.network)
    seen = network_case(model, before)
    made = network_case(model, after)
    old, new = (network_input(model, one) for one in (seen, made))
    if (tool := model.preparation) and tool.blend and forward == "sliding-window":
        # As the tool itself runs them: all windows, for it brings back logits and no change.
        steps = 1
        if not torch.equal(old, new):
            steps, there = yield from _blending(model, made, forward)
            logits = _stored(model, made, after, there)
        yield Progress("Re-running", steps, steps, "windows", logits)
        return
    turn = network_turn(model, seen)
    tiles = tiling(model.profile, turn.displayed_shape, forward)
    changed = (old != new).any(dim=0)
    if model.preparation is not None:
        changed[:] = True  # it brings back logits, and no change of them
    windows = [w for w in tiles.windows if changed[tiles.visible(w)].any()]
    if resampled := seen is not before:
        # On the network's grid the logits are not known: the change alone is brought back.
        result = torch.zeros((len(logits), *turn.displayed_shape))
    else:
        result = torch.from_numpy(np.array(turn.apply(logits), order="C"))
    # Where every window changes there is no rest to keep.
    whole = len(windows) == len(tiles.windows)
    images = (new,) if whole else (new, old)
    steps, blends = len(images) * len(windows) + 1, list[Blend]()
    for number, image in enumerate(images if windows else ()):
        blends.append(Blend(model, image, tiles, windows))
        for done, note in blends[-1].run():
            done += number * len(windows)
            yield Progress("Re-running", done, steps, "windows", note=note)
    if whole:
        result = blends[0].mean().cpu()
    elif blends:
        blends[1].check()
        blends[0].less(blends[1])
        result[(slice(None), *blends[0].box)] += blends[0].mean().cpu()
        if not all_finite(result):
            raise SegmentationError(TOO_LARGE)
    changed_to = to_stored(model, turn.invert(result.numpy()), seen, before)
    if resampled and not whole:
        changed_to = logits + changed_to
    yield Progress("Re-running", steps, steps, "windows", changed_to)


def _blending(
    model: SegmentationModel, seen: Case, forward: str
) -> Generator[Progress[Any], None, tuple[int, torch.Tensor]]:
    """Blend the logits of a case on the network's grid; return all steps and them."""
    image, shape = network_input(model, seen), network_turn(model, seen).displayed_shape
    if (tool := model.preparation) and tool.blend and forward == "sliding-window":
        passes, logits = yield from tool.blend(model.network, model.device, image)
        if not all_finite(logits):
            raise SegmentationError(TOO_LARGE)
        return passes + 1, logits
    tiles = tiling(model.profile, shape, forward)
    there = network_input_there(model, seen)
    blend, steps = Blend(model, image, tiles, there=there), len(tiles.windows) + 1
    for done, note in blend.run():
        yield Progress("Segmenting", done, steps, "windows", note=note)
    return steps, blend.mean()


def _probability_there(model: SegmentationModel, logits: torch.Tensor) -> torch.Tensor:
    """Return the probability where the logits are, or on the CPU if there is no memory there."""
    try:
        return class_probability(model.profile, logits)
    except (RuntimeError, MemoryError) as error:
        if not (runs_ahead(model.device) and is_out_of_memory(error)):
            raise
    return class_probability(model.profile, on_host(logits))


def _stored(
    model: SegmentationModel, seen: Case, case: Case, logits: torch.Tensor
) -> NDArray[np.float32]:
    """Return logits on the network's axes and grid as an array on the stored ones."""
    turned = network_turn(model, seen).invert(on_host(logits).numpy())
    return to_stored(model, turned, seen, case)
