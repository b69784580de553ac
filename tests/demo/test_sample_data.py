"""The sample data stand upright in napari, in millimetres."""

import numpy as np
import pytest
from napari.layers import Layer

from napari_ies.demo.sample_data import segmented_patient_layers, synthetic_patient_layers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def layers(patient):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_ies.demo.patient.synthetic_patient", lambda: patient)
        made = synthetic_patient_layers()
    return {options["name"]: (data, options, kind) for data, options, kind in made}


def test_voxels_are_shown_from_head_to_foot_front_to_back_and_right_to_left(layers, patient):
    # Stored RAS: every axis is reversed, and the axes' order with them.
    for name, volume in (("FLAIR", patient.flair), ("T1", patient.t1)):
        np.testing.assert_array_equal(layers[name][0], volume[::-1, ::-1, ::-1].transpose(2, 1, 0))
    shown, _, kind = layers["reference lesions"]
    assert kind == "labels"
    np.testing.assert_array_equal(shown > 0, patient.lesions[::-1, ::-1, ::-1].transpose(2, 1, 0))


def test_napari_takes_every_layer_with_its_size_in_mm(layers, patient):
    for data, options, kind in layers.values():
        layer = Layer.create(data, options, kind)
        assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
        extent = layer.extent.world
        np.testing.assert_allclose(extent[1] - extent[0], (np.array(data.shape) - 1) * 1.5)
        np.testing.assert_array_equal(layer.metadata["napari_ies"]["affine"], patient.affine)


def test_the_contrast_shows_lesions_brighter_than_everything_healthy(layers, patient):
    low, high = layers["FLAIR"][1]["contrast_limits"]
    assert low == 0
    assert np.median(patient.flair[patient.lesions]) < high <= patient.flair.max()


def test_the_found_lesions_lie_on_the_true_ones(monkeypatch, layers, patient):
    monkeypatch.setattr("napari_ies.demo.patient.synthetic_patient", lambda: patient)
    *images, (found, options, kind) = segmented_patient_layers()
    assert [image[1]["name"] for image in images] == ["T1", "FLAIR"]
    assert kind == "labels"
    assert options["scale"] == images[0][1]["scale"]
    true = layers["reference lesions"][0] > 0
    assert 2 * ((found > 0) & true).sum() / ((found > 0).sum() + true.sum()) > 0.8
