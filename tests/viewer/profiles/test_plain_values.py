"""What is asked of a network's arguments reads as words, and means what was offered or typed."""

from __future__ import annotations

import pytest

from napari_ies.viewer.profiles.plain_values import in_words, value_of


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((1, 2, 2), "1, 2, 2"),
        ([1, [2, 2, 1]], "1, (2, 2, 1)"),
        (("leakyrelu", {"negative_slope": 0.01}), "leakyrelu, negative_slope 0.01"),
        ("prelu", "prelu"),
        (None, "none"),
        (True, "yes"),
        ({"num_groups": 4, "affine": False}, "num_groups 4, affine no"),
        (3, "3"),
    ],
)
def test_what_is_offered_is_meant_by_its_words(value, words):
    assert in_words(value) == words
    assert value_of(f" {words}", {"other": 1, words: value}) is value


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("2, 1", [2, 1]),
        ("[2, [2, 2, 1]]", [2, [2, 2, 1]]),
        ('["prelu", {"init": 0.2}]', ["prelu", {"init": 0.2}]),
        ("0.5", 0.5),
        ("true", True),
        ("NDA", "NDA"),
        ("none", "none"),
    ],
)
def test_what_is_typed_is_a_list_a_number_or_a_word(typed, value):
    assert value_of(typed, {"other": 1}) == value
