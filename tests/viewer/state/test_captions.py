"""Captions: lesion, method, which map on which image, and how far it is."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from napari_ies.saliency.request import SaliencyRequest
from napari_ies.segmentation.subject import Lesion, Region
from napari_ies.viewer.state.answers import Answer
from napari_ies.viewer.state.captions import caption_of, is_odd, short_caption_of, while_awaited

LESION = Lesion(6)


def answer(n_used=50, finished=True, subject=LESION, **request):
    asked = SaliencyRequest(n_samples=50, **request)
    saliency = SimpleNamespace(request=asked, n_used=n_used)
    return Answer(subject, asked, saliency, 1.0, "unet.pth", "key", finished=finished)


def said(*arguments, **more):
    return " · ".join(caption_of(*arguments, **more))


@pytest.mark.parametrize(
    ("n_used", "finished", "running", "maps", "image", "expected"),
    [
        (16, False, True, ["FLAIR"], "FLAIR", "FLAIR map on FLAIR · 16 of 50 samples"),
        (16, False, False, ["FLAIR"], "FLAIR", "FLAIR map on FLAIR · stopped: 16 of 50 samples"),
        (0, False, True, ["T1"], "T1", "T1 map on T1 · part of the first of 50 samples"),
        (50, True, False, ["FLAIR"], "T1", "FLAIR map on T1 · 50 samples"),
        (30, True, False, ["T1"], "T1", "T1 map on T1 · 30 of 50 samples, converged"),
        (50, True, False, [], "T1", "map hidden, T1 · 50 samples"),
        (50, True, False, ["FLAIR", "T1"], "T1", "FLAIR and T1 maps on T1 · 50 samples"),
        (50, True, False, ["FLAIR"], None, "FLAIR map on no image · 50 samples"),
    ],
)
def test_what_is_shown_is_said(n_used, finished, running, maps, image, expected):
    shown = answer(n_used, finished)
    assert said(shown, maps, image, running=running) == f"Lesion 6 · SmoothGrad mean · {expected}"


@pytest.mark.parametrize(
    ("n_used", "finished", "running", "maps", "image", "expected"),
    [
        (16, False, True, ["FLAIR"], "FLAIR", "FLAIR · 16 of 50 · mean"),
        (16, False, False, ["FLAIR"], "FLAIR", "FLAIR · stopped: 16 of 50 · mean"),
        (50, True, False, ["FLAIR"], "T1", "FLAIR on T1 · mean"),
        (30, True, False, ["T1"], "T1", "T1 · 30 of 50 samples, converged · mean"),
        (50, True, False, ["T1"], "surfaces", "T1 · mean"),
        (50, True, False, [], "T1", "map hidden · mean"),
    ],
)
def test_on_a_narrow_canvas_lesion_sequence_and_state_come_first(
    n_used, finished, running, maps, image, expected
):
    short = short_caption_of(answer(n_used, finished), maps, image, running=running)
    assert " · ".join(short) == f"Lesion 6 · {expected}"
    assert short_caption_of(None, [], "FLAIR") == ("FLAIR",)
    gradcam = answer(subject=Region("cortex"), method="gradcam++")
    assert short_caption_of(gradcam, ["all"], "T1") == ("Cortex", "all sequences", "Grad-CAM++")


def test_what_is_computed_is_said_before_what_is_still_on_show():
    shown, other = answer(), Lesion(9)
    parts = caption_of(shown, ["FLAIR"], "FLAIR")
    assert while_awaited(parts, other, shown.request, shown) == (
        "Lesion 9 is being computed",
        "still on show: Lesion 6",
        *parts[1:],
    )
    again = replace(shown.request, aggregation="max")
    first, *_ = while_awaited(parts, LESION, again, shown)
    assert first == "Lesion 6 is being computed (SmoothGrad max)"
    assert while_awaited(("FLAIR",), other, again, None) == ("Lesion 9 is being computed",)


def test_other_subjects_methods_and_networks_are_named():
    gradcam = answer(subject=Region("cortex"), method="gradcam++", layer="model.1")
    assert said(gradcam, ["all"], "FLAIR") == (
        "Cortex · Grad-CAM++ model.1 · map of all sequences on FLAIR"
    )
    other = replace(answer(), other_model=True)
    assert said(other, ["T1"], "T1").startswith("Lesion 6 · SmoothGrad mean · unet.pth · T1 map")
    assert said(None, [], "FLAIR") == "FLAIR"


def test_what_a_person_might_not_expect_is_odd():
    assert is_odd(["FLAIR"], "T1")
    assert is_odd(["FLAIR", "T1"], "T1")
    assert not is_odd(["FLAIR"], "FLAIR")
    assert not is_odd(["all"], "T1")
    assert not is_odd([], "T1")
