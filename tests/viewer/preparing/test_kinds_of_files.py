"""One patient written in other ways gives the same lesions in the panel, each with its note."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from rewritten import KINDS, rewrite

from napari_ies import segment
from napari_ies.patient.masks import read_mask

COLUMNS = ["voxels", "volume_mm3", "max_probability"]


def sorted_table(lesions):
    return lesions.sort_values(COLUMNS)[COLUMNS].to_numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_the_lesions_are_those_of_the_image_as_it_was(hands, small, tmp_path, kind):
    case = small.case()
    reference = read_mask(small.reference, case).values
    panel = hands.panel
    panel.features["preparing"].checkpoint.choose(str(small.checkpoint))
    hands.finish()
    if kind == "PSR":
        stored = "".join(nib.aff2axcodes(nib.load(small.images["FLAIR"]).affine))
        panel.features["preparing"].checkpoint.geometry.choose(stored)
    for name, path in rewrite(kind, small.images, tmp_path).items():
        panel.features["preparing"].open_image(name, str(path))
    panel.features["preparing"].open_reference(str(small.reference))
    hands.finish()
    hands.segment()
    found = panel.state.reading.segmentation
    expected = segment(small.model(), case, reference=reference, threshold=found.threshold).lesions
    np.testing.assert_allclose(sorted_table(found.lesions), sorted_table(expected), rtol=2e-3)
    assert sorted(found.lesions["match"]) == sorted(expected["match"])
    note = "from the stored PSR to" if kind == "PSR" else KINDS[kind].said
    assert note in panel.features["preparing"].notes.view.sentences.text
    assert panel.features["preparing"].notes.view.isVisibleTo(panel)
