"""Numbers that are out of all proportion are refused at the door of what they are for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import random_case
from networks import small_model

from napari_ies.counterfactual.edit import Edit
from napari_ies.errors import CaseError, FigureError, NapariIESError, SaliencyError
from napari_ies.figures.settings import FigureSettings
from napari_ies.saliency.engines.memory import GIB, memory_limit
from napari_ies.saliency.noise import standard_noise
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.segmentation.segmentation import segment

HUGE = 10**5000  # Python itself refuses to write this out


def kind_of(value):
    """Name a case: pytest cannot write out such numbers either."""
    return value if isinstance(value, str) else type(value).__name__


BOX = (slice(0, 2), slice(0, 2), slice(0, 2))


def refused(kind, make, value, begins):
    with pytest.raises(kind) as raised:
        make(value)
    said = str(raised.value)
    assert said.startswith(begins)
    assert "; expected " in said or said.startswith("There is no ")
    assert said.endswith(".")
    assert len(said) < 250


@pytest.mark.parametrize(
    ("name", "value", "begins"),
    [
        ("n_samples", 10**30, "about 10^30 noise samples were asked for"),
        ("n_samples", HUGE, "about 10^"),
        ("n_samples", 1e30, "1e+30 noise samples"),
        ("n_samples", 1_000_001, "1000001 noise samples"),
        ("n_samples", True, "True noise samples"),
        ("n_samples", 50.0, "50 noise samples"),
        ("n_samples", "50", "'50' noise samples"),
        ("n_samples", {"a": 1}, "{'a': 1} noise samples"),
        ("noise", 1e300, "The noise level is 1e+300"),
        ("noise", math.inf, "The noise level is inf"),
        ("noise", HUGE, "The noise level is about 10^"),
        ("noise", True, "The noise level is True"),
        ("noise", "0.05", "The noise level is '0.05'"),
        ("noise", None, "The noise level is None"),
        ("seed", 2**63, "The seed is about 10^1"),
        ("seed", 1.5, "The seed is 1.5"),
        ("seed", False, "The seed is False"),
        ("tolerance", math.nan, "The tolerance is nan"),
        ("tolerance", math.inf, "The tolerance is inf"),
        ("tolerance", [], "The tolerance is []"),
        ("class_index", 10**9, "The class is 1000000000"),
        ("class_index", -1, "The class is -1"),
        ("class_index", np.bool_(True), "The class is np.True_"),
        ("class_index", "1", "The class is '1'"),
        ("layer", "", "The layer is ''"),
        ("layer", 3, "The layer is 3"),
        ("method", ["smoothgrad"], "There is no method ['smoothgrad']"),
        ("aggregation", np.zeros(2), "There is no aggregation array("),
    ],
    ids=kind_of,
)
def test_a_request_is_possible_or_refused(name, value, begins):
    refused(SaliencyError, lambda it: SaliencyRequest(**{name: it}), value, begins)


def test_numbers_of_numpy_are_numbers():
    given = SaliencyRequest(
        n_samples=np.int64(7),
        noise=np.float32(0.25),
        seed=np.uint16(3),
        tolerance=np.float64(0.5),
        class_index=np.int8(1),
    )
    plain = SaliencyRequest(n_samples=7, noise=0.25, seed=3, tolerance=0.5, class_index=1)
    assert given == plain
    assert hash(given) == hash(plain)
    assert [type(value) for value in (given.n_samples, given.noise, given.seed)] == [
        int,
        float,
        int,
    ]


def test_every_seed_that_is_taken_gives_noise_of_its_own():
    seeds = (0, 1, 2**32 - 1, 2**32, 2**63 - 1)
    drawn = [standard_noise(SaliencyRequest(seed=seed).seed, 0, 1, BOX) for seed in seeds]
    assert len({noise.tobytes() for noise in drawn}) == len(seeds)


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 0, 1, 1e30, "0.5", True])
def test_a_threshold_is_a_probability(value):
    model, case = small_model(), random_case((8, 8, 8))
    refused(
        NapariIESError, lambda it: segment(model, case, threshold=it), value, "The threshold is "
    )


@pytest.mark.parametrize("value", [10**18, 8**3 + 1, 0, 2.0, math.nan, True])
def test_a_lesion_is_no_larger_than_the_images(value):
    model, case = small_model(), random_case((8, 8, 8))
    refused(
        NapariIESError, lambda it: segment(model, case, smallest=it), value, "The smallest lesion"
    )


@pytest.mark.parametrize("value", [math.inf, math.nan, 1e30, 0, -1, HUGE, "4", True], ids=kind_of)
def test_a_memory_limit_is_one_that_a_machine_can_have(value):
    device = small_model().device
    refused(SaliencyError, lambda it: memory_limit(device, it), value, "The memory limit is ")
    assert memory_limit(device, np.float32(1.5)) == 1.5 * GIB


@pytest.mark.parametrize(
    ("name", "value", "begins"),
    [
        ("width", 1e9, "The width is 1e+09 mm"),
        ("width", math.nan, "The width is nan mm"),
        ("width", "wide", "The width is 'wide' mm"),
        ("margin", math.nan, "The margin around the lesion is nan mm"),
        ("margin", 1e300, "The margin around the lesion is 1e+300 mm"),
        ("slices", 10**6, "1000000 slices"),
        ("slices", 2.5, "2.5 slices"),
        ("limit", math.inf, "The colour limit is inf"),
        ("limit", 1e308, "The colour limit is 1e+308"),
        ("threshold", math.nan, "The threshold is nan of the limit"),
        ("opacity", math.nan, "The opacity is nan"),
        ("at", (0.0, math.nan, 0.0), "The centre is (0.0, nan, 0.0)"),
        ("at", (0.0, 1e300, 0.0), "The centre is (0.0, 1e+300, 0.0)"),
        ("at", (0.0, 1.0), "The centre is (0.0, 1.0)"),
        ("layout", ["planes"], "There is no layout ['planes']"),
    ],
)
def test_a_figure_is_one_for_a_page(name, value, begins):
    refused(FigureError, lambda it: FigureSettings(**{name: it}), value, begins)


@pytest.mark.parametrize(
    ("name", "value", "begins"),
    [
        ("amount", 1e300, "The image is to be changed by 1e+300"),
        ("amount", math.nan, "The image is to be changed by nan"),
        ("margin_mm", math.inf, "The margin is inf mm"),
        ("margin_mm", 1e9, "The margin is 1e+09 mm"),
    ],
)
def test_an_edit_leaves_an_image(name, value, begins):
    refused(CaseError, lambda it: Edit("FLAIR", "brighten", **{name: it}), value, begins)
