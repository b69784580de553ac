"""What would take less time, and answers the same question of the same voxels."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from napari_ies.errors import SegmentationError
from napari_ies.geometry.box import Box
from napari_ies.network.members import Members, members_of
from napari_ies.network.windows import tiling
from napari_ies.saliency.engines.whole.whole_windows import graph_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_ies.geometry.box import Triple
    from napari_ies.network.model import SegmentationModel
    from napari_ies.saliency.problem import Problem, Target
    from napari_ies.saliency.request import SaliencyRequest

WORTH = 0.8
"""A whole volume is offered where it takes less than this part of the windows' work."""


def cheaper(
    model: SegmentationModel,
    problem: Problem,
    targets: Sequence[Target],
    request: SaliencyRequest,
    jacobian: str,
) -> tuple[str, ...]:
    """Say what would make maps cheaper, in words; at least one thing.

    Fewer voxels are none of a max map's: that of half a lesion is another map.

    Parameters
    ----------
    model, problem
        What is explained, and what its gradients depend on.
    targets
        Some of the maps.
    request, jacobian
        How they are made.
    """
    found = []
    ways = {target.aggregation for target in targets}
    network = problem.network
    if isinstance(network, Members):
        if (count := len(members_of(network))) > 1:
            folds = "folds" in model.profile.arguments
            where = "folds (Profile… or --folds)" if folds else "members (its own checkpoint)"
            found.append(f"one of {count} {where}")
        if (count := len(network.mirrors)) > 1:
            found.append(f"no mirroring ({count} images; Profile… or --no-mirroring)")
    if request.is_smoothgrad:
        if request.n_samples > 1:
            found.append(f"fewer noise samples than {request.n_samples:,}")
        if "max" in ways:
            found.append("the aggregation mean instead of max")
        if _whole_volume_is_cheaper(model, problem, targets[0], request):
            found.append("the forward whole-volume instead of sliding-window")
    if not (request.is_smoothgrad and "max" in ways):
        found.append("a smaller region")
    if request.is_smoothgrad and jacobian not in ("auto", "windowed"):
        found.append("the windowed engine, where the network allows it")
    if problem.device.type == "cpu":
        found.append("a GPU")
    return tuple(found) or ("a faster GPU",)


def _whole_volume_is_cheaper(
    model: SegmentationModel, problem: Problem, target: Target, request: SaliencyRequest
) -> bool:
    """Whether one pass through all of the volume does less than the windows that hold a region."""
    fixed = model.profile.fixed_size is not None or model.preparation is not None
    if fixed or request.forward == "whole-volume":
        return False
    with suppress(SegmentationError):  # what does not fit into memory is not offered
        whole = tiling(model.profile, problem.tiles.shape, "whole-volume")
        (window,) = whole.windows
        if problem.engine.reach(Box((0, 0, 0), (1, 1, 1)), window.shape) == Box.whole(window.shape):
            each = model.derive("bytes of a forward's graph", lambda: graph_bytes(model))
            if each * window.size > problem.memory:
                return False
        one = _passed(problem, target, target.voxels, window.shape)
        other = sum(
            _passed(problem, target, piece.local, piece.window.shape)
            for piece in target.pieces(problem)
        )
        return one < WORTH * other
    return False


def _passed(problem: Problem, target: Target, voxels: NDArray[np.int64], window: Triple) -> int:
    """Return through how many voxels of a window a noise sample's gradients go."""
    reach = problem.engine.reach
    if target.aggregation != "max":
        return reach(Box.of_voxels(voxels), window).size
    return len(voxels) * reach(Box(voxels[0], voxels[0] + 1), window).size
