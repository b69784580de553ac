"""One patient written in other ways gives the same lesions in the panel, each with its note."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from napari.layers import Image, Labels
from rewritten import KINDS, rewrite

from napari_ies import segment
from napari_ies.checkpoints import with_geometry
from napari_ies.patient.masks import read_mask
from napari_ies.viewer.preparing.segmenting import SegmentationSettings, segment_sources
from napari_ies.viewer.volumes import layer_data
from napari_ies.viewer.volumes.sources import placed, source_of

COLUMNS = ["voxels", "volume_mm3", "max_probability"]


def sorted_table(lesions):
    return lesions.sort_values(COLUMNS)[COLUMNS].to_numpy()


def lesions_as_it_was(small, threshold=None):
    case = small.case()
    reference = read_mask(small.reference, case).values
    return segment(small.model(), case, reference=reference, threshold=threshold).lesions


@pytest.fixture(scope="module")
def expected(small):
    """The lesions of the image as it was."""
    return lesions_as_it_was(small)


def check(found, expected, kind, told):
    np.testing.assert_allclose(sorted_table(found.lesions), sorted_table(expected), rtol=2e-3)
    assert sorted(found.lesions["match"]) == sorted(expected["match"])
    assert ("from the stored PSR to" if kind == "PSR" else KINDS[kind].said) in told


def own_orientation(small):
    return "".join(nib.aff2axcodes(nib.load(small.images["FLAIR"]).affine))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_lesions_are_those_of_the_image_as_it_was(small, expected, tmp_path, kind):
    """Files become layers, and layers a case, as in the panel; no window is needed for that."""

    def opened(read, path):
        data, arguments, kind = read(path)
        return source_of((Image if kind == "image" else Labels)(data, **arguments))

    model = small.model()
    if kind == "PSR":
        model = with_geometry(model, orientation=own_orientation(small))
    images = rewrite(kind, small.images, tmp_path)
    sources = placed({name: opened(layer_data.read_image, path) for name, path in images.items()})
    reference = opened(layer_data.read_mask, small.reference)
    profile = model.profile
    settings = SegmentationSettings(profile.threshold, profile.smallest_lesion, reference)
    *_, last = segment_sources(model, sources, settings)
    check(last.result.segmentation, expected, kind, " ".join(last.result.segmentation.notes))


def test_the_panel_takes_a_volume_stored_otherwise_and_says_so(hands, small, tmp_path):
    panel = hands.panel
    panel.features["preparing"].checkpoint.choose(str(small.checkpoint))
    hands.finish()
    panel.features["preparing"].checkpoint.geometry.choose(own_orientation(small))
    for name, path in rewrite("PSR", small.images, tmp_path).items():
        panel.features["preparing"].open_image(name, str(path))
    panel.features["preparing"].open_reference(str(small.reference))
    hands.finish()
    hands.segment()
    notes = panel.features["preparing"].notes.view
    found = panel.state.reading.segmentation
    expected = lesions_as_it_was(small, found.threshold)
    check(found, expected, "PSR", notes.sentences.text)
    assert notes.isVisibleTo(panel)
