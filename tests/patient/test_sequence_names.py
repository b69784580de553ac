from __future__ import annotations

from pathlib import Path

import pytest

from napari_ies.patient.sequence_names import (
    contradicted,
    guess_sequences,
    guessed_by_order,
    names_a_mask,
    telling_of_lesions,
)


@pytest.mark.parametrize(
    ("wanted", "names", "expected"),
    [
        (["FLAIR", "T1"], ["t1", "flair"], {"FLAIR": "flair", "T1": "t1"}),
        (["FLAIR", "T1"], ["MPRAGE", "T2-FLAIR"], {"FLAIR": "T2-FLAIR", "T1": "MPRAGE"}),
        (["FLAIR", "MPRAGE"], ["FLAIR", "T1w"], {"FLAIR": "FLAIR", "MPRAGE": "T1w"}),
        (["T1", "T1ce"], ["T1Gd", "T1"], {"T1": "T1", "T1ce": "T1Gd"}),
        (["FLAIR", "T2"], ["T2_FLAIR"], {"FLAIR": "T2_FLAIR"}),
        (["FLAIR", "T1"], ["a", "b"], {}),
        # A map of FLAIR is no FLAIR, nor is a mask on it.
        (["FLAIR"], ["sub-07_seq-FLAIR_lesion-003_method-smoothgrad_agg-mean_saliency"], {}),
        (["FLAIR"], ["FLAIR_lesions", "flair_bet"], {"FLAIR": "flair_bet"}),
    ],
)
def test_names_of_the_same_contrast_are_matched(wanted, names, expected):
    assert guess_sequences(wanted, {name: name for name in names}) == expected


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"FLAIR": "P07/T1.nii.gz", "T1": "P07/FLAIR.nii.gz"},
            ["T1.nii.gz is given as FLAIR, ", "FLAIR.nii.gz is given as T1, "],
        ),
        (
            {"FLAIR": "a/p1_mprage.nii", "T1": "a/p1_x.nii"},
            ["p1_mprage.nii is given as FLAIR, though its name says T1; "],
        ),
        (
            {"FLAIR": "P07/T1/image.nii", "T1": "P07/FLAIR/image.nii"},
            ["T1/image.nii is given as FLAIR, ", "FLAIR/image.nii is given as T1, "],
        ),
        ({"FLAIR": "a/FLAIR.nii", "T2": "a/x.nii", "T1": "a/T2.nii"}, ["T2.nii is given as T1, "]),
        # Not clearly another one.
        ({"FLAIR": "P07/FLAIR.nii.gz", "T1": "P07/T1.nii.gz"}, []),
        ({"FLAIR": "a/FLAIR.nii", "T1": "a/T1_to_FLAIR.nii"}, []),
        ({"FLAIR": "a/FLAIR.nii", "T1": "a/T1inFLAIR.nii"}, []),
        ({"FLAIR": "a/FLAIR_in_T1_space.nii", "T1": "a/MPRAGE.nii"}, []),
        ({"FLAIR": "a/T2_FLAIR.nii", "T2": "a/T2.nii"}, []),
        ({"T1": "a/p_T1.nii", "T1ce": "a/p_T1w_post.nii"}, []),
        (
            {"T1": "a/p_T1_Gd.nii", "T1ce": "a/p_T1.nii"},
            ["p_T1.nii is given as T1ce, though its name says T1; "],
        ),
        ({"FLAIR": "T1_study/a.nii", "T1": "T1_study/b.nii"}, []),
        ({"sequence 1": "a/T1.nii", "sequence 2": "a/FLAIR.nii"}, []),
        ({"FLAIR": "T1_study/a.nii"}, []),
        ({"T1": "a/p_mp2rage_t1w.nii"}, []),
        # No FLAIR is a T1, whatever else is given.
        ({"FLAIR": "a/T1.nii"}, ["T1.nii is given as FLAIR, though its name says T1; "]),
        (
            {"FLAIR": "a/FLAIR.nii", "T1": "a/T2.nii"},
            ["T2.nii is given as T1, though its name says T2; "],
        ),
    ],
)
def test_a_file_whose_name_says_another_sequence_is_noted(files, said):
    notes = contradicted({sequence: Path(file) for sequence, file in files.items()})
    assert len(notes) == len(said)
    for note, words in zip(notes, said, strict=True):
        assert note.startswith(words)
        assert note.endswith("check that the images are not swapped.")


@pytest.mark.parametrize(
    ("name", "mask", "telling"),
    [
        ("consensus_lesions", True, 3),
        ("patient07_consensus_gt", True, 3),
        ("ManualSegmentation_1", True, 3),
        ("reference lesions", True, 3),
        ("reference", False, 3),
        ("sub-01_FLAIR_lesions", True, 2),
        ("training01_01_mask1", True, 1),
        ("patient07_brainmask", False, 0),
        ("T1_brain_mask", True, 0),
        ("sub-01_desc-x_probseg", True, 0),
        ("sub-07_seq-FLAIR_lesion-003_agg-mean_saliency", True, 0),
        ("MS_lesions_FLAIR", False, 0),
        ("T1_lesion_filled", False, 0),
        ("flair_masked", False, 0),
        ("FLAIR", False, 0),
        ("image", False, 0),
    ],
)
def test_masks_are_known_by_their_names_and_those_of_lesions_most(name, mask, telling):
    assert names_a_mask(name) is mask
    assert telling_of_lesions(name) == telling


def test_a_guess_that_rests_on_the_order_alone_is_known():
    names = {"1": "ses-1_FLAIR", "2": "ses-2_FLAIR", "3": "T1", "4": "FLAIR_lesions"}
    guess = guess_sequences(["FLAIR", "T1"], names)
    assert guess == {"FLAIR": "1", "T1": "3"}
    assert guessed_by_order(guess, names) == {"FLAIR": ["2"]}
    assert guessed_by_order({"FLAIR": "1"}, {"1": "FLAIR", "2": "FLAIR_to_T1"}) == {}
