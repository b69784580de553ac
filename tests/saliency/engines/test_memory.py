"""Memory: a setting that changes the chunks and not the map, and a peak that is true."""

import gc
import mmap
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model

from napari_ies.errors import SaliencyError
from napari_ies.free_memory import numbers_of
from napari_ies.geometry import Box
from napari_ies.network.assumptions import notes_on
from napari_ies.network.windows import tiling
from napari_ies.saliency import explain, explain_progressively
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.jacobian import GPU_SAMPLES
from napari_ies.saliency.engines.local_network import LocalNetwork
from napari_ies.saliency.engines.memory import GIB, PeakMemory, free_memory, memory_limit
from napari_ies.saliency.explanation import explain_together
from napari_ies.saliency.footprint import pieces
from napari_ies.saliency.request import SaliencyRequest

SHAPE = (12, 10, 14)
MASK = ball(SHAPE, (6, 5, 7), 1.5)
CPU = torch.device("cpu")


@pytest.mark.slow
@pytest.mark.parametrize("forward", ["sliding-window", "whole-volume"])
@pytest.mark.parametrize("engine", ["batched", "windowed"])
def test_less_memory_gives_smaller_chunks_and_the_same_map(engine, forward):
    model, case = small_model(), random_case(SHAPE)
    settings = {"aggregation": "max", "n_samples": 1, "jacobian": engine, "forward": forward}
    reports, maps = [], []
    for memory_gib in (1.0, 1e-9):
        *_, last = running = list(
            explain_progressively(model, case, MASK, memory_gib=memory_gib, **settings)
        )
        reports.append(len(running))
        maps.append(last.result.maps)
    assert reports[1] > reports[0]
    assert reports[1] >= MASK.sum()
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-6 * np.abs(maps[0]).max())


def test_less_memory_explains_fewer_footprints_together():
    model, case = small_model("dynunet"), random_case(SHAPE)
    masks = {1: ball(SHAPE, (1, 1, 3), 0.5), 2: ball(SHAPE, (2, 0, 1), 0.5)}
    notes_on(model, case)  # tests the guesses about the network, once
    passes = []
    model.network.register_forward_hook(lambda *_: passes.append(1))
    for memory_gib in (1.0, 1e-9):
        for _ in explain_together(
            model, case, masks, SaliencyRequest(n_samples=3), memory_gib=memory_gib
        ):
            pass
    assert len(passes) == 3 + 6


def test_the_numbers_of_a_row_are_those_of_its_cotangents():
    """Two convolutions of 3: 3 × 3³ cotangents between them, and one of each class behind."""
    layers = torch.nn.Sequential(
        torch.nn.Conv3d(2, 3, 3, padding=1), torch.nn.Conv3d(3, 2, 3, padding=1)
    )
    network = LocalNetwork(layers.eval())
    assert network.row_values((9, 9, 9)) == 3 * 27 + 2
    assert network.values(Box.whole((4, 5, 6)), (9, 9, 9)) == 3 * (5 * 6 * 7) + 2 * (4 * 5 * 6)


def test_as_many_samples_run_together_as_the_memory_holds():
    model = small_model()
    engine = choose_engine(model)
    found = pieces(np.argwhere(MASK), tiling(model.profile, SHAPE, "whole-volume"), engine.reach)
    (piece,) = found
    forward = 4 * LocalNetwork(model.network).values(piece.span, piece.window.shape)
    gpu = torch.device("cuda:0")
    numbers = [engine.samples_together(found, gpu, memory) for memory in (0, 3 * forward, GIB)]
    assert numbers == [1, 3, GPU_SAMPLES]
    assert [engine.samples_together(found, CPU, memory) for memory in (0, GIB)] == [1, 2]


def held():
    """GiB that this process holds now, where the system says so."""
    now = dict(numbers_of(Path("/proc/self/status"))).get("VmRSS")
    return None if now is None else now / GIB


def test_the_peak_of_the_process_holds_what_was_taken():
    gc.collect()
    peak = PeakMemory(CPU)
    before = peak.gib
    now = held() or before  # less than before if what another test left was freed meanwhile
    with mmap.mmap(-1, GIB // 4) as taken:  # new from the system, not what was freed here
        for page in range(0, GIB // 4, mmap.PAGESIZE):
            taken[page] = 1
    assert now + 0.2 < peak.gib < max(before, now) + 0.4


def test_the_peak_stands_with_the_result():
    saliency = explain(small_model(), random_case(SHAPE), MASK, n_samples=1)
    assert 0.05 < saliency.provenance["peak_memory_gib"] < 64
    assert saliency.provenance["peak_memory_of"].startswith("resident memory of the process")


def test_without_a_setting_half_of_what_is_free_is_the_limit():
    assert 0 < memory_limit(CPU) < free_memory(CPU)
    assert memory_limit(CPU, 1.5) == 1.5 * GIB


@pytest.mark.parametrize("memory_gib", [0, -1, float("nan")])
def test_an_impossible_limit_is_refused(memory_gib):
    with pytest.raises(SaliencyError, match="memory limit is"):
        explain(small_model(), random_case(SHAPE), MASK, memory_gib=memory_gib)
