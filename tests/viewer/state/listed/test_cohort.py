"""A cohort lists what is asked for, and is stepped through in the order of its list."""

from __future__ import annotations

import dataclasses

import pytest
from listed_cohort import cohort, report

from napari_ies.viewer.state.listed.cohort import Wanted

ASKED = [
    (Wanted(), lambda one: True),
    (Wanted(matches=frozenset({"FP", "FN"})), lambda one: one.match in ("FP", "FN")),
    (Wanted(smallest=40.0, largest=90.0), lambda one: 40 <= one.volume_mm3 <= 90),
    (Wanted(case="sub-0003_ses-1"), lambda one: one.subject == "0003"),
    (Wanted(suspicious=True), lambda one: one.suspicion.weight > 0),
    (Wanted(text="sub-0012 UNSTABLE"), lambda one: one.subject == "0012"
     and one.suspicion.kinds == ("unstable",)),
    (Wanted(text="tp", matches=frozenset({"FP"})), lambda one: False),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "fits"), ASKED)
def test_what_is_asked_for_is_listed_the_suspicious_first(wanted, fits):
    listed = cohort()
    listed.ask_for(wanted)
    expected = [(one.case, one.lesion) for one in report().lesions if fits(one)]
    rows = [listed.lesions.row(place) for place in range(len(listed.lesions))]
    assert [(one.case, one.lesion) for one in rows] == expected


def test_what_is_known_of_all_of_it():
    found = report()
    listed = cohort(found)
    assert listed.failed == 4
    assert listed.has_reference
    assert listed.suspicious == sum(1 for one in found.lesions if one.suspicion.weight > 0) > 10
    without = [dataclasses.replace(one, match="n/a") for one in found.lesions]
    assert not cohort(dataclasses.replace(found, lesions=tuple(without))).has_reference


def test_steps_go_through_the_list_and_end_with_it():
    listed = cohort()
    moves = []
    listed.moved.connect(lambda: moves.append(listed.current))
    listed.ask_for(Wanted(matches=frozenset({"FP"})))
    order = listed.lesions.listed.tolist()
    assert listed.step(1) == order[0]
    assert listed.step(-1) == order[-1]
    for number in order:
        assert listed.step(1) == number
        listed.look_at(number)
    assert listed.step(1) is None
    assert listed.step(-1) == order[-2]
    assert moves == order
    assert listed.seen == set(order)
    # Where the one on screen is not listed any more, it begins with the first.
    listed.ask_for(Wanted(matches=frozenset({"TP"})))
    assert listed.step(1) == int(listed.lesions.listed[0])
    listed.ask_for(Wanted(text="nothing of the kind"))
    assert listed.step(1) is None
    assert listed.step(-1) is None


def test_steps_go_on_from_what_was_asked_for_though_it_is_not_on_screen_yet():
    listed = cohort()
    order = listed.lesions.listed.tolist()
    listed.look_at(order[0])
    for place in (1, 2, 3):
        assert listed.step(1) == order[place]
        listed.asked = order[place]
    assert (listed.current, listed.seen) == (order[0], {order[0]})
    listed.give_up()
    assert listed.step(1) == order[1]
    listed.asked = order[3]
    listed.look_at(order[5])  # by a click elsewhere
    assert listed.step(1) == order[6]


def test_a_lesion_is_found_by_its_case_and_number():
    listed = cohort()
    number = listed.number_of("sub-0003_ses-1", 7)
    one = listed.lesions.rows[number]
    assert (one.subject, one.lesion) == ("0003", 7)
    assert listed.number_of("sub-0003_ses-1", 11) is None
