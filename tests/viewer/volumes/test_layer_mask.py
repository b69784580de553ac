"""References that were painted in napari, or come from elsewhere."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest


def take_as_reference(hands, layer):
    hands.panel.features["preparing"].offer_layers()
    hands.panel.features["preparing"].segmentation.choose_mask(str(layer.unique_id))
    hands.segment()


def matches(hands):
    return hands.panel.state.reading.segmentation.lesions["match"].to_dict()


@pytest.mark.parametrize("patient", ["oblique"], indirect=True)
def test_a_painted_layer_is_a_reference_like_its_file(segmented, patient):
    flair = segmented.layer("sub-01_FLAIR")
    lesion = patient.centres[2]
    truth = nib.load(patient.reference).get_fdata() > 0
    only_second = truth.copy()
    only_second[:24] = False

    # As napari's own button makes it, and painted where the image shows the second lesion.
    segmented.viewer._new_labels()
    painted = segmented.viewer.layers[-1]
    here = np.round(
        painted.world_to_data(segmented.world_of(patient.volumes["FLAIR"], flair, lesion))
    )
    painted.paint(here, 1)
    take_as_reference(segmented, painted)
    reading = segmented.panel.state.reading
    assert reading.reference[lesion]
    assert not reading.reference[patient.centres[1]]
    assert matches(segmented) == {1: "FP", 2: "TP"}

    # Handed over as an array: on screen axes, where the image lies.
    frame = reading.frame
    array = frame.reorientation.apply(only_second).astype(np.uint8)
    added = segmented.viewer.add_labels(
        np.ascontiguousarray(array), scale=flair.scale, translate=flair.translate, units=flair.units
    )
    take_as_reference(segmented, added)
    np.testing.assert_array_equal(segmented.panel.state.reading.reference, only_second)
    assert matches(segmented) == {1: "FP", 2: "TP"}

    # A file, and what somebody painted in it.
    segmented.panel.features["preparing"].open_reference(str(patient.reference))
    segmented.finish()
    opened = segmented.layer("reference")
    opened.data = opened.data * array
    segmented.segment()
    np.testing.assert_array_equal(segmented.panel.state.reading.reference, only_second)
    assert matches(segmented) == {1: "FP", 2: "TP"}

    # Nowhere near the images: said in one sentence, and the reading before stays.
    before = segmented.panel.state.reading
    away = segmented.viewer.add_labels(
        np.ones((4, 4, 4), dtype=int), name="away", translate=[900] * 3
    )
    take_as_reference(segmented, away)
    assert segmented.panel.state.reading is before
    assert segmented.panel.status.text == (
        "What is painted in away does not overlap the images; expected a layer of the same patient "
        "in the same space."
    )


@pytest.mark.parametrize("patient", ["anisotropic", "oblique"], indirect=True)
def test_a_mask_that_was_moved_is_taken_where_it_is_shown(patient):
    """Its values are still the file's; as a reference, as lesions and as a region."""
    from napari.layers import Image, Labels

    from napari_ies.viewer.preparing.assembling import assemble_case
    from napari_ies.viewer.volumes.layer_data import read_image
    from napari_ies.viewer.volumes.layer_mask import layer_lesions, layer_mask, reference_mask
    from napari_ies.viewer.volumes.sources import source_of
    from napari_ies.viewer.work.tasks import open_mask

    data, arguments, _ = read_image(patient.images["FLAIR"])
    image = source_of(Image(data, **arguments))
    case, frame = assemble_case({"FLAIR": image}), image.frame
    truth = nib.load(patient.reference).get_fdata() > 0
    data, arguments, _ = list(open_mask(str(patient.reference)))[-1].result
    layer = Labels(data, **arguments)

    mask, reference, notes = reference_mask(source_of(layer), case, frame)
    np.testing.assert_array_equal(mask, truth)
    assert reference == patient.reference
    assert not notes

    layer.translate = np.add(layer.translate, [0, 3 * layer.scale[1], 0])
    shown = np.roll(frame.reorientation.apply(truth), 3, axis=1)
    expected = frame.reorientation.invert(shown)
    mask, reference, notes = reference_mask(source_of(layer), case, frame)
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(reference, expected)
    said = (
        "The layer reference was changed since it was read from reference.nii.gz: its place as "
        "shown was taken."
    )
    assert said in notes
    lesions, notes = layer_lesions(source_of(layer), case, frame)
    np.testing.assert_array_equal(lesions > 0, expected)
    assert said in notes
    region, notes = layer_mask(source_of(layer), None, case, frame)
    np.testing.assert_array_equal(region, expected)
    assert said in notes
