"""Bars: real numbers at every tick, in the unit of Readout, and what goes beyond the limits."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ies.viewer.canvas.legend.bar import Bar
from napari_ies.viewer.state.scaled import common_power

GREY = np.zeros((2, 3))
LIMITS = (
    *((-limit, limit) for limit in (1e-12, 3.456e-7, 0.00123, 0.0968, 0.25, 1, 12.5, 1e6, 7e15)),
    *((0.0, 3e-5), (-0.5, 0.75), (0.1, 0.5), (-3.0, 0.01), (100.0, 100.001), (-2.0, -1.0)),
)


def bar(low, high, **more):
    power = common_power(max(abs(low), abs(high)))
    return Bar("FLAIR map", GREY, low, high, "logit", power, **more)


def read(text):
    return float(text.replace("−", "-"))


@pytest.mark.parametrize(("low", "high"), LIMITS)
def test_each_tick_says_the_number_that_its_colour_stands_for(low, high):
    shown = bar(low, high)
    ticks = shown.ticks
    assert [at for at, _ in ticks[:2]] == [0, 1]
    for at, text in ticks:
        meant = (low + at * (high - low)) / 10**shown.power
        # To three digits, or to as many as tell it from the other ticks.
        closest = min(abs(read(text) - read(other)) for _, other in ticks if other != text)
        assert abs(read(text) - meant) <= max(5e-3 * abs(meant), 1e-9 * abs(meant) + 1e-30)
        assert abs(read(text) - meant) < closest
    if low < 0 < high:
        assert (-low / (high - low), "0") in [(pytest.approx(at), text) for at, text in ticks]


def test_the_ends_are_told_apart_however_close_they_lie():
    assert [text for _, text in bar(100.0, 100.001).ticks[:2]] == ["100", "100.001"]


def test_values_beyond_the_limits_are_said():
    assert bar(-1, 1, lowest=-0.5, highest=1.0).warning == ""
    assert bar(-1, 1).exceeded == (False, False)
    assert bar(-1, 1, lowest=-0.5, highest=2.5).warning == "values go up to 2.5"
    assert bar(-1, 1, lowest=-3, highest=0.5).warning == "values go down to −3"
    assert bar(-1, 1, lowest=-3, highest=1.25).warning == "values go from −3 to 1.25"
    assert bar(0, 1, lowest=0.0, highest=0.9).exceeded == (False, False)


def test_unit_and_numbers_have_one_power_of_ten():
    small = bar(-0.00123, 0.00123, highest=0.002)
    assert small.words == ("FLAIR map", "10⁻³ logit", "values go up to 2")
    assert {text for _, text in small.ticks} == {"−1.23", "−0.615", "0", "0.615", "1.23"}
    assert small.warning == "values go up to 2"
