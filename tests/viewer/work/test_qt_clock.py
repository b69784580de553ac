"""The GUI thread's clock."""

from __future__ import annotations

import time

from qtpy.QtCore import QCoreApplication, QEvent, QObject

from napari_ies.viewer.work.qt_clock import QtClock, Soon


class Slow(QObject):
    """What takes longer to draw than the clock waits, as two canvases without a graphics card."""

    def event(self, event):
        if event.type() == QEvent.Type.User:
            time.sleep(0.03)
        return super().event(event)


def test_soon_comes_though_the_thread_is_never_idle(qtbot):
    called, asked, slow = [], [], Slow()
    soon = Soon(lambda: called.append(len(asked)))

    def tick():
        asked.append(1)
        soon.ask()
        QCoreApplication.postEvent(slow, QEvent(QEvent.Type.User))

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
