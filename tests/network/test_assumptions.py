import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest
from cases import ball, random_case
from networks import small_model

from napari_ies.network.assumptions import notes_on
from napari_ies.network.profile import Guess
from napari_ies.patient.case import Case
from napari_ies.saliency import explain
from napari_ies.segmentation.segmentation import segment

SHAPE = (20, 18, 16)
LAS = np.diag([-1.0, 1.0, 1.0, 1.0])
PSR = np.array([[0, 0, 1.0, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])


def brain(affine, background=0.0):
    values = np.random.default_rng(0).normal(100, 15, (2, *SHAPE))
    data = np.where(ball(SHAPE, (10, 9, 8), 6), values, background).astype(np.float32)
    return Case(("FLAIR", "T1"), data, affine)


def with_profile(**fields):
    model = small_model()
    return dataclasses.replace(model, profile=dataclasses.replace(model.profile, **fields))


def test_nothing_is_said_where_all_is_as_expected():
    assert notes_on(small_model(), brain(LAS)) == ()


def test_a_stored_order_that_is_not_axial_is_said():
    note, *tested = notes_on(small_model(), brain(PSR))
    assert all("agrees better" in one or "does not show" in one for one in tested)
    assert note.startswith("The images are stored PSR, not along R/L, A/P and S/I")
    (note,) = notes_on(with_profile(orientation="LAS"), brain(PSR))
    assert "turned from the stored PSR to LAS, exactly" in note


@pytest.mark.parametrize(
    ("spacing", "size", "said"),
    [
        (None, (0.4, 0.4, 6), "taken to be trained on voxels of 1 × 1 × 1 mm, which nothing"),
        (None, (1.2, 1.2, 1.2), None),
        ((1.0, 1.0, 3.0), (1, 1, 1), "was trained on voxels of 1 × 1 × 3 mm and these"),
        ((1.0, 1.0, 3.0), (1, 1, 3), None),
    ],
)
def test_voxels_far_from_the_trained_ones_are_said(spacing, size, said):
    case = brain(LAS @ np.diag([*size, 1]))
    notes = notes_on(with_profile(spacing=spacing), case)
    assert [said in note for note in notes] == ([] if said is None else [True])


@pytest.mark.parametrize("resample", [False, True])
def test_voxel_sizes_are_named_along_the_stored_axes(resample):
    """Stored P S R with slices of 3 mm along S; the network's axes are L, A and S."""
    case = brain(PSR @ np.diag([1.0, 3.0, 0.5, 1]))
    model = with_profile(orientation="LAS", spacing=(1.0, 1.0, 2.0), resample=resample)
    (note,) = (one for one in notes_on(model, case) if " mm" in one)
    named = re.findall(r"[\d.]+ × [\d.]+ × [\d.]+", note)
    assert named == ["1 × 2 × 1", "1 × 3 × 0.5"]


def test_a_skull_is_said_where_brains_are_expected():
    """Twice the voxels of a brain that are not background."""
    case = brain(LAS @ np.diag([16.0, 16, 16, 1]))
    notes = notes_on(with_profile(spacing=(16.0, 16.0, 16.0)), case)
    assert [note[:11] for note in notes] == ["FLAIR shows", "T1 shows 3,"]
    assert all("the skull seems to be on" in note for note in notes)
    assert notes_on(with_profile(spacing=(16.0, 16.0, 16.0), brain_extracted=False), case) == ()


def test_a_missing_skull_is_said_where_whole_heads_are_expected():
    case = brain(LAS @ np.diag([10.0, 10, 10, 1]))
    heads = {"spacing": (10.0, 10.0, 10.0), "brain_extracted": False, "guessed": ()}
    notes = notes_on(with_profile(**heads), case)
    assert [note[:11] for note in notes] == ["FLAIR shows", "T1 shows 92"]
    assert all("so the skull seems to be off: the network was trained on" in one for one in notes)
    assert notes_on(with_profile(**heads | {"brain_extracted": True}), case) == ()
    nobody_says = Guess("The file does not tell.", "brain_extracted", False, (True, False))
    assert notes_on(with_profile(**heads | {"guessed": (nobody_says,)}), case) == ()
    thumb = brain(LAS @ np.diag([4.0, 4, 4, 1]))
    assert notes_on(with_profile(**heads | {"spacing": (4.0, 4.0, 4.0)}), thumb) == ()


def test_a_normalisation_that_takes_the_background_too_is_said():
    notes = notes_on(with_profile(normalisation="minmax"), brain(LAS, -1000))
    assert notes[0].startswith("The normalisation minmax takes all voxels of FLAIR")
    assert notes_on(small_model(), brain(LAS, -1000)) == ()
    # A tool's own z-score over what is not 0 does so too, and knows of no other background.
    tool = SimpleNamespace(notes=lambda _: (), normalises=False, blend=None)
    notes = notes_on(dataclasses.replace(small_model(), preparation=tool), brain(LAS, -1000))
    assert notes[0].startswith("The normalisation zscore-nonzero takes all voxels of FLAIR")


def test_which_of_several_classes_is_meant_is_said():
    several = with_profile(classes=("background", "ventricle", "lesion"))
    assert notes_on(several, brain(LAS)) == (
        "Lesions here are ventricle, one of the network's 3 classes.",
    )


def test_that_the_background_is_found_is_said_and_names_made_up_are_called_so():
    for classes, others in (
        (("Background", "lesion"), "choose lesion ("),
        (("background", "edema", "tumour"), "choose edema or tumour ("),
    ):
        careful = with_profile(classes=classes, explained_class=0)
        (said,) = notes_on(careful, brain(LAS))
        assert said.startswith(f"Careful: the class that is found and explained is {classes[0]},")
        assert others in said
    turned_round = with_profile(classes=("lesion", "Background"), explained_class=0)
    assert notes_on(turned_round, brain(LAS)) == ()
    made_up = Guess("They are made up.", "classes", ("background", "class 1", "class 2"))
    several = with_profile(classes=made_up.assumed, guessed=(made_up,))
    assert notes_on(several, brain(LAS)) == (
        "Lesions here are class 1, one of the network's 3 classes, whose names are assumed.",
    )


def test_what_was_assumed_is_stored_with_every_result():
    case = dataclasses.replace(random_case(SHAPE, affine=PSR), notes=("T1 was resampled.",))
    model = small_model()
    said = notes_on(model, case)
    assert said[0] == "T1 was resampled."
    assert len(said) > 1
    assert segment(model, case, said=("m is soft.",)).notes == (*said, "m is soft.")
    footprint = ball(SHAPE, (10, 9, 8), 1)
    saliency = explain(model, case, footprint, n_samples=2)
    assert list(said) == saliency.provenance["notes"]
