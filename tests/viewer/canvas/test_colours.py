"""Colours as colour-blind readers see them.

Colour vision deficiencies are simulated in linear RGB with the matrices for severity 1.0 of
Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
Deficiency", IEEE TVCG 15 (2009), doi:10.1109/TVCG.2009.113. Differences are CIEDE2000 in CIELAB;
one of 2 is just noticeable side by side.
"""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_ies.colour_maps import OUTLINE_SELECTED, SEQUENTIAL_MAPS, SIGNED_MAPS
from napari_ies.viewer.canvas import colours
from napari_ies.viewer.state.look import HIGHEST_THRESHOLD, THRESHOLD_STEP

VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
CLEARLY_DIFFERENT = 15
ANATOMY = (0.15, 0.4, 0.7)
"""Grey values that the overlay may lie over."""


def seen(rgb, vision):
    """Return CIELAB of sRGB colours (N, 3) as they are seen."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ VISION[vision].T, 0, 1)
    simulated = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(simulated[None])[0]


def over(rgba, grey):
    alpha = rgba[:, 3:]
    return alpha * rgba[:, :3] + (1 - alpha) * grey


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("name", SIGNED_MAPS.values())
@pytest.mark.parametrize("grey", ANATOMY)
def test_signs_are_told_apart_and_from_the_anatomy(vision, name, grey):
    magnitude = np.linspace(0.3, 1, 8)
    colormap = colours.diverging(name, 10)
    negative, positive = (
        seen(over(colormap.map(0.5 + sign * magnitude / 2), grey), vision) for sign in (-1, 1)
    )
    assert deltaE_ciede2000(negative[2:], positive[2:]).min() > CLEARLY_DIFFERENT
    assert deltaE_ciede2000(negative, positive).min() > CLEARLY_DIFFERENT / 2
    background = seen(np.full((1, 3), grey), vision)
    for side in (negative, positive):
        assert deltaE_ciede2000(side[2:], background).min() > CLEARLY_DIFFERENT / 2


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("name", SIGNED_MAPS.values())
def test_levels_of_a_sign_are_told_apart(vision, name):
    levels = np.array([0.15, 0.4, 0.7, 1.0])
    colormap = colours.diverging(name, 0)
    for sign in (-1, 1):
        side = seen(colormap.map(0.5 + sign * levels / 2)[:, :3], vision)
        assert deltaE_ciede2000(side[1:], side[:-1]).min() > 6, side


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("name", SEQUENTIAL_MAPS.values())
def test_more_is_lighter_without_negative_values(vision, name):
    lightness = seen(colours.sequential(name, 0).map(np.linspace(0, 1, 33))[:, :3], vision)[:, 0]
    assert np.diff(lightness).min() > 0.5


@pytest.mark.parametrize("vision", VISION)
def test_outlines_of_matches_are_told_apart_and_from_the_one_selected(vision):
    every = [outline.colour[:3] for outline in colours.OUTLINES.values()] + [OUTLINE_SELECTED[:3]]
    lab = seen(np.array(every), vision)
    for one in range(len(lab)):
        for other in range(one):
            assert deltaE_ciede2000(lab[one], lab[other]) > CLEARLY_DIFFERENT
    # And not by colour alone.
    assert len({outline.dashes for outline in colours.OUTLINES.values()}) == 3


@pytest.mark.parametrize("threshold", range(0, HIGHEST_THRESHOLD + 1, THRESHOLD_STEP))
def test_clear_below_the_threshold_and_never_less_opaque_with_more(threshold):
    magnitude = np.linspace(0, 1, 1001)
    below = magnitude <= threshold / 100 - 0.01
    for name in SEQUENTIAL_MAPS.values():
        alpha = colours.sequential(name, threshold).map(magnitude)[:, 3]
        assert (alpha[below] == 0).all()
        assert np.diff(alpha).min() >= 0
        assert (alpha[magnitude > threshold / 100 + 0.02] > 0).all()
    for name in SIGNED_MAPS.values():
        colormap = colours.diverging(name, threshold)
        one, other = (colormap.map(0.5 + sign * magnitude / 2)[:, 3] for sign in (-1, 1))
        np.testing.assert_allclose(one, other, atol=1e-5)
        assert (one[below] == 0).all()
        assert one[-1] > 0.85
