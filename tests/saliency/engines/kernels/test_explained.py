"""A map with kernels in its engine: the same map, and its provenance says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model

from napari_ies.errors import SaliencyError
from napari_ies.saliency import explain
from napari_ies.saliency.engines import local_network
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.jacobian import WindowedEngine
from napari_ies.saliency.engines.kernels.choice import EXTREMES, PLAIN, Choosing, Kernels
from napari_ies.saliency.engines.kernels.plain import LibraryRows, reduced

SHAPE = (12, 10, 14)
MASK = ball(SHAPE, (6, 5, 7), 1.5)
ROWS = {"4→2 channels": "by heart"}
SAID = {**ROWS, EXTREMES: "by heart, too"}


class Kernel:
    """Counts how often it is used."""

    def __init__(self, way):
        self.way, self.calls = way, 0

    takes_behind = False

    def __call__(self, *args):
        self.calls += 1
        return self.way(*args)


class Last:
    """The last convolution, and the extremes of its rows."""

    def __init__(self, convolution):
        self.rows = LibraryRows(convolution, "float32")

    def __call__(self, values, base, canvases):
        reduced(self.rows(values), base, canvases)


@pytest.fixture(params=["last", "reduces"])
def kernels(request, monkeypatch):
    """Have kernels of plain operations chosen on the CPU, rows being moved by index."""
    made = []

    def choose(subjects):
        rows = {s.node: Kernel(LibraryRows(s.convolution, "float32")) for s in subjects}
        (first,) = (s.convolution for s in subjects if s.first)
        last = Kernel(Last(first)) if request.param == "last" else None
        made.append(Kernels(rows, last, Kernel(reduced), SAID))
        return made[-1]

    def try_kernels(self, device, domain):
        if self._choosing is None:
            subjects = self._local.subjects(domain)
            self._choosing = Choosing(lambda: choose(subjects))
            self._choosing.wait()

    monkeypatch.setattr(WindowedEngine, "try_kernels", try_kernels)
    monkeypatch.setattr(local_network, "by_index", lambda device: True)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("forward", ["sliding-window", "whole-volume"])
@pytest.mark.parametrize("aggregation", ["max", "mean"])
def test_the_same_map(kernels, aggregation, forward):
    case = random_case(SHAPE)
    settings = {"aggregation": aggregation, "n_samples": 2, "forward": forward}
    saliency = explain(small_model(), case, MASK, **settings)
    (chosen,) = kernels
    expected = explain(small_model(), case, MASK, jacobian="loop", **settings)
    assert np.abs(saliency.maps - expected.maps).max() <= 1e-5 * np.abs(expected.maps).max()
    assert saliency.provenance["kernels"] == (SAID if aggregation == "max" else ROWS)
    assert "kernels" not in expected.provenance
    assert all(kernel.calls for node, kernel in chosen.rows.items() if node or not chosen.last)
    # Where several windows hold a voxel its rows are summed first, and no kernel reduces them.
    if aggregation == "max" and forward == "whole-volume":
        assert (chosen.last or chosen.reduces).calls


def test_what_is_not_finite_is_refused(kernels):
    model = small_model()
    choose_engine(model)
    (chosen,) = kernels
    for kernel in (chosen.last, chosen.reduces):
        if kernel is not None:
            kernel.way = lambda values, base, canvases: canvases.highest.fill_(float("nan"))
    with pytest.raises(SaliencyError, match="gradients are not finite"):
        explain(model, random_case(SHAPE), MASK, aggregation="max", n_samples=1,
                forward="whole-volume")  # fmt: skip


def test_an_explanation_takes_what_is_chosen_when_it_starts():
    engine = choose_engine(small_model())
    assert engine.settled() is engine
    found = Kernels(said=SAID)
    engine._choosing = Choosing(lambda: found)
    engine._choosing.wait()
    settled = engine.settled()
    assert settled.kernels == SAID
    assert engine.settled() is settled
    assert settled.settled() is settled
    assert engine.kernels == {}
    engine._choosing = Choosing(lambda: PLAIN)
    engine._choosing.wait()
    assert engine.settled() is engine


def test_nothing_is_tried_on_the_cpu():
    engine = choose_engine(small_model())
    engine.try_kernels(torch.device("cpu"), (8, 8, 8))
    assert engine._choosing is None
