"""One computation at a time; the newest wins; nothing is lost, and nothing is left running."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from napari_ies.errors import CaseError
from napari_ies.progress import Progress
from napari_ies.viewer.work import runner as runner_module
from napari_ies.viewer.work.job import Job
from napari_ies.viewer.work.qt_clock import QtClock
from napari_ies.viewer.work.runner import REPORT_SECONDS, Runner


@pytest.fixture
def jobs(qtbot):
    runner = Runner(QtClock)
    runner.failures = []
    runner.failed.connect(runner.failures.append)
    yield runner
    runner.release()
    qtbot.waitUntil(lambda: not runner.busy, timeout=10_000)


def endless(closed, started=None):
    def reports():
        try:
            count = 0
            while True:
                count += 1
                if started is not None:
                    started.set()
                time.sleep(0.002)
                yield Progress("Counting", count, 10**9, "numbers", result=count)
        finally:
            closed.append(threading.current_thread())

    return reports


def brief(value):
    def reports():
        yield Progress("Working", 1, 1, "steps", result=value)

    return reports


def wait(jobs, qtbot):
    qtbot.waitUntil(lambda: not jobs.busy, timeout=10_000)


def test_a_newer_job_of_its_kind_wins_and_the_old_one_is_closed_where_it_ran(jobs, qtbot):
    closed, results = [], []
    jobs.run(Job("explain", "old", endless(closed), results.append))
    qtbot.wait(50)
    jobs.run(Job("explain", "dropped", brief("dropped"), results.append))
    jobs.run(Job("explain", "new", brief("new"), results.append))
    wait(jobs, qtbot)
    assert results == ["new"]
    assert len(closed) == 1
    assert closed[0] is not threading.main_thread()


def test_jobs_of_other_kinds_wait_their_turn(jobs, qtbot):
    results = []
    for kind in ("open FLAIR", "open T1", "checkpoint"):
        jobs.run(Job(kind, kind, brief(kind), results.append))
    wait(jobs, qtbot)
    assert results == ["open FLAIR", "open T1", "checkpoint"]


def test_the_same_request_again_goes_on(jobs, qtbot):
    closed = []
    jobs.run(Job("explain", "x", endless(closed), closed.append, key=(1, "mean")))
    qtbot.wait(50)
    jobs.run(Job("explain", "x", brief("again"), closed.append, key=(1, "mean")))
    qtbot.wait(50)
    assert closed == []
    jobs.cancel()
    wait(jobs, qtbot)
    assert len(closed) == 1


def test_partial_results_do_not_flood_the_window(jobs, qtbot, monkeypatch):
    monkeypatch.setattr(runner_module, "REPORT_SECONDS", REPORT_SECONDS / 4)
    shown, closed = [], []
    jobs.run(Job("explain", "x", endless(closed), shown.append, shown.append))
    start = time.monotonic()
    qtbot.wait(250)
    jobs.cancel()
    possible = 2 + (time.monotonic() - start) / (REPORT_SECONDS / 4)
    wait(jobs, qtbot)
    assert shown == sorted(shown)
    # The computation reported a hundred times; ten are shown.
    assert 1 <= len(shown) <= possible


@pytest.mark.parametrize("error", [RuntimeError("odd"), ValueError("odd"), CaseError("Odd.")])
def test_every_error_arrives_and_the_next_job_runs(jobs, qtbot, error):
    def failing():
        yield Progress("Working", 0, 1, "steps")
        raise error

    results = []
    jobs.run(Job("a", "a", failing, results.append))
    jobs.run(Job("b", "b", brief("next"), results.append))
    wait(jobs, qtbot)
    assert results == ["next"]
    (sentence,) = jobs.failures
    assert "dd" in sentence
    assert sentence.endswith(".")


def test_released_without_a_word(jobs, qtbot):
    closed, said, started = [], [], threading.Event()
    jobs.cancelled.connect(said.append)
    jobs.run(Job("explain", "x", endless(closed, started), said.append))
    qtbot.waitUntil(started.is_set, timeout=10_000)
    jobs.release()
    wait(jobs, qtbot)
    assert said == []
    assert len(closed) == 1


def steps(count, log, gate=None):
    """A computation that logs its steps, and waits at the second one until the gate opens."""

    def reports():
        for step in range(1, count + 1):
            log.append(step)
            if gate is not None and step == 2:
                gate.wait(10)
            yield Progress("Counting", step, count, "numbers", result=step)

    return reports


def test_background_work_makes_way_and_goes_on_where_it_stopped(jobs, qtbot):
    log, results, gate = [], [], threading.Event()
    background = Job("rest", "rest", steps(4, log, gate), results.append, background=True)
    jobs.run(background)
    qtbot.waitUntil(lambda: len(log) == 2, timeout=10_000)
    for name in ("older click", "click"):
        jobs.run(Job("explain", name, brief(name), results.append))
    gate.set()
    wait(jobs, qtbot)
    assert results == ["click", 4]
    # No step was done twice.
    assert log == [1, 2, 3, 4]


def test_what_is_brief_is_done_between_two_steps_of_what_runs(jobs, qtbot):
    log, results, gate = [], [], threading.Event()
    jobs.run(Job("explain", "map", steps(4, log, gate), results.append, key=1))
    qtbot.waitUntil(lambda: len(log) == 2, timeout=10_000)
    jobs.run(Job("segment", "update", brief("updated"), results.append, brief=True))
    gate.set()
    wait(jobs, qtbot)
    assert (results, log) == (["updated", 4], [1, 2, 3, 4])
    # Stopped meanwhile, or given up for another click, it does not go on.
    for stop in (partial(jobs.cancel, "explain"), None):
        closed, started, stopped = [], threading.Event(), []

        def update(_, stop=stop):
            if stop is None:
                jobs.run(Job("explain", "click", brief("click"), results.append, key=3))
            else:
                stop()

        jobs.run(Job("explain", "map", endless(closed, started), stopped.append, key=2))
        qtbot.waitUntil(started.is_set, timeout=10_000)
        jobs.run(Job("segment", "update", brief("again"), update, brief=True))
        wait(jobs, qtbot)
        assert (stopped, len(closed)) == ([], 1)
    assert results[-1] == "click"


def test_a_click_on_what_runs_in_the_background_takes_it_over(jobs, qtbot):
    log, rest, clicked, gate = [], [], [], threading.Event()
    work = steps(4, log, gate)
    jobs.run(Job("rest", "rest", work, rest.append, key="lesion 1", background=True))
    qtbot.waitUntil(lambda: len(log) == 2, timeout=10_000)
    jobs.run(Job("explain", "lesion 1", steps(4, []), clicked.append, key="lesion 1"))
    gate.set()
    wait(jobs, qtbot)
    assert (rest, clicked, log) == ([], [4], [1, 2, 3, 4])


def test_a_click_on_what_is_suspended_takes_it_over(jobs, qtbot):
    log, rest, clicked, gate = [], [], [], threading.Event()
    jobs.run(Job("rest", "rest", steps(4, log, gate), rest.append, key=1, background=True))
    qtbot.waitUntil(lambda: len(log) == 2, timeout=10_000)
    closed, started = [], threading.Event()
    jobs.run(Job("explain", "2", endless(closed, started), clicked.append, key=2))
    gate.set()
    qtbot.waitUntil(started.is_set, timeout=10_000)
    jobs.run(Job("explain", "1", steps(4, []), clicked.append, key=1))
    wait(jobs, qtbot)
    assert (rest, clicked, log) == ([], [4], [1, 2, 3, 4])
    assert len(closed) == 1


def test_cancelling_closes_what_is_suspended_where_it_ran(jobs, qtbot):
    closed, clicks, started, said = [], [], [threading.Event() for _ in range(2)], []
    jobs.cancelled.connect(said.append)
    jobs.run(Job("rest", "rest", endless(closed, started[0]), said.append, background=True))
    qtbot.waitUntil(started[0].is_set, timeout=10_000)
    jobs.run(Job("explain", "click", endless(clicks, started[1]), said.append))
    qtbot.waitUntil(started[1].is_set, timeout=10_000)
    assert closed == []
    assert jobs.is_active("rest")
    jobs.cancel()
    wait(jobs, qtbot)
    assert sorted(said) == ["click", "rest"]
    for threads in (closed, clicks):
        assert len(threads) == 1
        assert threads[0] is not threading.main_thread()
