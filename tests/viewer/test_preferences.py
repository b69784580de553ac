"""Preferences: napari's settings page reaches the forms."""

import pytest
import yaml
from napari.settings import get_plugin_settings
from npe2 import PluginManifest
from qtpy.QtCore import Qt

from napari_ies.colour_maps import SEQUENTIAL_MAPS, SIGNED_MAPS
from napari_ies.viewer.preferences import preferred_look
from napari_ies.viewer.state.look import HIGHEST_THRESHOLD, LIMITS, Look


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
    assert panel.features["explaining"].form.request().method == "gradcam++"
    panel.features["explaining"].form.set_method("smoothgrad")
    request = panel.features["explaining"].form.request()
    assert (request.aggregation, request.n_samples, request.noise) == ("max", 7, 0.025)
    assert request.precision == "bf16"
    assert panel.features["preparing"].checkpoint.device == "cuda:0"
    panel.features["preparing"].segmentation.set_profile(threshold=0.3, smallest=6)
    assert panel.features["preparing"].segmentation.smallest.value() == 20


def test_a_change_reaches_an_open_panel_and_none_that_was_closed(settings, hands):
    settings.computation.samples = 12
    assert hands.panel.features["explaining"].form.samples.value() == 12
    hands.panel.features["explaining"].form.samples.setValue(30)
    settings.computation.method = "gradcam++"
    assert hands.panel.features["explaining"].form.samples.value() == 30, (
        "only what was changed is set"
    )
    assert len(settings.computation.events.callbacks) > 1
    hands.viewer.window.remove_dock_widget(hands.panel)
    assert len(settings.computation.events.callbacks) == 1, "napari's own"
    settings.computation.samples = 99
    assert hands.panel.features["explaining"].form.samples.value() == 30


def test_a_panel_opens_with_the_preferred_colours_and_keeps_what_was_chosen_in_it(
    settings, segmented, make_napari_viewer, tmp_path
):
    colours, control = settings.colours, segmented.control
    segmented.panel.tabs.setCurrentWidget(control("signed_map").parent().parent())
    segmented.panel.explaining.explain(1)
    segmented.finish()
    limit = segmented.answer(1).limit

    def shown():
        (state,) = {
            (layer.colormap.name, round(layer.contrast_limits[1], 6), round(layer.opacity, 3))
            for layer in segmented.overlays()
        }
        return state

    assert shown() == ("RdBu_r from 10 %", round(limit, 6), 1)
    control("overlay_opacity").setValue(60)
    colours.threshold, colours.opacity = 28, 35
    segmented.settle()
    assert shown() == ("RdBu_r from 30 %", round(limit, 6), 0.6)
    assert control("threshold_percent").value() == 30
    colours.limits, colours.fixed = "fixed", 125
    segmented.settle()
    assert shown()[1:] == (0.125, 0.6)
    segmented.qtbot.keyClick(control("signed_map"), Qt.Key.Key_Down)
    layer = segmented.overlays()[0]
    layer.contrast_limits = (-0.5, 0.5)
    colours.signed, colours.fixed = "Blue\u2013orange, dark centre", 250
    segmented.settle()
    assert control("signed_map").currentText() == "Blue\u2013red, dark centre"
    assert tuple(layer.contrast_limits) == (-0.5, 0.5)
    assert tuple(segmented.overlays()[1].contrast_limits) == (-0.25, 0.25)

    second = make_napari_viewer()
    _, panel = second.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    wanted = Look("Blue\u2013orange, dark centre", "Inferno", "fixed", 0.25, 30, 0.35)
    assert panel.services.scene.overlays.look == wanted
    view = panel.findChild(type(control("signed_map")), "signed_map").parent()
    assert view.look == wanted
    assert view.signed.currentText() == "Blue\u2013orange, dark centre"
    assert (view.limits.currentText(), view.fixed.value()) == ("fixed at", 0.25)
    assert (view.threshold.value(), view.opacity.value()) == (30, 35)
    # What napari wrote for the next time, and the panel closed before it changes.
    (written,) = (tmp_path / "preferences").rglob("*napari-ies*.yaml")
    assert yaml.safe_load(written.read_text())["colours"]["fixed"] == 250
    before = len(colours.events.callbacks)
    second.window.remove_dock_widget(panel)
    assert len(colours.events.callbacks) == before - 1


def test_the_colours_offered_are_those_of_the_view():
    manifest = PluginManifest.from_distribution("napari-ies")
    offered = manifest.contributions.configurations["colours"].properties
    assert offered["signed"].enum == list(SIGNED_MAPS)
    assert offered["sequential"].enum == list(SEQUENTIAL_MAPS)
    assert tuple(offered["limits"].enum) == LIMITS
    assert offered["threshold"].maximum == HIGHEST_THRESHOLD
    assert preferred_look() == Look()


def test_what_is_not_possible_is_refused(settings):
    with pytest.raises(ValueError, match="not one of the allowed"):
        settings.colours.signed = "jet"
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        settings.computation.samples = 0
    with pytest.raises(ValueError, match="not one of the allowed"):
        settings.computation.method = "gradient"
