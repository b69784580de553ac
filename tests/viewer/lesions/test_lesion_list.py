"""The table in step with the state: maps, verdicts and what was found; no viewer is needed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from without_a_window import Twin

from napari_ies import SaliencyRequest, load_case, segment
from napari_ies.cohort.metrics import match_metrics
from napari_ies.progress import finish
from napari_ies.regular_files import sha256_of
from napari_ies.results import load_segmentation
from napari_ies.results.session import load_session
from napari_ies.results.storage.tables import read_table
from napari_ies.viewer.feature import Services
from napari_ies.viewer.lesions.lesion_list import LesionList
from napari_ies.viewer.state.reading import KnownRegion, Reading, scores_of
from napari_ies.viewer.state.scaled import number, scaled_unit
from napari_ies.viewer.work import runner, tasks

from ..conftest import small_model


@pytest.fixture
def listed(twin, qtbot):
    """The list of a segmented patient, and what was asked of the form."""
    services = Services(None, twin.state, twin.explaining, None, None, twin.work, twin.tell)
    feature = LesionList(services)
    qtbot.addWidget(feature.table)
    feature.table.resize(700, 400)
    feature.table.show()
    twin.state.show_reading(twin.state.reading)
    return feature


def maps_listed(feature):
    maps = feature.table.chosen_lesion.maps
    return [maps.item(row).text() for row in range(maps.count())]


def click_map(qtbot, feature, title):
    maps = feature.table.chosen_lesion.maps
    at = maps.visualItemRect(maps.item(maps_listed(feature).index(title))).center()
    qtbot.mouseClick(maps.viewport(), Qt.MouseButton.LeftButton, pos=at)


def cells(feature, subject):
    model = feature.table.view.model()
    row = feature.table.subjects().index(subject)
    columns = range(model.columnCount())
    titles = [model.headerData(c, Qt.Orientation.Horizontal) for c in columns]
    return dict(zip(titles, (model.index(row, c).data() for c in columns), strict=True))


@pytest.mark.slow
def test_a_click_shows_an_earlier_map_and_sets_the_form_to_it(twin, listed, qtbot, monkeypatch):
    monkeypatch.setattr(runner, "REPORT_SECONDS", 0.0)  # each sample is seen, however fast it is
    state, asked = twin.state, []
    state.request_restored.connect(lambda request: setattr(state, "request", request))
    state.request_restored.connect(asked.append)
    mean, largest = SaliencyRequest(n_samples=3), SaliencyRequest(n_samples=2, aggregation="max")
    fewer = dataclasses.replace(mean, n_samples=2)
    for request in (mean, largest, fewer):
        state.request = request
        twin.explain(1)
    # A click computes nothing anew that is there with more samples already; Explain does.
    assert maps_listed(listed) == ["mean", "max"]
    assert state.shown is state.answers.get((1, mean, state.shown.model_key))
    assert twin.tell.text == (
        "Showing lesion 1: SmoothGrad mean with 3 samples (Explain computes the form's 2), "
        "computed before."
    )
    running = []
    state.answer_shown.connect(
        lambda answer: running.append((answer.finished, maps_listed(listed)))
    )
    twin.explaining.explain_selected()
    twin.work.wait()
    assert (False, ["mean · 3", "max", "mean · 2 …"]) in running
    assert maps_listed(listed) == ["mean · 3", "max", "mean · 2"]
    shown = listed.table.chosen_lesion.maps.currentItem()
    assert shown.text() == "mean · 2"
    # What is asked for exactly is shown before what has more.
    twin.explain(1)
    assert state.shown.request == fewer
    # More than there is, and other noise, are computed.
    for request in (dataclasses.replace(mean, n_samples=4), dataclasses.replace(fewer, seed=1)):
        assert state.answers.as_good_as((1, request, state.shown.model_key))[1] == request
    click_map(qtbot, listed, "max")
    assert state.shown is state.answers.get((1, largest, state.shown.model_key))
    assert (asked, state.request) == ([largest], largest)
    assert listed.table.chosen_lesion.maps.currentItem().text() == "max"
    assert len(state.answers) == 3
    assert not twin.work.busy
    # Another lesion has maps of its own, and columns that hold one kind only.
    twin.explaining.explain(2)
    twin.work.wait()
    assert maps_listed(listed) == ["max"]
    # In the power of ten of the colour bar and Readout: that of all maps of the kind.
    power = state.answers.power(state.answers.of(1)[-1])
    header = "▾ Peak FLAIR\nmean" + (f", {scaled_unit('', power).strip()}" if power else "")
    peaks = {n: cells(listed, n)[header] for n in (1, 2)}
    latest = state.answers.of(1)[-1].saliency.cropped[0]
    strongest = float(latest.flat[np.abs(latest).argmax()])
    assert peaks[1].removeprefix("+") == number(strongest, power)
    assert peaks[2] == ""


def test_verdicts_go_to_the_session_and_to_the_table_on_disk(twin, listed, own_sessions, tmp_path):
    listed.actions["agree"]()
    assert twin.state.reading.verdicts == {}
    assert twin.tell.text.startswith("Click a lesion")
    twin.state.select(1)
    listed.actions["agree"]()
    twin.state.select(2)
    listed.actions["unsure"]()
    listed.actions["reject"]()
    twin.state.set_note(2, "a vessel")
    twin.work.wait()
    assert twin.tell.text == "Lesion 2: reject."
    assert listed.table.chosen_lesion.verdicts["reject"].isChecked()
    assert listed.table.chosen_lesion.note.toPlainText() == "a vessel"
    assert [cells(listed, n)["OK?"] for n in (1, 2)] == ["✓", "✗"]
    session = load_session(twin.session.folder)
    assert session.verdicts == {1: "agree", 2: "reject"}
    assert "2 verdicts" in session.text
    # The same key takes it back, here and in the session.
    listed.actions["reject"]()
    twin.work.wait()
    assert load_session(twin.session.folder).verdicts == {1: "agree"}
    listed.actions["unsure"]()
    *_, saved = tasks.save_answers(tmp_path / "out", twin.state.reading, twin.state.answers, False)
    (path,) = saved.result.rglob("*dseg.tsv")
    table = read_table(path)
    assert table["verdict"].tolist() == ["agree", "unsure"]
    assert table["note"].fillna("").tolist() == ["", "a vessel"]
    twin.work.wait()
    again = Twin(own_sessions)
    again.reopening.open(twin.session.folder)
    again.work.wait()
    assert again.state.reading.verdicts == {1: "agree", 2: "unsure"}
    assert '"Levels"' in path.with_suffix(".json").read_text().split('"verdict"')[1]
    assert not list((tmp_path / "out").rglob("*_regions.*")), "nothing was said of a region"


def test_what_is_said_of_regions_is_saved_as_a_table_of_their_own(twin, listed, tmp_path):
    state = twin.state
    mask = np.zeros(state.reading.case.shape, dtype=bool)
    mask[4:7, 5:7, 8:10] = True
    state.add_region(KnownRegion.of_mask("rim", mask, state.reading.case.spacing))
    state.add_region(KnownRegion.of_mask("not judged", mask, state.reading.case.spacing))
    twin.state.select("rim")
    state.set_verdict("rim", "reject")
    state.set_note("rim", "partial volume")

    out = tmp_path / "out"  # apart from the session, which is written meanwhile

    def save(overwrite=False):
        finish(tasks.save_answers(out, state.reading, state.answers, overwrite))
        return [*out.rglob("*_regions.*")]

    path, sidecar = sorted(save(), key=lambda one: one.suffix, reverse=True)
    (row,) = read_table(path, sha256_of(path.read_bytes())).to_dict("records")
    assert (row["name"], row["verdict"], row["note"]) == ("rim", "reject", "partial volume")
    assert row["voxels"] == mask.sum()
    said = json.loads(sidecar.read_text())
    assert "Levels" in said["verdict"]
    assert said["SHA256"][path.name] == sha256_of(path.read_bytes())
    # The table of lesions has a row for each label, as before, and is read back.
    segmentation = load_segmentation(next(out.rglob("*dseg.tsv")), state.reading.case)
    assert list(segmentation.lesions.index) == list(state.reading.places)
    state.set_verdict("rim", None)
    state.set_note("rim", "")
    assert save(overwrite=True) == []


def test_counts_and_scores_are_said_and_said_again_when_reopened(
    patient, listed, twin, own_sessions
):
    from nibabel import load

    mask = np.asarray(load(patient.reference).dataobj) > 0
    mask[:, :20] = False  # the second lesion is not in it
    mask[2:5, 2:5, 2:5] = True  # one that is missed
    case, model = load_case(patient.images), small_model()
    segmentation = segment(model, case, reference=mask)
    scores = scores_of(segmentation, mask)
    assert scores == match_metrics(segmentation.labels, segmentation.lesions, mask)
    reading = Reading.of(model, case, segmentation, reference=mask, scores=scores)
    twin.show(reading)
    said = (
        f"2 found (1 TP, 1 FP), 1 of the reference missed. Dice {scores['dice']:.2f}; "
        "lesion-wise sensitivity 0.50, precision 0.50."
    )
    assert listed.table.found.text() == reading.found == said
    twin.note(1, "x")
    assert load_session(twin.session.folder).text.endswith(
        ": 2 found (1 TP, 1 FP), 1 of the reference missed; 0 maps, 1 note."
    )
    again = Twin(own_sessions)
    again.reopening.open(twin.session.folder)
    again.work.wait()
    assert again.state.reading.found == said


@pytest.mark.slow
def test_a_changed_threshold_marks_the_table_and_updates_what_changed(
    twin, listed, qtbot, own_sessions, monkeypatch
):
    state, bar = twin.state, listed.threshold.bar
    stopped = []
    stop = twin.explaining.stop
    monkeypatch.setattr(twin.explaining, "stop", lambda: stopped.append(stop()))
    listed.threshold.bar.setParent(listed.table)
    # Its probability is steep where the second lesion is, and smooth where the first one is.
    reading = state.reading
    probability, labels = reading.segmentation.probability.copy(), reading.segmentation.labels
    probability[labels == 2] = 1.0
    probability[(labels == 0) & (np.indices(labels.shape)[0] > 24)] = 0.0
    x, y, z = reading.places[1].centre
    low = dataclasses.replace(reading.segmentation, probability=probability)
    beside = np.argwhere((labels == 0) & (probability > 0.3))
    assert len(beside), "the test needs voxels below the threshold"
    # A network with a file: only of such ones earlier sessions are offered.
    model = dataclasses.replace(reading.model, path=Path("unet.pth"), sha256="0123456789abcdef" * 4)
    state.take_model(dataclasses.replace(state.model, model=model))
    twin.show(dataclasses.replace(reading, segmentation=low, model=model))
    earlier = []
    twin.session.looked.connect(lambda found: earlier.append(found.earlier))
    state.take_threshold(0.5)
    assert bar.isHidden()
    for subject in (1, 2):
        twin.explain(subject)
        twin.note(subject, f"of lesion {subject}")
    state.set_verdict(2, "agree")
    twin.work.wait()
    first = twin.session.folder
    state.take_threshold(0.3)
    assert not bar.isHidden()
    assert "threshold 0.5" in bar.text.text()
    assert "says 0.3 now" in bar.text.text()
    state.take_threshold(0.5)
    assert bar.isHidden()
    state.take_threshold(0.3)
    qtbot.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    twin.work.wait()
    # What would be lost is said first, and nothing has changed yet.
    ((question, start),) = twin.tell.questions
    assert question.startswith("1 note would go, of lesions that changed (1), and come back when")
    assert state.reading.segmentation.threshold == 0.5
    kept = state.answers.of(2)[0]
    stopped.clear()
    qtbot.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    twin.work.wait()
    assert stopped == [], "a map that is computed goes on till a person agreed"
    start()
    assert stopped == [None]
    twin.session.begin(state.reading)
    twin.work.wait()
    assert state.reading.segmentation.threshold == 0.3
    assert sorted(state.reading.places) == [2, 3]
    assert state.reading.mask_of(3)[x, y, z]
    assert state.reading.notes == {2: "of lesion 2"}
    assert state.reading.verdicts == {2: "agree"}
    assert [(one.subject, one.saliency.maps.tobytes()) for one in state.answers] == [
        (2, kept.saliency.maps.tobytes())
    ]
    assert (state.selected, state.shown.subject) == (2, 2)
    assert bar.isHidden()
    assert cells(listed, 2)["OK?"] == "✓"
    assert cells(listed, 2)["Maps"] == "mean"
    # What grew is no new lesion, and its number of before is not lost.
    assert "1 lesion stayed the same, 1 changed (1 larger), 0 new, 0 gone." in twin.tell.text
    assert [cells(listed, n)["Was"] for n in (2, 3)] == ["", "1"]
    assert state.reading.segmentation.notes[-1].endswith("and others have new ones: 1 is now 3.")
    # The session of the earlier threshold stays as it was; the new one has its own folder.
    assert load_session(first).notes == {1: "of lesion 1", 2: "of lesion 2"}
    assert twin.session.folder != first
    assert earlier == [None], "it is the same work, and no earlier session to go back to"
    later = load_session(twin.session.folder)
    assert (later.record.segmentation.threshold, later.verdicts) == (0.3, {2: "agree"})
    assert [one.subject for one in later.maps] == [2]
    # What is done meanwhile is kept apart from it.
    state.set_verdict(3, "reject")
    # Back again: the lesion that changed is there once more, with all that was said of it.
    state.select(3)
    state.take_threshold(0.5)
    twin.tell.questions.clear()
    qtbot.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    twin.work.wait()
    ((question, start),) = twin.tell.questions
    assert "1 verdict would go, of lesions that changed (3)" in question
    start()
    twin.session.begin(state.reading)
    twin.work.wait()
    assert (sorted(state.reading.places), state.selected) == ([1, 2], 1)
    assert "1 lesion stayed the same, 0 changed, 0 new, 0 gone, 1 back as it" in twin.tell.text
    assert (state.reading.mask_of(1) == (labels == 1)).all()
    assert state.reading.notes == {1: "of lesion 1", 2: "of lesion 2"}
    assert state.reading.verdicts == {2: "agree"}
    assert {one.subject for one in state.answers} == {1, 2}
    assert cells(listed, 1)["Maps"] == "mean"
    assert earlier == [None, None], "nobody need go back to the session of the threshold before"
    assert load_session(twin.session.folder).notes == {1: "of lesion 1", 2: "of lesion 2"}
    # And there again.
    state.take_threshold(0.3)
    qtbot.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    twin.work.wait()
    twin.tell.questions[-1][1]()
    assert sorted(state.reading.places) == [2, 3]
    assert state.reading.verdicts == {2: "agree", 3: "reject"}


def test_an_update_does_not_wait_for_the_map_that_is_computed(twin, listed, qtbot):
    state, bar = twin.state, listed.threshold.bar
    bar.setParent(listed.table)
    twin.note(1, "of lesion 1")

    def poll(condition):
        qtbot.waitUntil(lambda: twin.work.poll() or bool(condition()), timeout=60_000)

    state.request = SaliencyRequest(n_samples=9999)
    twin.explaining.explain(2)
    poll(lambda: state.shown is not None)
    state.take_threshold(0.3)
    qtbot.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    poll(lambda: twin.tell.questions)
    # Asked first, and "Not now": the map goes on.
    assert twin.explaining.running
    before = state.shown.saliency.n_used
    poll(lambda: state.shown.saliency.n_used > before)
    assert state.reading.segmentation.threshold == 0.5
    qtbot.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    poll(lambda: len(twin.tell.questions) == 2)
    twin.tell.questions[-1][1]()
    assert not twin.explaining.running
    assert state.reading.segmentation.threshold == 0.3
    assert twin.tell.text.startswith("Updated to the threshold 0.3: ")
    twin.work.wait()
