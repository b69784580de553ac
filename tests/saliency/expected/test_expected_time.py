"""How long maps will take: the work is counted exactly, its time follows from a timed part."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from cases import ball, random_case
from networks import small_model

from napari_ies.duration import HOUR, about
from napari_ies.geometry import Box
from napari_ies.network.members import Members
from napari_ies.saliency import explanation, footprint, gradcam
from napari_ies.saliency.case_explanations import CaseExplanations
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.jacobian import _Windowed
from napari_ies.saliency.engines.whole.whole_windows import _WholeWindow
from napari_ies.saliency.expected.expected_time import ExpectedTime, expected_time
from napari_ies.saliency.expected.portions import Portions
from napari_ies.saliency.expected.work import Work, work_of_sample
from napari_ies.saliency.forwards import noisy_images
from napari_ies.saliency.request import SaliencyRequest

SHAPE = (12, 8, 10)  # four windows
FOOTPRINTS = {
    "one": [ball(SHAPE, (6, 4, 5), 1.0)],
    "three": [
        ball(SHAPE, (5, 4, 5), 1.0),
        ball(SHAPE, (1, 1, 2), 1.0),
        ball(SHAPE, (1, 1, 2), 1.0) | ball(SHAPE, (10, 6, 8), 1.0),
    ],
}


class Counted:
    """Counts what engines do, at the doors of the engines; a clock that each of it sets forward.

    A noisy voxel through the network takes 3 s here, a voxel of a gradient 2, a row 5, a window
    that Grad-CAM++ looks at 11 and its part of the map 4, and all else no time.
    """

    def __init__(self, monkeypatch, engine):
        self.of, self.now = Counter(), 0.0
        self._patch = monkeypatch
        self._wrap(engine, "linearise", self._forward)
        for kind in (_WholeWindow, _Windowed):
            self._wrap(kind, "combined", self._gradient)
            self._wrap_rows(kind)
        self._wrap(gradcam, "layer_pass", self._pass)
        self._patch.setattr(
            "napari_ies.saliency.expected.expected_time.layer_pass",
            gradcam.layer_pass,
            raising=True,
        )
        self._wrap(gradcam, "window_map", self._map)
        self._patch.setattr(
            "napari_ies.saliency.expected.expected_time.window_map", gradcam.window_map
        )

    def clock(self):
        return self.now

    def work(self):
        return Work(**{name: self.of[name] for name in COUNTED})

    def _wrap(self, owner, name, seen):
        inner = getattr(owner, name)

        def counted(*arguments, **settings):
            result = inner(*arguments, **settings)
            seen(arguments, result)
            return result

        self._patch.setattr(owner, name, counted)

    def _wrap_rows(self, kind):
        inner, this = kind.rows, self

        def rows(self, seeds, part):
            patch = inner(self, seeds, part)
            this.of["rows"] += part.stop - part.start
            this.now += 5 * (part.stop - part.start)
            return patch

        self._patch.setattr(kind, "rows", rows)

    def _forward(self, arguments, _result):
        images = next(a for a in arguments if getattr(a, "ndim", 0) == 5)
        voxels = len(images) * math.prod(images.shape[2:])
        self.of["forwards"] += len(images)
        self.of["forward_voxels"] += voxels
        self.now += 3 * voxels

    def _gradient(self, arguments, result):
        self.of["gradients"] += len(result.values)
        voxels = math.prod(result.values.shape[2:])
        self.now += 2 * len(result.values) * voxels

    def _pass(self, _arguments, _result):
        self.of["passes"] += 1
        self.now += 11

    def _map(self, _arguments, _result):
        self.now += 4


COUNTED = ("forwards", "forward_voxels", "gradients", "rows", "passes")


def counted_of(work):
    return Work(**{name: getattr(work, name) for name in COUNTED})


def test_a_large_region_is_measured_once_for_each_of_its_pieces(monkeypatch):
    """A whole brain's pieces are looked up thousands of times before anything is computed."""
    model, case = small_model(), random_case(SHAPE)
    measured = Counter()

    class Measured(Box):
        @classmethod
        def of_voxels(cls, voxels):
            measured[id(voxels)] += 1
            return Box.of_voxels(voxels)

    monkeypatch.setattr(
        footprint, "_split", lambda local, *_: [(np.arange(len(local)), Box.of_voxels(local))]
    )
    monkeypatch.setattr(footprint, "Box", Measured)
    request = SaliencyRequest(aggregation="max", n_samples=3)
    explained = CaseExplanations(model, case, request, "auto", None)
    whole = Portions(explained.problem, 0, explained.target(np.ones(SHAPE, bool), "max"))
    measured.clear()
    for _ in range(3):
        work_of_sample(explained.problem, [whole])
    assert len(whole.pieces) > 1
    assert sorted(measured.values()) == [1] * len(whole.pieces)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("forward", "ways", "memory_gib"),
    [
        ("sliding-window", ("mean",), 1.0),
        ("sliding-window", ("sum", "max"), 1.0),
        ("sliding-window", ("max",), 1e-5),
        ("whole-volume", ("sum", "max"), 1.0),
    ],
    ids=["mean", "sum and max", "max in hardly any memory", "whole volume"],
)
@pytest.mark.parametrize(
    ("network", "engine"), [("unet", "windowed"), ("unet", "batched"), ("dynunet", "loop")]
)
def test_the_work_is_counted_as_it_is_done(monkeypatch, network, engine, ways, forward, memory_gib):
    model, case = small_model(network), random_case(SHAPE)
    request = SaliencyRequest(n_samples=2, forward=forward, aggregation=ways[0])
    settings = {"aggregations": ways, "jacobian": engine, "memory_gib": memory_gib}
    masks = FOOTPRINTS["three"]
    expected = expected_time(model, case, masks, request, **settings)
    # Loop and batched engines are made anew: the doors of the class are watched.
    chosen = choose_engine(model, engine)
    counted = Counted(monkeypatch, chosen if engine == "windowed" else type(chosen))
    list(explanation.explain_together(model, case, dict(enumerate(masks)), request, **settings))
    assert counted_of(expected.work) == counted.work()
    assert expected.work.steps == sum(
        counted.of[name] for name in ("forwards", "gradients", "rows")
    )


@pytest.mark.parametrize("forward", ["sliding-window", "whole-volume"])
def test_the_windows_of_a_gradcam_are_counted(monkeypatch, forward):
    model, case = small_model(), random_case(SHAPE)
    request = SaliencyRequest(method="gradcam++", forward=forward)
    expected = expected_time(model, case, FOOTPRINTS["three"], request)
    counted = Counted(monkeypatch, type(choose_engine(model, "loop")))
    for mask in FOOTPRINTS["three"]:
        list(explanation.explain_request(model, case, mask, request))
    assert expected.work == Work(passes=counted.of["passes"])


@pytest.mark.slow
def test_the_voxels_of_noise_and_maps_are_counted(monkeypatch):
    model, case = small_model("dynunet"), random_case(SHAPE)
    request = SaliencyRequest(n_samples=3)
    expected = expected_time(model, case, FOOTPRINTS["three"], request)
    drawn = []

    def noisy(*arguments):
        drawn.append(noisy_images(*arguments))
        return drawn[-1]

    monkeypatch.setattr("napari_ies.saliency.forwards.noisy_images", noisy)
    shown = {}
    masks = dict(enumerate(FOOTPRINTS["three"]))
    for key, report in explanation.explain_together(model, case, masks, request):
        if report.result is not None:
            shown[key] = report.result.cropped.size
    assert expected.work.noise_voxels == sum(noise.numel() for noise in drawn)
    assert expected.work.map_voxels == 3 * sum(shown.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "engine", "ways"),
    [
        ("unet", "windowed", ("mean",)),
        ("unet", "windowed", ("max",)),
        ("dynunet", "loop", ("mean", "max")),
        ("unet", "batched", ("max",)),
    ],
)
def test_the_time_follows_from_a_little_of_the_work(monkeypatch, network, engine, ways):
    """With a clock that only the network's work sets forward, the estimate is the time."""
    model, case = small_model(network), random_case(SHAPE)
    chosen = choose_engine(model, engine)
    counted = Counted(monkeypatch, chosen if engine == "windowed" else type(chosen))
    request = SaliencyRequest(n_samples=6, aggregation=ways[0])
    settings = {"aggregations": ways, "jacobian": engine}
    masks = FOOTPRINTS["one"]
    expected = expected_time(model, case, masks, request, clock=counted.clock, **settings)
    tried, counted.now = counted.now, 0.0
    list(explanation.explain_together(model, case, dict(enumerate(masks)), request, **settings))
    assert expected.seconds == pytest.approx(counted.now, rel=0.01)
    assert tried < 0.5 * counted.now  # of six samples; of fifty it is a few per cent
    # What was timed is kept: nothing is tried for the next footprint.
    counted.now = 0.0
    again = expected_time(
        model, case, FOOTPRINTS["three"], request, clock=counted.clock, **settings
    )
    assert again.seconds > expected.seconds
    assert counted.now == 0


def test_the_time_of_a_gradcam_follows_from_one_window(monkeypatch):
    model, case = small_model(), random_case(SHAPE)
    counted = Counted(monkeypatch, type(choose_engine(model, "loop")))
    request = SaliencyRequest(method="gradcam++")
    masks = [FOOTPRINTS["one"][0]] * 10
    expected = expected_time(model, case, masks, request, clock=counted.clock)
    assert expected.work.passes == 40
    assert expected.seconds == 40 * (11 + 4)
    assert counted.of["passes"] == 1


def test_work_of_a_few_steps_is_not_tried(monkeypatch):
    model, case = small_model(), random_case(SHAPE)
    choose_engine(model)
    counted = Counted(monkeypatch, choose_engine(model))
    request = SaliencyRequest(n_samples=1, forward="whole-volume")
    expected = expected_time(model, case, FOOTPRINTS["one"], request, clock=counted.clock)
    assert expected.seconds is None
    assert expected.text == ""
    assert not expected.long
    assert counted.now == 0


def test_a_whole_brain_is_long_and_says_what_is_shorter():
    """An hour of seconds for each forward: a clock that jumps whenever it is asked."""
    model, case = small_model(), random_case(SHAPE)
    now = iter(range(0, 10**9, 3600))
    request = SaliencyRequest(aggregation="max", n_samples=50, tolerance=0.01)
    everything = np.ones(SHAPE, dtype=bool)
    expected = expected_time(model, case, [everything], request, clock=lambda: next(now))
    assert expected.work.rows >= 50 * everything.sum()
    assert expected.long
    assert expected.text.startswith("at most about ")
    assert expected.shorter_with == (
        "fewer noise samples than 50, the aggregation mean instead of max, the forward "
        "whole-volume instead of sliding-window or a GPU"
    )


@pytest.mark.parametrize(
    ("name", "shape", "forward", "offered"),
    [
        ("unet", SHAPE, "sliding-window", True),
        ("unet", SHAPE, "whole-volume", False),
        ("dynunet", (8, 8, 12), "sliding-window", True),  # two windows of 8 hold the middle
        ("dynunet", (40, 40, 40), "sliding-window", False),
        ("unetr", SHAPE, "sliding-window", False),  # takes windows alone
    ],
)
def test_a_whole_volume_is_offered_where_it_is_less_work(name, shape, forward, offered):
    model, case = small_model(name), random_case(shape)
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(n // 2 for n in shape)] = True
    request = SaliencyRequest(aggregation="max", forward=forward, n_samples=1)
    words = expected_time(model, case, [mask], request).shorter_with
    assert ("whole-volume" in words) == offered
    assert "smaller region" not in words
    assert "fewer noise samples" not in words


def test_a_whole_volume_that_memory_does_not_hold_is_not_offered():
    model, case = small_model("dynunet"), random_case((8, 8, 12))
    mask = ball((8, 8, 12), (4, 4, 6), 1.0)
    request = SaliencyRequest(aggregation="max", n_samples=1)
    words = [
        expected_time(model, case, [mask], request, memory_gib=memory).shorter_with
        for memory in (1.0, 1e-6)
    ]
    assert ["whole-volume" in one for one in words] == [True, False]


def test_members_and_mirrors_are_offered_as_fewer():
    members = Members([small_model().network for _ in range(2)], mirrored=(0, 1))
    model = replace(small_model(), network=members)
    request = SaliencyRequest(aggregation="max", n_samples=2)
    words = expected_time(model, random_case(SHAPE), FOOTPRINTS["one"], request).shorter
    assert "no mirroring (4 images; Profile… or --no-mirroring)" in words
    assert "one of 2 members (its own checkpoint)" in words
    assert "a smaller region" not in words
    mean = replace(request, aggregation="mean")
    words = expected_time(model, random_case(SHAPE), FOOTPRINTS["one"], mean).shorter
    assert "the aggregation mean instead of max" not in words
    assert "a smaller region" in words


def test_the_limit_is_an_hour():
    work = Work(rows=100)
    assert not ExpectedTime(work, HOUR, False, ()).long
    assert ExpectedTime(work, HOUR + 1, False, ()).long


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"),
        (50, "about 1 minute"),
        (720, "about 12 minutes"),
        (3600, "about an hour"),
        (3 * 3600 + 60, "about 3 hours"),
        (3 * 86400, "about 3 days"),
        (200 * 86400, "about 7 months"),
        (3000 * 365.25 * 86400, "about 3,000 years"),
        (1e300, "more than a million years"),
    ],
)
def test_durations_in_words(seconds, words):
    assert about(seconds) == words
