from __future__ import annotations

import pytest

from napari_ies.sequence_names import guess_sequences


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
