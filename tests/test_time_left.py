"""What is left of running work, with a clock of its own."""

import pytest

from napari_ies.progress import Progress
from napari_ies.time_left import TimeLeft


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def report(done, total=10, seconds=None, step="Explaining"):
    return Progress(step, done, total, "windows", seconds=seconds)


def test_its_own_pace_counts_once_it_is_known():
    clock = Clock()
    left = TimeLeft(clock)
    assert left.after(report(0)) is None
    clock.now = 1.0
    assert left.after(report(1)) is None  # one second says little
    clock.now = 30.0
    assert left.after(report(3)) == pytest.approx(70.0)
    assert left.after(report(10)) == 0


def test_what_was_expected_counts_at_first_and_its_own_pace_in_the_end():
    clock = Clock()
    left = TimeLeft(clock)
    assert left.after(report(0, seconds=1000.0)) == 1000.0
    clock.now = 200.0  # twice as fast as expected: 500 s are left by that, 200 by its own pace
    assert left.after(report(5, seconds=1000.0)) == pytest.approx((500 + 200) / 2)
    clock.now = 360.0
    assert left.after(report(9, seconds=1000.0)) == pytest.approx(0.9 * 40 + 0.1 * 100)


def test_other_work_and_work_that_is_done_again_begin_anew():
    clock = Clock()
    left = TimeLeft(clock)
    left.after(report(0))
    clock.now = 100.0
    assert left.after(report(5)) == pytest.approx(100.0)
    assert left.after(report(0, total=20)) is None
    clock.now = 110.0
    assert left.after(report(1, total=20)) == pytest.approx(190.0)
    assert left.after(report(0, total=20)) is None
    assert left.after(report(0, total=0)) is None
