from __future__ import annotations

from pathlib import Path

import pytest

from napari_ies.patient.sequence_names import contradicted, guess_sequences


@pytest.mark.parametrize(
    ("wanted", "names", "expected"),
    [
        (["FLAIR", "T1"], ["t1", "flair"], {"FLAIR": "flair", "T1": "t1"}),
        (["FLAIR", "T1"], ["MPRAGE", "T2-FLAIR"], {"FLAIR": "T2-FLAIR", "T1": "MPRAGE"}),
        (["FLAIR", "MPRAGE"], ["FLAIR", "T1w"], {"FLAIR": "FLAIR", "MPRAGE": "T1w"}),
        (["T1", "T1ce"], ["T1Gd", "T1"], {"T1": "T1", "T1ce": "T1Gd"}),
        (["FLAIR", "T2"], ["T2_FLAIR"], {"FLAIR": "T2_FLAIR"}),
        (["FLAIR", "T1"], ["a", "b"], {}),
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
        ({"FLAIR": "a/T1.nii"}, []),
    ],
)
def test_a_file_whose_name_says_another_sequence_is_noted(files, said):
    notes = contradicted({sequence: Path(file) for sequence, file in files.items()})
    assert len(notes) == len(said)
    for note, words in zip(notes, said, strict=True):
        assert note.startswith(words)
        assert note.endswith("check that the images are not swapped.")
