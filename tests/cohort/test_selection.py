from __future__ import annotations

import pandas as pd
import pytest

from napari_ies.cohort.selection import Selection
from napari_ies.errors import CohortError

LESIONS = pd.DataFrame(
    {
        "volume_mm3": [10.0, 40, 20, 20, 70, 5],
        "match": ["TP", "FP", "TP", "FN", "FN", "TP"],
    },
    index=[1, 2, 3, 4, 5, 9],
)


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (Selection(), [1, 2, 3, 4, 5, 9]),
        (Selection(kinds=("TP",)), [1, 3, 9]),
        (Selection(kinds=("FN", "FP")), [2, 4, 5]),
        (Selection(at_least_mm3=10, at_most_mm3=20), [1, 3, 4]),
        (Selection(largest=3), [2, 3, 5]),
        (Selection(largest=99), [1, 2, 3, 4, 5, 9]),
        (Selection(kinds=("TP",), at_least_mm3=6, largest=1), [3]),
        (Selection(at_least_mm3=1000), []),
    ],
)
def test_lesions_are_chosen_by_kind_volume_and_rank(selection, chosen):
    assert selection.chosen(LESIONS) == chosen


def test_kinds_need_a_reference():
    with pytest.raises(CohortError, match="nothing tells which lesions are TP or FP"):
        Selection(kinds=("TP", "FP")).chosen(LESIONS.drop(columns="match"))
    assert Selection().chosen(LESIONS.drop(columns="match")) == [1, 2, 3, 4, 5, 9]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kinds": ("TN",)}, "no kind TN"),
        ({"largest": 0}, "at least one"),
        ({"at_least_mm3": 5, "at_most_mm3": 2}, "at least 5 and at most 2"),
    ],
)
def test_what_selects_nothing_is_refused(wrong, words):
    with pytest.raises(CohortError, match=words):
        Selection(**wrong)
