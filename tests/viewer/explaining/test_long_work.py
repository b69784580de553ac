"""Work of more than an hour asks before it starts; the clock of its trial jumps by hours here."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QProgressBar

from napari_ies.progress import Progress
from napari_ies.saliency import explanation
from napari_ies.saliency.expected import expected_time as module
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.time_left import TimeLeft
from napari_ies.viewer.panel.status import StatusLine
from napari_ies.viewer.work import tasks


@pytest.fixture
def slow(monkeypatch):
    hours = iter(range(0, 10**9, 3600))
    real = module.expecting

    def expecting(*arguments, **settings):
        return real(*arguments, **settings, clock=lambda: next(hours))

    monkeypatch.setattr(module, "expecting", expecting)
    monkeypatch.setattr(tasks, "SURELY_SHORT", module.FEW_STEPS)


def many_samples(panel):
    """Ask for work that is worth timing, and that is short all the same."""
    panel.features["explaining"].form.set_aggregation("sum")
    panel.features["explaining"].form.samples.setValue(12)


def question(hands):
    """The question on screen, or None."""
    found = hands.panel.findChildren(QMessageBox, "ask to start")
    return next((box for box in found if box.isVisible()), None)


def answer(hands, word):
    hands.wait(lambda: question(hands) is not None)
    box = question(hands)
    button = next(b for b in box.buttons() if b.text().replace("&", "") == word)
    hands.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    hands.wait(lambda: question(hands) is None)


def test_what_takes_long_is_asked_for(segmented, slow):
    another_wish_takes_the_question_back(segmented)
    segmented.afresh()
    a_long_explanation_is_asked_for(segmented)
    segmented.afresh()
    explaining_all_is_asked_for_once(segmented)


def a_long_explanation_is_asked_for(segmented):
    panel = segmented.panel
    many_samples(panel)
    for word, started in (("Not now", False), ("Start", True)):
        panel.explaining.explain(1)
        segmented.wait(lambda: question(segmented) is not None)
        # The window goes on meanwhile, and nothing is computed.
        assert not panel.services.work.busy
        text = question(segmented).text()
        assert text.startswith("SmoothGrad sum of lesion 1 will take about ")
        assert "It is shorter with fewer noise samples than 12, " in text
        assert "a smaller region" in text  # a sum's: of a maximum fewer voxels are another map
        assert segmented.control("status").text().startswith("Not started: ")
        assert len(panel.state.answers) == 0
        answer(segmented, word)
        segmented.finish()
        assert segmented.answered(1) == started


def another_wish_takes_the_question_back(segmented):
    panel = segmented.panel
    many_samples(panel)
    panel.explaining.explain(1)
    segmented.wait(lambda: question(segmented) is not None)
    panel.explaining.explain(2)
    segmented.wait(
        lambda: question(segmented) is not None and "lesion 2" in question(segmented).text()
    )
    assert len([b for b in panel.findChildren(QMessageBox) if b.isVisible()]) == 1
    # What is agreed to is what was asked: other settings are asked for anew.
    panel.features["explaining"].form.set_aggregation("mean")
    answer(segmented, "Start")
    segmented.wait(lambda: question(segmented) is not None)
    assert "SmoothGrad mean of lesion 2" in question(segmented).text()
    answer(segmented, "Not now")
    segmented.finish()
    assert len(panel.state.answers) == 0


def explaining_all_is_asked_for_once(segmented):
    many_samples(segmented.panel)
    for word, started in (("Not now", False), ("Start", True)):
        segmented.press("explain_all")
        segmented.wait(lambda: question(segmented) is not None)
        assert question(segmented).text().startswith("SmoothGrad sum of 2 lesions will take about ")
        assert segmented.control("explain_all").text() == "Explain all"
        answer(segmented, word)
        segmented.finish()
        assert (segmented.answered(1), segmented.answered(2)) == (started, started)
        assert question(segmented) is None


def test_the_time_that_is_left_is_shown(qtbot):
    status = StatusLine()
    qtbot.addWidget(status)
    bar = status.findChild(QProgressBar, "progress")
    status.show_report(Progress("Explaining", 0, 50, "gradients", seconds=1500.0))
    assert bar.format() == "0 of 50 gradients, about 25 minutes left"
    status.show_report(Progress("Explaining", 0, 40, "gradients", seconds=20.0))
    assert bar.format() == "0 of 40 gradients"
    status.show_report(Progress("Testing what was guessed", 3, 0, "passes"))
    assert bar.format() == ""


def reports_before_the_map(reading, monkeypatch, few_steps):
    """Ask as a click does; return the steps that are reported before the explanation begins."""
    monkeypatch.setattr(tasks, "SURELY_SHORT", few_steps)
    request = SaliencyRequest(aggregation="sum", n_samples=12)
    steps = []
    for report in tasks.explain_subject(reading, reading.model, 1, request):
        if report.step == "Explaining":
            return steps, report
        steps.append(report.step)
    raise AssertionError("nothing was explained")


def test_a_click_does_not_wait_for_a_trial_of_what_is_surely_short(twin, monkeypatch):
    timed = []
    real = module._Trial

    def trial(*arguments):
        timed.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(module, "_Trial", trial)
    _, report = reports_before_the_map(twin.state.reading, monkeypatch, tasks.SURELY_SHORT)
    assert timed == []
    assert report.seconds is None
    _, report = reports_before_the_map(twin.state.reading, monkeypatch, module.FEW_STEPS)
    assert len(timed) == 1
    assert report.seconds > 0


def test_each_step_before_a_map_reports_so_that_it_can_be_cancelled(twin, monkeypatch):
    # Of a session that was opened again, the guesses about the network are not tested yet.
    twin.state.reading.model._derived.clear()
    steps, _ = reports_before_the_map(twin.state.reading, monkeypatch, module.FEW_STEPS)
    assert steps.count("Testing what was guessed") > 1
    assert steps.count("Estimating the time") > 4


@pytest.mark.parametrize("timed", [True, False])
def test_what_takes_some_minutes_is_begun_and_said_with_what_is_shorter(timed, twin, monkeypatch):
    """By the trial before it, or by its own pace where none was worth it: here a clock jumps."""
    estimate, begin = module.expecting, explanation.explain_request
    minutes, said, heard = itertools.count(0, 600), threading.Event(), []

    def in_25_minutes(*arguments, **settings):
        for report in estimate(*arguments, **settings):
            known = report.result and replace(report.result, seconds=1500.0)
            yield report.with_result(known)

    def once_it_is_said(*arguments, **settings):
        for done, report in enumerate(begin(*arguments, **settings)):
            if done == (1 if timed else 2):
                said.wait(60)  # the map of so small a patient is there before anybody looks
            yield report

    if timed:
        monkeypatch.setattr(module, "expecting", in_25_minutes)
    else:
        monkeypatch.setattr(tasks, "TimeLeft", lambda: TimeLeft(lambda: next(minutes)))
    monkeypatch.setattr(explanation, "explain_request", once_it_is_said)
    monkeypatch.setattr(twin.tell, "say", lambda text: (heard.append(text), said.set()))
    twin.explain(1)

    told = heard[0]
    how_long = "about 24 minutes" if timed else "about "  # a step is done
    assert told.startswith(f"SmoothGrad mean of lesion 1 takes {how_long}")
    assert ". It is shorter with fewer noise samples than 3, " in told
    assert heard[1:] == ["Finished lesion 1: SmoothGrad mean."]
    assert twin.tell.questions == []
    assert twin.answer(1).finished
