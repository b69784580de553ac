"""Layers of other readers in other units: the same lesions, seen where the image shows them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from ..conftest import small_model


def take(hands, patient, units):
    """Add the patient's images as another reader would, each in units of its own, and segment."""
    from napari_ies.viewer.state.loaded import LoadedModel
    from napari_ies.viewer.volumes.frame import Frame

    hands.panel.state.take_model(LoadedModel(small_model(), "CPU", ("cpu",), ("0", "2"), "0"))
    frame = Frame.of_grid(patient.affine, patient.volumes["FLAIR"].shape)
    layers = {}
    for sequence, unit in units.items():
        size = {"um": 1000.0, "m": 1e-3, "cm": 0.1}.get(unit, 1.0)
        layers[sequence] = hands.viewer.add_image(
            np.ascontiguousarray(frame.reorientation.apply(patient.volumes[sequence])),
            name=f"my {sequence}",
            scale=np.array(frame.scale) * size,
            translate=np.array(frame.translate) * size,
            units=(unit,) * 3,
        )
    hands.settle()
    hands.viewer.reset_view()
    hands.segment()
    assert hands.panel.state.reading is not None, hands.panel.status.text
    hands.panel.features["explaining"].form.samples.setValue(2)
    return layers


def test_layers_in_other_units(hands, patient):
    pictures_that_are_no_volume_are_listed_with_the_reason(hands)
    for flair, t1 in (("um", "um"), ("m", "m"), ("pixel", "pixel"), ("mm", "um")):
        hands.viewer.layers.clear()
        lesions_and_maps_of_layers_in_other_units(hands, patient, {"FLAIR": flair, "T1": t1})
    hands.viewer.layers.clear()
    the_world_may_change_its_units_later(hands, patient)


def lesions_and_maps_of_layers_in_other_units(hands, patient, units):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Inconsistent units")
        layers = take(hands, patient, units)
        reading = hands.panel.state.reading
        voxel_mm3 = float(np.prod(np.linalg.norm(patient.affine[:3, :3], axis=0)))
        table = reading.segmentation.lesions
        assert len(table) == 2
        np.testing.assert_allclose(table["volume_mm3"], table["voxels"] * voxel_mm3, rtol=1e-6)
        flair, lesions = layers["FLAIR"], hands.lesions_layer()
        assert lesions.units == flair.units
        np.testing.assert_allclose(lesions.extent.world, flair.extent.world, rtol=1e-6)

        # A click where napari's canvas shows the lesion.
        world = np.asarray(flair.data_to_world(_displayed(reading, 2)))
        world = world * _world_per(hands, flair)
        hands.go(world)
        hands.click(world)
        assert hands.panel.state.selected == 2
        hands.wait(lambda: hands.answered(2))
        hands.settle()
        overlay = hands.layer("Lesion 2 · SmoothGrad mean · FLAIR")
        assert overlay.units == flair.units
        centre = np.asarray(overlay.extent.world).mean(axis=0) * _world_per(hands, overlay)
        within = 16 * max(flair.scale) * _world_per(hands, flair).max()
        np.testing.assert_allclose(centre, world, atol=within)

        # Choosing the other one by its row moves the slices onto it.
        hands.panel.explaining.explain(1)
        hands.finish()
        there = np.asarray(flair.data_to_world(_displayed(reading, 1)))
        np.testing.assert_allclose(
            np.asarray(hands.viewer.dims.point),
            there * _world_per(hands, flair),
            atol=2.01 * float(max(flair.scale) * _world_per(hands, flair).max()),
        )
    told = " ".join(reading.segmentation.notes)
    if "um" in units.values():
        assert "converted to millimetres" in told
    if "pixel" in units.values():
        assert "taken as millimetres" in told


def _displayed(reading, label):
    return reading.frame.reorientation.to_displayed(reading.places[label].centre)


def _world_per(hands, layer):
    """How many units of the viewer's world one of the layer's is, by pint's own word."""
    pairs = zip(layer.units, hands.viewer.layers.extent.units, strict=True)
    return np.array([(1.0 * own).to(other).magnitude for own, other in pairs])


def the_world_may_change_its_units_later(hands, patient):
    """A layer in a smaller unit makes napari count in that: clicks still hit the lesion."""
    layers = take(hands, patient, {"FLAIR": "mm", "T1": "mm"})
    flair = layers["FLAIR"]
    hands.viewer.add_image(
        np.zeros((4, 4, 4)), scale=(1000,) * 3, units=("um",) * 3, visible=False, name="tiny"
    )
    hands.settle()
    factor = _world_per(hands, flair)
    assert factor == pytest.approx([1000.0] * 3)
    world = np.asarray(flair.data_to_world(_displayed(hands.panel.state.reading, 2))) * factor
    hands.go(world)
    hands.viewer.reset_view()
    hands.settle()
    hands.click(world)
    assert hands.panel.state.selected == 2
    hands.finish()


def pictures_that_are_no_volume_are_listed_with_the_reason(hands):
    viewer = hands.viewer
    viewer.add_image(np.zeros((6, 8, 8, 3), np.uint8), rgb=True, name="photo")
    viewer.add_image([np.zeros((8, 8, 8)), np.zeros((4, 4, 4))], multiscale=True, name="pyramid")
    viewer.add_image(np.zeros((8, 8)), name="flat")
    viewer.add_image(np.zeros((5, 8, 8, 8)), name="fmri")
    viewer.add_image(np.ones((8, 8, 8)), name="head")
    hands.settle()
    combo = hands.control("image_FLAIR")
    from qtpy.QtCore import Qt

    found = {
        combo.itemText(i): (
            combo.model().item(i).isEnabled(),
            combo.itemData(i, Qt.ItemDataRole.ToolTipRole),
        )
        for i in range(combo.count())
    }
    assert found["head"] == (True, None)
    for name, reason in {
        "photo": "an RGB picture",
        "pyramid": "a multiscale picture",
        "flat": "a 2-d picture",
        "fmri": "a series of 5 volumes",
    }.items():
        enabled, tooltip = found[f"{name} ({reason})"]
        assert not enabled
        assert reason in tooltip
