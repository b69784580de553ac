from __future__ import annotations

import dataclasses

import numpy as np
from figure_content import CENTRE, SHAPE, content

from napari_ies.figures.caption import caption
from napari_ies.figures.settings import FigureSettings


def test_a_caption_says_what_is_seen_what_colours_mean_and_how_it_was_made():
    reference = np.zeros(SHAPE, dtype=bool)
    reference[CENTRE] = True
    made = dataclasses.replace(content(), reference=reference)
    place = made.saliency.grid.to_scanner(CENTRE)
    words = caption(made, FigureSettings(limit=0.5, threshold=0.2))
    assert words.startswith("Lesion 3: SmoothGrad max saliency on FLAIR and T1, axial (z = ")
    for axis, value in zip("xyz", place, strict=True):
        assert f"({axis} = {round(value):d} mm)".replace("-", "−") in words
    assert "slices, each without and with the map." in words
    assert "Colours end at ±0.5 logit per standard deviation, and are clear up to 20 %" in words
    assert "Solid line: lesion 3; dashed line: reference." in words
    assert words.endswith(f"{made.method_line}.")
    assert "\n" not in words


def test_a_caption_names_only_what_the_figure_shows():
    plain = FigureSettings(
        layout="montage", plain=False, outline=False, sequences=("T1",), slices=2
    )
    words = caption(content(), plain)
    assert "on T1, axial slices at z = " in words
    assert "line:" not in words
    assert "without and with" not in words
    gradcam = dataclasses.replace(
        content().saliency,
        request=dataclasses.replace(content().saliency.request, method="gradcam++"),
        sequences=("all",),
        cropped=np.ones((1, 16, 8, 20), np.float32),
    )
    words = caption(dataclasses.replace(content(), saliency=gradcam), FigureSettings())
    assert "Grad-CAM++" in words
    assert "Cool" not in words
    assert "Colours end at 1 " in words


def test_a_caption_says_how_sure_the_largest_values_are():
    """By the noise, and by how far the members of an ensemble lie apart, where that is known."""
    shape = content().saliency.cropped.shape
    generator = np.random.default_rng(2)
    values, errors, spreads = (generator.normal(size=shape).astype("f4") for _ in range(3))
    values[1, 3, 2, 1] = -9
    known = content(cropped=values, cropped_standard_error=abs(errors), cropped_spread=abs(spreads))
    words = caption(known, FigureSettings())
    for channel, name in enumerate(("FLAIR", "T1")):
        at = np.unravel_index(abs(values[channel]).argmax(), shape[1:])
        value, error, spread = (one[(channel, *at)] for one in (values, errors, spreads))
        text = f"{value:.2g} ± {abs(error):.2g} (members ± {abs(spread):.2g}) in {name}"
        assert text.replace("-", "−") in words
    assert "error of the noise and the standard deviation between the maps of the netw" in words
    alone = caption(content(cropped=values, cropped_standard_error=abs(errors)), FigureSettings())
    assert "members" not in alone
    assert "with the Monte-Carlo standard error of the noise." in alone
    assert "Value of largest" not in caption(content(cropped=values), FigureSettings())
