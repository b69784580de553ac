"""SmoothGrad against a double loop over voxels and noise samples in float64."""

import dataclasses
from functools import cache

import naive
import numpy as np
import pytest
import torch
from cases import OBLIQUE, ball, random_case
from networks import small_model

from napari_ies.errors import SaliencyError
from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.assumptions import notes_on
from napari_ies.network.windows import tiling
from napari_ies.progress import finish
from napari_ies.saliency import explain, explain_progressively
from napari_ies.saliency.engines.certification import JACOBIANS, choose_engine
from napari_ies.saliency.engines.local_network import LocalNetwork
from napari_ies.saliency.explanation import explain_together
from napari_ies.saliency.noise import standard_noise
from napari_ies.saliency.problem import Problem, Target
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.smoothgrad import smoothgrad

FORWARDS = ("sliding-window", "whole-volume")
SHAPE = (12, 10, 14)


def whole_noise(n_samples, shape=SHAPE, seed=0):
    box = tuple(slice(0, size) for size in shape)
    return [standard_noise(seed, n, 2, box) for n in range(n_samples)]


def sigma_of(image, noise):
    return noise * (float(image[0].max()) - float(image[0].min()))


def double_problem(model, image, forward, jacobian="auto", **settings):
    """What the engine needs to know, in float64."""
    return Problem(
        network=model.network.double(),
        engine=choose_engine(model, jacobian),
        device=torch.device("cpu"),
        image=torch.from_numpy(image.astype(np.float64)),
        tiles=tiling(model.profile, image.shape[1:], forward),
        class_index=1,
        turn=Reorientation.identity(image.shape[1:]),
        **settings,
    )


def double_estimate(
    model, image, mask, forward, aggregation, n_samples, noise, seed=0, jacobian="auto"
):
    """Run the engine in float64 and put its map on the whole grid."""
    problem = double_problem(model, image, forward, jacobian)
    request = SaliencyRequest(aggregation=aggregation, n_samples=n_samples, noise=noise, seed=seed)
    *_, last = smoothgrad(problem, [Target(np.argwhere(mask), aggregation)], request)
    maps = np.zeros(image.shape)
    maps[(slice(None), *last.box)] = last.mean.numpy()
    return maps


@cache
def naive_rows(name, forward, footprint, n_samples, noise, seed=0):
    """The double loop over the voxels of a footprint, for all aggregations at once."""
    model, image = small_model(name), random_case(SHAPE).normalised("zscore-nonzero")
    return naive.noisy_rows(
        model,
        image,
        FOOTPRINTS[footprint](),
        noises=whole_noise(n_samples, seed=seed),
        sigma=sigma_of(image, noise),
        forward=forward,
    )


def relative_difference(values, expected):
    return np.abs(values - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("forward", FORWARDS)
@pytest.mark.parametrize("aggregation", ["mean", "sum", "max"])
@pytest.mark.parametrize("name", ["unet", "unet-residual", "unet-anisotropic", "dynunet"])
def test_equals_the_double_loop_in_float64(name, aggregation, forward):
    model, image = small_model(name), random_case(SHAPE).normalised("zscore-nonzero")
    rows = naive_rows(name, forward, "small", 2, 0.1)
    expected, _ = naive.over_samples(rows, aggregation)
    mask = FOOTPRINTS["small"]()
    maps = double_estimate(model, image, mask, forward, aggregation, 2, 0.1)
    assert relative_difference(maps, expected) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["swin", "unetr"])
def test_equals_the_double_loop_for_transformers(name):
    shape = (64, 32, 32) if name == "swin" else (32, 32, 36)  # one window, and two
    model, case = small_model(name, orientation="LAS"), random_case(shape)
    mask = np.zeros(shape, dtype=bool)
    mask[15, 16, 17:19] = True
    image = case.normalised("zscore-nonzero")
    (noise,) = whole_noise(1, shape)
    noisy = image.astype(np.float64) + sigma_of(image, 0.05) * noise.astype(np.float64)
    rows = naive.jacobian(model, noisy, mask, forward="sliding-window")
    saliency = explain(model, case, mask, aggregation="max", n_samples=1, noise=0.05)
    assert relative_difference(saliency.maps, naive.aggregate(rows, "max")) < 1e-4
    ways = ("mean", "max")
    both = [Target(np.argwhere(mask), way) for way in ways]
    problem = double_problem(model, image, "sliding-window")
    *_, one, other = smoothgrad(problem, both, SaliencyRequest(n_samples=1, noise=0.05))
    for aggregation, last in zip(ways, (one, other), strict=True):
        expected = naive.aggregate(rows, aggregation)
        maps = np.zeros(image.shape)
        maps[(slice(None), *last.box)] = last.mean.numpy()
        assert relative_difference(maps, expected) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("forward", FORWARDS)
@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_explain_equals_the_double_loop_in_float32(aggregation, forward):
    model, case, mask = small_model(), random_case(SHAPE), FOOTPRINTS["small"]()
    rows = naive_rows("unet", forward, "small", 3, 0.05, seed=7)
    expected, error = naive.over_samples(rows, aggregation)
    saliency = explain(
        model, case, mask, aggregation=aggregation, n_samples=3, seed=7, forward=forward
    )
    assert relative_difference(saliency.maps, expected) < 1e-4
    assert relative_difference(saliency.standard_error, error) < 1e-3


FOOTPRINTS = {
    "small": lambda: ball(SHAPE, (6, 5, 7), 1.0),
    "one voxel": lambda: ball(SHAPE, (6, 5, 7), 0.5),
    "at the border": lambda: ball(SHAPE, (0, 0, 13), 1.0),
    "in several windows": lambda: ball(SHAPE, (5, 6, 7), 1.5),
    "in several pieces": lambda: ball(SHAPE, (1, 2, 3), 0.5) | ball(SHAPE, (10, 8, 12), 1.0),
}


@pytest.mark.parametrize("forward", FORWARDS)
@pytest.mark.parametrize("aggregation", ["mean", "max"])
@pytest.mark.parametrize("footprint", [name for name in FOOTPRINTS if name != "small"])
def test_any_footprint_equals_the_double_loop(footprint, aggregation, forward):
    model, image = small_model(), random_case(SHAPE).normalised("zscore-nonzero")
    mask = FOOTPRINTS[footprint]()
    expected, _ = naive.over_samples(naive_rows("unet", forward, footprint, 1, 0.05), aggregation)
    maps = double_estimate(model, image, mask, forward, aggregation, 1, 0.05)
    assert relative_difference(maps, expected) < 1e-10


@pytest.mark.slow
def test_the_whole_volume_as_footprint_equals_the_double_loop():
    shape = (6, 5, 7)
    model = small_model(window=(4, 4, 4))
    image = random_case(shape).normalised("zscore-nonzero")
    mask = np.ones(shape, dtype=bool)
    rows = naive.noisy_rows(
        model,
        image,
        mask,
        noises=whole_noise(1, shape),
        sigma=sigma_of(image, 0.05),
        forward="sliding-window",
    )
    for aggregation in ("mean", "max"):
        expected, _ = naive.over_samples(rows, aggregation)
        maps = double_estimate(model, image, mask, "sliding-window", aggregation, 1, 0.05)
        assert relative_difference(maps, expected) < 1e-10


def test_a_volume_smaller_than_the_window_equals_the_double_loop():
    shape = (6, 10, 7)
    model, case = small_model(), random_case(shape)
    mask, image = ball(shape, (3, 4, 4), 1.0), case.normalised("zscore-nonzero")
    expected, _ = naive.smoothgrad(
        model,
        image,
        mask,
        aggregation="max",
        noises=whole_noise(2, shape),
        sigma=sigma_of(image, 0.05),
        forward="sliding-window",
    )
    saliency = explain(model, case, mask, aggregation="max", n_samples=2)
    assert relative_difference(saliency.maps, expected) < 1e-4


def test_without_noise_one_sample_is_the_plain_gradient():
    model, case = small_model(), random_case(SHAPE)
    mask = ball(SHAPE, (6, 5, 7), 1.0)
    image = torch.from_numpy(case.normalised("zscore-nonzero").copy()).requires_grad_()
    output = naive.logits(model.network, image, model.profile, "whole-volume")[1]
    output[torch.from_numpy(mask)].sum().backward()
    saliency = explain(
        model, case, mask, aggregation="sum", n_samples=1, noise=0, forward="whole-volume"
    )
    assert relative_difference(saliency.maps, image.grad.numpy()) < 1e-5
    assert saliency.standard_error is None


def test_sum_is_mean_times_the_number_of_voxels():
    model, case = small_model(), random_case(SHAPE)
    mask = ball(SHAPE, (6, 5, 7), 1.0)
    mean = explain(model, case, mask, aggregation="mean", n_samples=2).maps
    total = explain(model, case, mask, aggregation="sum", n_samples=2).maps
    np.testing.assert_allclose(total, mean * mask.sum(), rtol=1e-4, atol=1e-7)


def test_another_class_is_explained_by_its_own_logit():
    model, case = small_model(), random_case(SHAPE)
    mask, image = ball(SHAPE, (6, 5, 7), 1.0), case.normalised("zscore-nonzero")
    expected, _ = naive.smoothgrad(
        model,
        image,
        mask,
        aggregation="mean",
        noises=whole_noise(1),
        sigma=sigma_of(image, 0.05),
        forward="whole-volume",
        class_index=0,
    )
    saliency = explain(model, case, mask, n_samples=1, forward="whole-volume", class_index=0)
    assert relative_difference(saliency.maps, expected) < 1e-4


def test_an_orientation_in_the_profile_is_that_of_the_turned_case():
    """A network trained on another orientation sees the case as if it were stored that way."""
    model, case = small_model(), random_case(SHAPE, affine=OBLIQUE)
    oriented = dataclasses.replace(
        model, profile=dataclasses.replace(model.profile, orientation="SLP")
    )
    turn = Reorientation.between(case.affine, case.shape, ("S", "L", "P"))
    turned = dataclasses.replace(case, data=np.ascontiguousarray(turn.apply(case.data)))
    mask = ball(SHAPE, (6, 5, 7), 1.0)
    # No noise: it belongs to the stored voxel, which the turned case does not know.
    settings = {"aggregation": "max", "n_samples": 1, "noise": 0}
    maps = explain(oriented, case, mask, **settings).maps
    expected = explain(model, turned, turn.apply(mask), **settings).maps
    np.testing.assert_allclose(turn.apply(maps), expected, rtol=1e-5, atol=1e-8)
    noisy = explain(oriented, case, mask, n_samples=2)
    assert noisy.mask.sum() == mask.sum()
    assert (noisy.mask == mask).all()


def test_each_report_after_a_sample_is_the_map_of_so_many_samples():
    model, case = small_model(), random_case(SHAPE)
    mask = ball(SHAPE, (6, 5, 7), 1.0)
    reports = [r.result for r in explain_progressively(model, case, mask, n_samples=3) if r.result]
    whole = [saliency for saliency in reports if saliency.n_used]
    assert [saliency.n_used for saliency in whole] == [1, 2, 3]
    for saliency in whole:
        fewer = explain(model, case, mask, n_samples=saliency.n_used)
        assert relative_difference(saliency.maps, fewer.maps) < 1e-6


@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_the_first_sample_is_shown_as_it_grows(aggregation):
    model, case = small_model(), random_case(SHAPE)
    mask = ball(SHAPE, (6, 5, 7), 1.5)
    settings = {"aggregation": aggregation, "n_samples": 2}
    reports = [r.result for r in explain_progressively(model, case, mask, **settings) if r.result]
    growing = [np.abs(saliency.maps).sum() for saliency in reports if saliency.n_used == 0]
    first = np.abs(next(saliency for saliency in reports if saliency.n_used == 1).maps).sum()
    assert len(growing) > 1
    if aggregation == "max":
        assert growing == sorted(growing)
    assert growing[-1] == pytest.approx(first, rel=0.2)
    *before, last = explain_progressively(model, case, mask, aggregation=aggregation, n_samples=1)
    assert last.finished
    assert not any(report.finished for report in before)
    assert max(saliency.n_used for saliency in reports) == 2


def running_estimates(model, image, mask, samples_together, engine="auto", **settings):
    """The estimates after each sample, in float64, so many samples running at once."""
    problem = double_problem(
        model, image, "sliding-window", engine, samples_together=samples_together
    )
    request = SaliencyRequest(**settings)
    target = Target(np.argwhere(mask), "mean")
    return [e for e in smoothgrad(problem, [target], request) if e.mean is not None and e.n_used]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "engine"), [("unet", "windowed"), ("dynunet", "loop")])
def test_samples_that_run_together_give_the_same_maps(name, engine):
    model, image = small_model(name), random_case(SHAPE).normalised("zscore-nonzero")
    mask = FOOTPRINTS["in several windows"]()
    alone = running_estimates(model, image, mask, 1, engine, n_samples=6)
    together = running_estimates(model, image, mask, 3, engine, n_samples=6)
    assert [e.n_used for e in together] == [e.n_used for e in alone] == [1, 2, 3, 4, 5, 6]
    # Only the whole map is the finished one, though the last samples' work is done together.
    assert [e.done == e.total for e in together] == [False] * 5 + [True]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.mean, other.mean, rtol=1e-10, atol=1e-14)
    assert together[-1].done == together[-1].total


@pytest.mark.slow
def test_samples_that_run_together_stop_at_the_same_one():
    model, image = small_model(), random_case(SHAPE).normalised("zscore-nonzero")
    mask = FOOTPRINTS["one voxel"]()
    settings = {"n_samples": 20, "tolerance": 0.15, "noise": 0.3}
    alone = running_estimates(model, image, mask, 1, **settings)[-1]
    together = running_estimates(model, image, mask, 7, **settings)[-1]
    assert 2 < together.n_used == alone.n_used < 20
    torch.testing.assert_close(together.mean, alone.mean, rtol=1e-10, atol=1e-14)


@pytest.mark.slow
def test_fewer_samples_run_together_where_memory_runs_out(monkeypatch):
    model, image = small_model(), random_case(SHAPE).normalised("zscore-nonzero")
    mask = FOOTPRINTS["in several windows"]()
    alone = running_estimates(model, image, mask, 1, n_samples=6)
    real, sizes = LocalNetwork.linearise, []

    def limited(self, images, *arguments):
        if len(images) > 2:
            raise torch.OutOfMemoryError("out of memory")
        sizes.append(len(images))
        return real(self, images, *arguments)

    monkeypatch.setattr(LocalNetwork, "linearise", limited)
    together = running_estimates(model, image, mask, 4, n_samples=6)
    assert [e.n_used for e in together] == [1, 2, 3, 4, 5, 6]
    assert max(sizes) == 2
    torch.testing.assert_close(together[-1].mean, alone[-1].mean, rtol=1e-10, atol=1e-14)


EVERY_WAY = [
    *({"aggregation": how, "jacobian": e} for how in ("mean", "max") for e in JACOBIANS[1:]),
    {"method": "gradcam++"},
]


@pytest.mark.slow
@pytest.mark.parametrize("settings", EVERY_WAY, ids=lambda s: "-".join(s.values()))
def test_cancelling_at_any_step_leaves_the_network_untouched(settings):
    shape = (12, 8, 8)  # two windows
    model, case = small_model(), random_case(shape)
    model.network.model[0].register_forward_hook(lambda *_: None)
    model.network.model[0].adn.A = torch.nn.LeakyReLU(0.1, inplace=True)

    def state():
        modules = [
            (
                name,
                len(m._forward_hooks),
                len(m._backward_hooks),
                m.training,
                vars(m).get("inplace"),
            )
            for name, m in model.network.named_modules()
        ]
        return modules, [p.requires_grad for p in model.network.parameters()]

    before = state()
    weights = {name: value.clone() for name, value in model.network.state_dict().items()}
    mask = ball(shape, (6, 4, 4), 0.5) | ball(shape, (1, 2, 3), 0.5)
    steps = sum(1 for _ in explain_progressively(model, case, mask, n_samples=2, **settings))
    assert steps > 2
    for stop in range(steps):
        running = explain_progressively(model, case, mask, n_samples=2, **settings)
        for _ in range(stop + 1):
            next(running)
            assert state() == before
        running.close()
        assert state() == before
    for name, value in model.network.state_dict().items():
        assert torch.equal(weights[name], value)


@pytest.mark.slow
@pytest.mark.parametrize("engine", JACOBIANS[1:])
def test_a_map_follows_from_those_of_its_parts(engine):
    """Which voxels run beside a voxel, and in which order, does not matter."""
    model, image = small_model(), random_case(SHAPE).normalised("zscore-nonzero")
    parts = [ball(SHAPE, (5, 5, 7), 1.0), ball(SHAPE, (9, 8, 3), 1.0)]
    both = parts[0] | parts[1]

    def maps(mask, aggregation):
        return double_estimate(
            *(model, image, mask, "sliding-window", aggregation, 1, 0.1), jacobian=engine
        )

    one, other = (maps(part, "max") for part in parts)
    expected = np.where(np.abs(one) >= np.abs(other), one, other)
    assert relative_difference(maps(both, "max"), expected) < 1e-12
    one, other = (maps(part, "mean") * part.sum() for part in parts)
    assert relative_difference(maps(both, "mean") * both.sum(), one + other) < 1e-12


@pytest.mark.parametrize("aggregation", ["mean", "max"])
@pytest.mark.parametrize("engine", JACOBIANS[1:])
def test_the_order_of_the_voxels_does_not_matter(engine, aggregation):
    model, image = small_model(), random_case(SHAPE).normalised("zscore-nonzero")
    voxels = np.argwhere(ball(SHAPE, (5, 5, 7), 1.5))
    shuffled = np.random.default_rng(3).permutation(voxels)
    found = []
    for order in (voxels, shuffled):
        problem = double_problem(model, image, "sliding-window", engine)
        request = SaliencyRequest(n_samples=1, noise=0.1)
        *_, last = smoothgrad(problem, [Target(order, aggregation)], request)
        found.append(last.mean)
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n_samples": 0}, "0 noise samples"),
        ({"noise": -0.1}, "noise level is -0.1"),
        ({"noise": float("nan")}, "noise level is nan"),
        ({"aggregation": "median"}, "no aggregation 'median'"),
        ({"method": "lime"}, "no method 'lime'"),
        ({"forward": "half"}, "no forward 'half'"),
        ({"seed": -1}, "seed is -1"),
        ({"tolerance": 0}, "tolerance is 0"),
        ({"class_index": 2}, "no class 2"),
        ({"method": "gradcam++", "layer": "model.9"}, "no layer 'model.9'"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(settings, sentence):
    case = random_case(SHAPE)
    with pytest.raises(SaliencyError, match=sentence) as caught:
        explain(small_model(), case, ball(SHAPE, (6, 5, 7), 1.0), **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (np.zeros(SHAPE, dtype=bool), "holds no voxel"),
        (np.ones((3, 3, 3), dtype=bool), "has the size"),
        (np.full(SHAPE, np.nan), "is not a mask"),
        (np.full(SHAPE, "x"), "is not a mask"),
    ],
)
def test_impossible_footprints_are_refused_in_one_sentence(mask, sentence):
    with pytest.raises(SaliencyError, match=sentence):
        explain(small_model(), random_case(SHAPE), mask)


@pytest.mark.slow
def test_lesions_explained_together_are_the_same_as_alone():
    model, case = small_model(), random_case(SHAPE)
    masks = {key: make() for key, make in FOOTPRINTS.items() if key != "small"}
    request = SaliencyRequest(n_samples=2)
    settings = {"aggregations": ("mean", "max"), "jacobian": "loop"}
    alone = {
        (key, how): explain(model, case, mask, aggregation=how, n_samples=2, jacobian="loop")
        for key, mask in masks.items()
        for how in settings["aggregations"]
    }
    for memory in (2.0, 1e-9):
        finished = {}
        for key, report in explain_together(
            model, case, masks, request, memory_gib=memory, **settings
        ):
            if report.result is not None:
                finished[key] = report.result
        assert set(finished) == set(alone)
        for which, saliency in finished.items():
            assert saliency.request == alone[which].request
            assert relative_difference(saliency.maps, alone[which].maps) < 1e-6


def test_one_forward_serves_all_lesions_of_a_window():
    model, case = small_model("dynunet"), random_case(SHAPE)
    masks = {1: ball(SHAPE, (1, 1, 3), 0.5), 2: ball(SHAPE, (2, 0, 1), 0.5)}
    notes_on(model, case)  # tests the guesses about the network, once
    passes = []
    model.network.register_forward_hook(lambda *_: passes.append(1))
    request = SaliencyRequest(n_samples=3)
    for _ in explain_together(model, case, masks, request, aggregations=("mean", "max")):
        pass
    assert len(passes) == 3


@pytest.mark.slow
def test_a_tolerance_stops_when_the_map_has_converged():
    model, case = small_model(), random_case(SHAPE)
    mask = ball(SHAPE, (6, 5, 7), 1.0)
    errors = []
    for report in explain_progressively(model, case, mask, n_samples=40):
        if report.result is not None and report.result.n_used > 1:
            error = np.linalg.norm(report.result.standard_error)
            errors.append(error / np.linalg.norm(report.result.maps))
    tolerance = 1.001 * errors[10]
    expected = 2 + next(n for n, error in enumerate(errors) if error <= tolerance)
    *_, last = explain_progressively(model, case, mask, n_samples=40, tolerance=tolerance)
    assert last.finished
    assert last.result.n_used == expected < 40
    fewer = explain(model, case, mask, n_samples=expected)
    assert relative_difference(last.result.maps, fewer.maps) < 1e-6


def test_finish_returns_the_last_result():
    model, case = small_model(), random_case(SHAPE)
    mask = ball(SHAPE, (6, 5, 7), 1.0)
    whole = finish(explain_progressively(model, case, mask, n_samples=2))
    np.testing.assert_array_equal(whole.maps, explain(model, case, mask, n_samples=2).maps)
