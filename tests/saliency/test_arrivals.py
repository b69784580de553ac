"""On a GPU nothing in the loop over samples is waited for, and nothing unfinished is shown."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model
from torch.utils._python_dispatch import TorchDispatchMode

from napari_ies.errors import SaliencyError
from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.windows import tiling
from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.jacobian import (
    Engine,
    Linearisation,
    WindowedEngine,
    _Windowed,
)
from napari_ies.saliency.engines.patches import Patch
from napari_ies.saliency.problem import Problem, Target
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.smoothgrad import smoothgrad

SHAPE = (12, 8, 10)  # four windows, which share the footprints
ONE, SEVERAL = ball(SHAPE, (6, 4, 5), 0.5), ball(SHAPE, (5, 4, 5), 1.5)


class Road:
    """Stands in for the way from a GPU, on which what is sent comes in order.

    Parameters
    ----------
    delay
        How many times the host looks before something has come; None for never, unless it waits.
    """

    def __init__(self, delay=0):
        self.delay, self.sent, self.come, self.waited = delay, 0, 0, 0

    def __call__(self, values):
        self.sent += 1
        return OnTheRoad(self, self.sent, [one.clone() for one in values])


class OnTheRoad:
    def __init__(self, road, number, values):
        self._road, self._number, self._values, self._looks = road, number, values, 0
        self.delay = road.delay

    @property
    def here(self):
        self._looks += 1
        if self.delay is not None and self._looks > self.delay:
            self._road.come = max(self._road.come, self._number)
        return self._number <= self._road.come

    def values(self):
        if self._number > self._road.come:
            self._road.waited += 1
            self._road.come = self._number
        if self._values[0].device.type == "meta":
            return [torch.ones(one.shape, dtype=one.dtype) for one in self._values]
        return self._values


def problem_of(
    model,
    road,
    device="cpu",
    engine="auto",
    dtype=torch.float64,
    forward="sliding-window",
    **settings,
):
    image = random_case(SHAPE).normalised("zscore-nonzero")
    return Problem(
        network=model.network.to(dtype),
        engine=choose_engine(model, engine),
        device=torch.device("cpu"),
        image=torch.from_numpy(image.copy()).to(dtype),
        tiles=tiling(model.profile, SHAPE, forward),
        class_index=1,
        turn=Reorientation.identity(SHAPE),
        arrival=road,
        **settings,
    )


def estimates(problem, mask, aggregation="mean", **settings):
    request = SaliencyRequest(aggregation=aggregation, **settings)
    return list(smoothgrad(problem, [Target(np.argwhere(mask), aggregation)], request))


SIX = {"n_samples": 6, "noise": 0.2}
MASKS = {"one": ONE, "several": SEVERAL}


@cache
def at_once(network, engine, aggregation, mask):
    """The maps after each sample where nothing has to be waited for."""
    problem = problem_of(small_model(network), None, engine=engine)
    settings = SIX | {"aggregation": aggregation}
    return {
        one.n_used: one
        for one in estimates(problem, MASKS[mask], **settings)
        if one.mean is not None and one.n_used
    }


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0, 2, None])
@pytest.mark.parametrize(
    ("network", "engine", "aggregation", "mask"),
    [
        ("unet", "windowed", "mean", "several"),
        ("unet", "windowed", "max", "one"),
        ("dynunet", "loop", "mean", "one"),
    ],
)
def test_maps_that_come_later_are_those_that_are_there_at_once(
    network, engine, aggregation, mask, delay
):
    model = small_model(network)
    settings = SIX | {"aggregation": aggregation}
    expected = at_once(network, engine, aggregation, mask)
    for together in (1, 3):
        problem = problem_of(model, Road(delay), engine=engine, samples_together=together)
        found = estimates(problem, MASKS[mask], **settings)
        shown = [one for one in found if one.mean is not None and one.n_used]
        assert shown[0].n_used == 1
        assert shown[-1].n_used == 6
        assert (found[-1].done, found[-1].total) == (found[-1].total, found[-1].total)
        assert [one.n_used for one in shown] == sorted({one.n_used for one in shown})
        for one in shown:
            same = expected[one.n_used]
            torch.testing.assert_close(one.mean, same.mean, rtol=1e-10, atol=1e-14)
            if one.n_used > 1:
                error = same.standard_error
                torch.testing.assert_close(one.standard_error, error, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_a_tolerance_stops_a_gpu_where_it_stops_the_cpu(aggregation):
    model = small_model()
    settings = {"aggregation": aggregation, "n_samples": 20, "tolerance": 0.15, "noise": 0.3}
    on_cpu = estimates(problem_of(model, None), ONE, **settings)[-1]
    for together in (1, 7):
        problem = problem_of(model, Road(None), samples_together=together)
        last = estimates(problem, ONE, **settings)[-1]
        assert 2 < last.n_used == on_cpu.n_used < 20
        torch.testing.assert_close(last.mean, on_cpu.mean, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("aggregation", "mask"), [("mean", SEVERAL), ("max", ONE)])
def test_in_the_loop_over_samples_only_the_first_map_is_waited_for(aggregation, mask):
    road = Road(None)
    problem = problem_of(small_model(), road, samples_together=4)
    request = SaliencyRequest(aggregation=aggregation, n_samples=13)
    waited = {}
    for one in smoothgrad(problem, [Target(np.argwhere(mask), aggregation)], request):
        waited[one.n_used, one.done] = road.waited
    *loop, last = waited.values()
    assert loop == sorted(loop)
    assert set(loop) == {0, 1}
    assert last > 1  # the end: all looks, and the map


def test_maps_in_between_are_sent_ever_more_rarely():
    problem = problem_of(small_model(), Road(0), samples_together=1)
    found = estimates(problem, ONE, n_samples=20)
    shown = [one.n_used for one in found if one.mean is not None and one.n_used]
    assert shown == [1, 2, 4, 8, 16, 20]


class OnDevice(TorchDispatchMode):
    """Counts operations on the meta device, and names those that tell the host a value there.

    Copies from the host's ordinary memory are counted too: CUDA does these before it goes on.
    """

    TELLING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select")

    def __init__(self):
        super().__init__()
        self.count, self.telling, self.given = 0, [], 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation._overloadpacket.__name__
        to = (kwargs or {}).get("device", args[0].device if name == "copy_" else None)
        if name in ("_to_copy", "copy_") and to is not None and to.type == "meta":
            self.given += args[-1].device.type == "cpu"
        if any(isinstance(one, torch.Tensor) and one.device.type == "meta" for one in args):
            self.count += 1
            self.telling += [name] if name in self.TELLING else []
        return operation(*args, **(kwargs or {}))


def on_meta(engine, together, road):
    """Return the problem on a device on which nothing is known."""
    network = small_model().network.to("meta")
    problem = problem_of(small_model(), road, dtype=torch.float32, samples_together=together)
    device = torch.device("meta")
    return dataclasses.replace(problem, network=network, engine=engine(network), device=device)


@pytest.mark.parametrize("aggregation", ["mean", "sum"])
def test_the_loop_over_samples_runs_where_no_value_is_known(aggregation):
    """Whoever asked for a value there would get an error."""
    problem = on_meta(WindowedEngine, 4, Road(2))
    with OnDevice() as seen:
        estimates(problem, SEVERAL, aggregation, n_samples=9)
    assert seen.count > 100
    assert not seen.telling


class Itself(Engine):
    """Of a network that gives back its input: all that is counted is around the engine."""

    def linearise(self, images, span, domain, class_index):
        found = Linearisation.__new__(Copies)
        found.logits = images[:, 0]
        found.images = images
        return found


class Copies(Linearisation):
    def combined(self, *_):
        return Patch(self.images, np.zeros((len(self.images), 3), dtype=np.int64))

    def rows(self, *_):
        raise NotImplementedError

    rows_at_once = rows


def test_the_operations_do_not_grow_with_the_samples_of_a_batch():
    counts = {}
    for together in (1, 4, 8, 16):
        problem = on_meta(Itself, together, Road(None))
        with OnDevice() as seen:
            estimates(problem, ONE, n_samples=1 + 3 * together)
        counts[together] = seen.count
        assert seen.given <= 2  # the image and the table of the noise, once
    assert counts[4] == counts[8] == counts[16]
    # A batch of one has no sums over its samples.
    assert counts[1] <= counts[4] <= counts[1] + 3 * 5


@pytest.mark.parametrize("delay", [0, 2, None])
@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_what_is_not_finite_is_refused_later_and_never_shown(aggregation, delay):
    model = small_model()
    model.network.get_parameter("model.2.conv.bias").data[1] = np.nan
    problem = problem_of(model, Road(delay), samples_together=2)
    request = SaliencyRequest(aggregation=aggregation, n_samples=6)
    found = smoothgrad(problem, [Target(np.argwhere(SEVERAL), aggregation)], request)
    sentence = r"logits are not finite .* in window \d of 4"
    assert shown_until(found, sentence) == []


@pytest.mark.parametrize("delay", [0, 2, None])
def test_what_is_not_finite_in_a_late_sample_is_refused_too(delay, monkeypatch):
    """The fifth sample's gradients: the maps of those before may be shown, its own never."""
    model = small_model()
    problem = problem_of(model, Road(delay), engine="loop", forward="whole-volume")
    real, runs = type(problem.engine).linearise, []

    def spoilt(self, images, *arguments):
        found = real(self, images, *arguments)
        runs.append(len(images))
        if len(runs) == 5:
            found.logits.data[:] = np.inf
        return found

    monkeypatch.setattr(type(problem.engine), "linearise", spoilt)
    request = SaliencyRequest(n_samples=9)
    found = smoothgrad(problem, [Target(np.argwhere(ONE), "mean")], request)
    assert max(shown_until(found, "logits are not finite")) < 5


def shown_until(found, sentence):
    """Return of how many samples the maps are that are shown before they are refused."""
    used = []
    with pytest.raises(SaliencyError, match=sentence):
        used.extend(one.n_used for one in found if one.mean is not None)
    return used


class LateLooks(Road):
    """A map comes between the look at what it is made of and the look for itself."""

    def __call__(self, values):
        sent = super().__call__(values)
        sent.delay = 0 if values[0].ndim == 4 else 1
        return sent


@pytest.mark.parametrize("road", [Road(0), Road(2), Road(None), LateLooks()])
@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_gradients_that_are_not_finite_are_called_so_and_never_shown(
    aggregation, road, monkeypatch
):
    for name in ("combined", "rows"):
        real = getattr(_Windowed, name)

        def spoilt(self, *arguments, real=real):
            found = real(self, *arguments)
            found.values[:] = np.nan
            return found

        monkeypatch.setattr(_Windowed, name, spoilt)
    problem = problem_of(small_model(), road, samples_together=2)
    request = SaliencyRequest(aggregation=aggregation, n_samples=6)
    found = smoothgrad(problem, [Target(np.argwhere(SEVERAL), aggregation)], request)
    assert shown_until(found, r"gradients are not finite .* in window \d of 4") == []


def test_what_is_known_of_an_image_is_kept_with_other_fields():
    problem = problem_of(small_model(), None)
    known = problem.intensity_range
    assert vars(problem.settled())["intensity_range"] == known
    assert problem.changed(memory=3).memory == 3
    assert problem.memory != 3
