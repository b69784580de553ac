"""Networks as one are differentiated pass by pass: the same maps, in the memory of one pass."""

import json
import weakref
from dataclasses import replace

import numpy as np
import pytest
from cases import random_case
from networks import small_model
from torch import nn

from napari_ies.cli.tables import measures_table
from napari_ies.geometry.box import Box
from napari_ies.network import members
from napari_ies.network.members import Members
from napari_ies.results import save_saliency
from napari_ies.saliency import explain, member_passes
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.whole import whole_windows
from napari_ies.saliency.engines.whole.whole_windows import LoopEngine
from napari_ies.saliency.expected.expected_time import expected_time
from napari_ies.saliency.request import SaliencyRequest

SHAPE = (16, 18, 16)
MASK = np.zeros(SHAPE, dtype=bool)
MASK[9, 9, 10:12] = True


def together(names, mirrored=()):
    models = [small_model(name, seed, orientation="LAS") for seed, name in enumerate(names)]
    profile = replace(models[0].profile, window=(16, 16, 16))
    network = Members([one.network for one in models], mirrored)
    return replace(models[0], network=network, profile=profile)


class InPlain(nn.Module):
    """Networks as one, as a single network of which no engine knows: one graph of all passes."""

    def __init__(self, members):
        super().__init__()
        self.all = members

    def forward(self, batch):
        return self.all(batch)


def close(found, expected):
    """In the Euclidean norm: rounding turns an activation here and there, and its slope."""
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)


@pytest.fixture
def one_at_a_time(monkeypatch):
    monkeypatch.setattr(member_passes, "GRAPHS", 0)
    monkeypatch.setattr(members, "MIRRORED_VOXELS", 1)


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_passes_one_at_a_time_give_the_same_in_the_memory_of_one(
    monkeypatch, one_at_a_time, aggregation
):
    case, settings = random_case(SHAPE), {"aggregation": aggregation, "n_samples": 2}
    apart = together(["dynunet"] * 2, (2,))
    assert choose_engine(apart).passes == 4
    alive, most = weakref.WeakSet(), []
    inner = LoopEngine.linearise

    def linearise(self, *arguments):
        most.append(len(alive))
        found = inner(self, *arguments)
        alive.add(found)
        return found

    monkeypatch.setattr(LoopEngine, "linearise", linearise)
    found = explain(apart, case, MASK, **settings)
    assert max(most) == 0  # none is held while the next one runs
    monkeypatch.undo()

    at_once = together(["dynunet"] * 2, (2,))
    assert choose_engine(at_once).passes == 2
    again = explain(at_once, case, MASK, **settings)
    for one, other in (
        (found.cropped, again.cropped),
        (found.cropped_spread, again.cropped_spread),
        (found.cropped_standard_error, again.cropped_standard_error),
    ):
        close(one, other)
    network = InPlain(at_once.network)
    plain = explain(replace(at_once, network=network), case, MASK, **settings)
    close(found.cropped, plain.cropped)
    assert found.provenance["jacobian"] == "loop"


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", ["mean", "max"])
@pytest.mark.parametrize("names", [("unet", "unet"), ("unet", "dynunet")])
def test_members_that_are_local_are_computed_as_such(names, aggregation):
    """And their maps, whose spread is kept, are those of each one alone."""
    model, case = together(names), random_case(SHAPE)
    settings = {"aggregation": aggregation, "n_samples": 2}
    found = explain(model, case, MASK, **settings)
    assert found.provenance["jacobian"] == "windowed"
    alone = [
        explain(replace(model, network=one), case, MASK, **settings).maps
        for one in model.network.members
    ]
    expected = np.std(alone, axis=0, ddof=1)[(slice(None), *found.box)]
    close(found.cropped_spread, expected)
    if aggregation == "mean":
        close(found.maps, np.mean(alone, axis=0))
    else:
        network = InPlain(model.network)
        close(found.maps, explain(replace(model, network=network), case, MASK, **settings).maps)


def test_the_spread_of_a_gradcam_is_that_of_each_member_alone():
    model, case = together(["dynunet"] * 2, (1,)), random_case(SHAPE)
    found = explain(model, case, MASK, method="gradcam++")
    alone = [
        explain(replace(model, network=Members([one], (1,))), case, MASK, method="gradcam++").maps
        for one in model.network.members
    ]
    close(found.cropped_spread, np.std(alone, axis=0, ddof=1)[(slice(None), *found.box)])


def test_the_spread_at_the_peaks_is_among_the_numbers(tmp_path):
    model, case = together(["unet"] * 2), random_case(SHAPE)
    found = explain(model, case, MASK, n_samples=2)
    spread = found.box.lay(found.cropped_spread, Box.whole(SHAPE))
    for channel, (name, row) in enumerate(found.measures.iterrows()):
        values = found.maps[channel]
        for sign, at in (("positive", values.argmax()), ("negative", values.argmin())):
            assert row[f"peak_{sign}_spread"] == spread[channel].flat[at], name
    shown = measures_table({"lesion 1": found.measures}, found.unit)
    assert "members ± the standard deviation between their maps" in shown.caption
    peaks = [*shown.columns[2].cells]
    row = found.measures.iloc[0]
    assert peaks[0].endswith(f"(members ± {row['peak_positive_spread']:.1g})")
    saved = save_saliency(tmp_path, found, case=case, model=model, lesion=1)
    table = next(tmp_path.rglob("*measures.tsv"))
    assert saved
    written = table.read_text().splitlines()[0].split("\t")
    described = json.loads(table.with_suffix(".json").read_text())
    assert {"peak_positive_spread", "peak_negative_spread"} <= {*written} & described.keys()

    alone = explain(replace(model, network=model.network.members[0]), case, MASK, n_samples=1)
    assert "peak_positive_spread" not in alone.measures
    assert "members" not in measures_table({"lesion 1": alone.measures}, alone.unit).caption


@pytest.mark.slow
@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_the_time_is_that_of_all_passes(one_at_a_time, monkeypatch, aggregation):
    """With a clock that only forwards and backward passes set forward, each by its own step."""
    now = [0.0]

    def timed(kind, name, step):
        inner = getattr(kind, name)

        def run(*arguments, **settings):
            now[0] += step
            return inner(*arguments, **settings)

        monkeypatch.setattr(kind, name, run)

    timed(LoopEngine, "linearise", 3)
    timed(whole_windows._WholeWindow, "_pulled", 5)
    model, case = together(["dynunet"] * 2, (0,)), random_case(SHAPE)
    request = SaliencyRequest(aggregation=aggregation, n_samples=3)
    expected = expected_time(model, case, [MASK], request, clock=lambda: now[0], few_steps=0)
    now[0] = 0.0
    explain(model, case, MASK, aggregation=aggregation, n_samples=3)
    assert expected.seconds == pytest.approx(now[0], rel=0.02)
