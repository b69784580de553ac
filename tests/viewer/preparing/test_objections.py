"""What speaks against the chosen images, kind by kind; layers need no window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_ies.viewer.preparing.objections import objections


def image(name, **known):
    metadata = {"napari_ies": known} if known else {}
    return Image(np.zeros((2, 2, 2), np.float32), name=name, metadata=metadata)


def mask(name, **known):
    metadata = {"napari_ies": known} if known else {}
    return Labels(np.zeros((2, 2, 2), np.uint8), name=name, metadata=metadata)


RIGHT = {"FLAIR": image("sub-01_FLAIR"), "T1": image("sub-01_T1w")}


def test_nothing_is_said_of_images_whose_names_say_what_they_are():
    assert objections(RIGHT, {}, mask("consensus_lesions")) == ()
    assert objections(RIGHT, {"FLAIR": []}, None) == ()


@pytest.mark.parametrize("name", ["lesion_mask", "brain_mask", "lesion_probseg"])
def test_an_image_that_is_called_a_mask_or_map(name):
    said = objections({**RIGHT, "T1": image(name)}, {}, None)
    assert said == (
        f"{name} is given as T1, but its name is that of a mask or map; check that it is an image.",
    )


def test_an_image_of_another_sequence_by_its_name_or_its_file(tmp_path):
    (said,) = objections({**RIGHT, "T1": image("sub-01_T2w")}, {}, None)
    assert said.startswith("sub-01_T2w is given as T1, though its name says T2")
    renamed = image("my image", path=str(tmp_path / "sub-01_FLAIR.nii.gz"))
    (said,) = objections({**RIGHT, "T1": renamed}, {}, None)
    assert said.startswith("sub-01_FLAIR.nii.gz is given as T1, though its name says FLAIR")


def test_an_image_that_was_chosen_by_its_place_alone():
    rivals = [image("sub-01_run-2_FLAIR"), image("sub-01_run-3_FLAIR")]
    (said,) = objections(RIGHT, {"FLAIR": rivals, "T1": []}, None)
    assert said == (
        "sub-01_FLAIR was taken as FLAIR by its place alone: sub-01_run-2_FLAIR, "
        "sub-01_run-3_FLAIR may be it as well, so choose the one that is meant."
    )
    # No longer, once a person chose: then there is none that was passed over.
    assert objections(RIGHT, {}, None) == ()


def test_a_result_of_this_program_as_an_image_or_as_the_reference():
    made = image("Saliency on T1", made="overlay")
    (said,) = objections({**RIGHT, "T1": made}, {}, None)
    assert "is a result of napari-ies and no image of the patient" in said
    (said,) = objections(RIGHT, {}, mask("Lesions", made="lesions"))
    assert said.startswith("The reference Lesions is a result of napari-ies: matched with itself")
