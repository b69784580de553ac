"""Preferences: napari's settings page reaches the forms."""

import pytest
from napari.settings import get_plugin_settings


@pytest.fixture
def settings():
    return get_plugin_settings("napari-ies")


def test_the_panel_opens_as_preferred(settings, make_napari_viewer):
    computation = settings.computation
    computation.method, computation.aggregation = "gradcam++", "max"
    computation.samples, computation.noise = 7, 2.5
    computation.precision = "bf16"
    computation.device, computation.smallest_lesion = "cuda:0", 20
    viewer = make_napari_viewer()
    _, panel = viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    assert panel.saliency.request().method == "gradcam++"
    panel.saliency.set_method("smoothgrad")
    request = panel.saliency.request()
    assert (request.aggregation, request.n_samples, request.noise) == ("max", 7, 0.025)
    assert request.precision == "bf16"
    assert panel.checkpoint.device == "cuda:0"
    panel.segmentation.set_profile(threshold=0.3, smallest=6)
    assert panel.segmentation.smallest.value() == 20


def test_a_change_reaches_an_open_panel_and_none_that_was_closed(settings, hands):
    settings.computation.samples = 12
    assert hands.panel.saliency.samples.value() == 12
    hands.panel.saliency.samples.setValue(30)
    settings.computation.method = "gradcam++"
    assert hands.panel.saliency.samples.value() == 30, "only what was changed is set"
    before = len(settings.computation.events.callbacks)
    hands.viewer.window.remove_dock_widget(hands.panel)
    assert len(settings.computation.events.callbacks) == before - 1
    settings.computation.samples = 99
    assert hands.panel.saliency.samples.value() == 30


def test_what_is_not_possible_is_refused(settings):
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        settings.computation.samples = 0
    with pytest.raises(ValueError, match="not one of the allowed"):
        settings.computation.method = "gradient"
