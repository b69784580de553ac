"""Which engine computes a network's gradients, and the trial that a local one has to pass."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_ies.errors import SaliencyError
from napari_ies.geometry.box import Box
from napari_ies.network.members import Members
from napari_ies.saliency.engines.jacobian import Engine, WindowedEngine
from napari_ies.saliency.engines.local_translation import NotLocalError
from napari_ies.saliency.engines.patches import add_to
from napari_ies.saliency.engines.plan import Seeds
from napari_ies.saliency.engines.whole.packed_passes import certified, recomputes
from napari_ies.saliency.engines.whole.whole_windows import BatchedEngine, LoopEngine, graph_bytes
from napari_ies.saliency.member_passes import engine_of_members

if TYPE_CHECKING:
    from napari_ies.network.model import SegmentationModel

logger = logging.getLogger("napari_ies")

JACOBIANS = ("auto", "loop", "batched", "windowed")
CERTIFIED = 1e-3
"""Largest relative difference (Euclidean norm) at which local and plain gradients agree."""


def choose_engine(
    model: SegmentationModel, jacobian: str = "auto", precision: str = "float32"
) -> Engine:
    """Choose how gradients are computed.

    Parameters
    ----------
    model
        Its network and device decide; the choice is made once per model.
    jacobian
        ``"loop"``, ``"batched"``, ``"windowed"``, or ``"auto"``: windowed where the network is
        local and its gradients are certified, else batched on a GPU and loop on the CPU.
    precision
        Of its convolutions; the trial runs in float32, whatever is chosen here.

    Raises
    ------
    SaliencyError
        If there is no such engine, or windowed is asked for and not possible.
    """
    if jacobian not in JACOBIANS:
        raise SaliencyError(
            f"There is no jacobian {jacobian!r}; expected one of {', '.join(JACOBIANS)}."
        )
    engine, reason = _chosen(model, jacobian, precision)
    if reason:  # said once for a network, not for each map of it
        said = f"Whole windows, {engine.name}: {reason}."
        model.derive(said, lambda: logger.info(said))
    return engine


def _chosen(model: SegmentationModel, jacobian: str, precision: str) -> tuple[Engine, str]:
    """Return the engine, and why it is not windowed where that was not asked for."""
    if isinstance(model.network, Members):
        reasons: list[str] = []

        def choose(one: SegmentationModel) -> Engine:
            engine, reason = _chosen(one, jacobian, precision)
            reasons.append(reason)
            return engine

        return model.derive(
            f"engine of members {jacobian} {precision}",
            lambda: (engine_of_members(model, choose), next(filter(None, reasons), "")),
        )
    if jacobian == "loop":
        return LoopEngine(model.network, precision), ""
    if jacobian == "batched":
        return _batched(model, precision), ""
    windowed, reason = model.derive("windowed engine", lambda: _certified(model))
    if windowed is not None and precision != "float32":
        windowed = model.derive(
            f"windowed engine {precision}", lambda: WindowedEngine(model.network, precision)
        )
    if windowed is not None:
        windowed.try_kernels(model.device, model.profile.window)
        return windowed, ""
    if jacobian == "windowed":
        raise SaliencyError(
            f"The gradients of this network cannot be windowed: {reason}; choose auto, loop or "
            "batched."
        )
    on_cpu = model.device.type == "cpu"
    engine = _packed(model, precision) if on_cpu else _batched(model, precision)
    return engine, reason


def _packed(model: SegmentationModel, precision: str) -> LoopEngine:
    if precision == "bf16" or recomputes(model.network):
        return LoopEngine(model.network, precision)
    layers = model.derive("packed layers", lambda: certified(model.network))
    return LoopEngine(model.network, precision, layers)


def _batched(model: SegmentationModel, precision: str) -> BatchedEngine:
    taken = model.derive("bytes of a forward's graph", lambda: graph_bytes(model))
    return BatchedEngine(model.network, precision, taken)


def _certified(model: SegmentationModel) -> tuple[WindowedEngine | None, str]:
    """Return the windowed engine if it equals plain autograd on a trial, else the reason."""
    if model.profile.fixed_size is not None:
        return None, "it takes windows of one size only"
    try:
        engine = WindowedEngine(model.network)
    except NotLocalError as error:
        return None, str(error)
    x, y, z = (4 * divisor for divisor in model.profile.divisor)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((len(model.profile.sequences), x, y, z), generator=generator)
    parameter = next(model.network.parameters(), image)
    image = image.to(parameter)
    voxels = np.array([(x // 2, y // 2 + 1, z // 2 - 1), (0, y - 1, z // 3)])
    weights = torch.ones(2)
    difference = 0.0
    plain = LoopEngine(model.network).linearise(image[None], Box.whole((x, y, z)), (x, y, z), 0)
    for voxel in voxels:
        span = Box(voxel, voxel + 1)
        crop = image[(..., *engine.reach(span, (x, y, z)))]
        local = engine.linearise(crop[None], span, (x, y, z), 0)
        seeds = Seeds(voxel[None], weights[:1])
        expected = plain.combined(seeds).values[0]
        found = torch.zeros_like(expected)
        add_to(found, local.combined(seeds), (0, 0, 0))
        difference = max(difference, float((found - expected).norm() / expected.norm()))
    if not difference <= CERTIFIED:
        return None, f"its windowed gradients differ from autograd's by {difference:.1e}"
    return engine, ""
