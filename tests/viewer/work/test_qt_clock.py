"""The GUI thread's clock."""

from __future__ import annotations

import time

from napari_ies.viewer.work.qt_clock import QtClock, Soon


def test_soon_comes_though_it_is_asked_again_whenever_the_thread_is_free(qtbot):
    """As the caption of a map that refines on a computer that is slow to draw it."""
    called, asked = [], []
    soon = Soon(lambda: called.append(len(asked)))

    def tick():
        time.sleep(0.04)  # longer than the clock waits: it is always due
        asked.append(1)
        soon.ask()

    clock = QtClock(tick)
    clock.start()
    qtbot.waitUntil(lambda: len(asked) > 20)
    clock.stop()
    assert called
    assert called[0] < 5


def test_soon_waits_anew_where_a_wait_is_asked_for(qtbot):
    called = []
    soon = Soon(lambda: called.append(1))
    soon.ask(10_000)
    soon.ask()
    qtbot.waitUntil(lambda: called == [1])
    soon.ask()
    soon.ask(10_000)
    qtbot.wait(30)
    assert called == [1]
    assert soon.waiting
    soon.stop()
