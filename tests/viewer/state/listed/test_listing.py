"""Rows are listed as a plain sort and a plain search list them, and are looked at once."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from napari_ies.viewer.state.listed.listing import ListColumn, Listing

WORDS = ("Alpha", "beta", "alpha", "", "Gamma ray", "delta")


def rows(count=200):
    generator = np.random.default_rng(0)
    numbers = [None, float("nan"), *generator.integers(-5, 5, count - 2).tolist()]
    return [(number, WORDS[generator.integers(len(WORDS))]) for number in numbers]


def columns(looked=None):
    def number(row):
        if looked is not None:
            looked.append(row)
        return row[0]

    return [
        ListColumn("n", "", 10, number, lambda row: "" if row[0] is None else str(row[0])),
        ListColumn("w", "", 10, lambda row: row[1], lambda row: row[1], is_text=True),
    ]


def missing(value):
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("descending", [False, True])
def test_sorted_as_by_hand_with_what_has_no_value_last(column, descending):
    listing, every = Listing(rows(), columns()), rows()
    listing.sort_by(column, descending)
    known = [number for number, row in enumerate(every) if not missing(row[column])]
    known.sort(
        key=lambda n: every[n][column] if column == 0 else (every[n][1].lower(), every[n][1]),
        reverse=descending,
    )
    values = [every[number][column] for number in known]
    assert [listing.row(place)[column] for place in range(len(known))] == values
    assert all(missing(listing.row(place)[column]) for place in range(len(known), len(every)))
    # Equal ones stay in the order in which they came.
    listed = listing.listed[: len(known)].tolist()
    assert all(
        one < other
        for one, other in itertools.pairwise(listed)
        if every[one][column] == every[other][column]
    )


def test_words_and_mask_choose_rows_and_the_order_stays():
    every = rows()
    listing = Listing(every, columns())
    told = []
    listing.changed.connect(lambda: told.append(len(listing)))
    listing.sort_by(0, descending=True)
    before = listing.listed.tolist()
    mask = np.arange(len(every)) % 3 == 0
    listing.ask_for("ALPHA -", mask)
    expected = [n for n in before if n % 3 == 0 and "alpha" in every[n][1].lower()
                and "-" in f"{every[n][0]}"]  # fmt: skip
    assert listing.listed.tolist() == expected
    assert 0 < len(expected) < len(every)
    assert listing.place_of(expected[-1]) == len(expected) - 1
    assert listing.place_of(1) is None
    listing.ask_for()
    assert listing.listed.tolist() == before
    assert told == [len(every), len(expected), len(every)]


def test_once_made_no_row_is_looked_at_however_it_is_sorted_and_searched():
    looked = []
    listing = Listing(rows(), columns(looked))
    assert len(looked) == 200
    looked.clear()
    for text in ("", "alpha", "alpha ray", "nothing of the kind"):
        listing.ask_for(text, np.ones(200, dtype=bool))
        listing.sort_by(0, descending=True)
    assert looked == []
    assert len(listing) == 0


def test_no_rows_are_listed_too():
    listing = Listing([], columns())
    listing.sort_by(0)
    listing.ask_for("a")
    assert len(listing) == 0
