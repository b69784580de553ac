"""A cohort is opened, listed and read lesion by lesion, by keyboard, in a window."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from networks import small_model
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QAbstractButton, QApplication
from saved_cohort import MATCH, image_files, write_cohort

from napari_ies.cohort.record import NETWORK, CaseRecord, records_folder
from napari_ies.cohort.report.images import Images
from napari_ies.progress import Progress, finish
from napari_ies.results.session import load_session
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.viewer.cohort.tasks import open_cohort, open_lesion
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.reader import may_be_cohort, napari_get_reader, read_cohort, read_patient
from napari_ies.viewer.work.job import Job

REQUESTS = (
    SaliencyRequest(n_samples=3, aggregation="max"),
    SaliencyRequest(method="gradcam++", layer="model.0"),
)
FAILED = "T1.nii.gz ends too early; copy it again."


@pytest.fixture
def results(tmp_path):
    """Results of two patients, a third that failed, and the images elsewhere."""
    folder, data = tmp_path / "results", tmp_path / "moved"
    data.mkdir()
    model = dataclasses.replace(small_model(), path=Path("unet.pth"), sha256="0123456789abcdef" * 4)
    maps = write_cohort(folder, model, 2, REQUESTS, with_files=image_files(data))
    write_tables(folder)
    return folder, data, maps


def write_tables(folder):
    from napari_ies.cohort.statistics.rows import lesion_rows

    (folder / "cohort").mkdir()
    rows = lesion_rows(folder).drop(columns="file")
    rows.to_csv(folder / "cohort" / "lesions.tsv", sep="\t", na_rep="n/a", index=False)
    lines = ["subject\tvisit\tstatus\tproblem\tlesions"]
    lines += [f"P{n}\tn/a\tdone\tn/a\t3" for n in range(2)] + [f"P2\tn/a\tfailed\t{FAILED}\tn/a"]
    (folder / "cohort" / "cases.tsv").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_a_lesions_case_becomes_a_session_once_its_images_are_found(results):
    folder, data, _ = results
    cohort = finish(open_cohort(folder))
    number = cohort.number_of("sub-P1", 2)
    lost = finish(open_lesion(cohort, number, Images(), {}))
    assert (lost.folder, lost.number) == (None, number)
    assert lost.missing == (
        "The images FLAIR (FLAIR.nii.gz) and T1 (T1.nii.gz) of sub-P1 are not where the results "
        "lead to, or changed since; say in which folder they lie now."
    )
    # A run's record says where they were, and the network.
    places = {f"image {name}": str(data / "P1" / f"{name}.nii.gz") for name in ("FLAIR", "T1")}
    known = {"inputs": {}, "segmentation": "", "key": ""}
    record = CaseRecord(state="done", places={**places, NETWORK: str(data / "u.pth")}, **known)
    records_folder(folder).mkdir()
    (records_folder(folder) / "sub-P1.json").write_text(record.model_dump_json())
    made = finish(open_lesion(cohort, number, Images((), folder), {}))
    session = load_session(made.folder)
    assert [str(image.path) for image in session.images] == list(places.values())
    assert session.record.checkpoints[0].file.name == "u.pth"
    # Known by their content: another file there is not taken.
    (data / "P1" / "T1.nii.gz").write_bytes((data / "P0" / "T1.nii.gz").read_bytes())
    lost = finish(open_lesion(cohort, number, Images((), folder), {}))
    assert lost.missing.startswith("The image T1 (T1.nii.gz) of sub-P1 is not where")
    (data / "P1" / "T1.nii.gz").unlink()
    lost = finish(open_lesion(cohort, number, Images([data]), {}))
    assert lost.missing.startswith("The image T1 (T1.nii.gz) of sub-P1 is not where")
    number = cohort.number_of("sub-P0", 2)
    weights = data / "anything.pth"
    made = finish(open_lesion(cohort, number, Images([data]), {"0123456789abcdef" * 4: weights}))
    session = load_session(made.folder)
    assert session.record.selected == 2
    assert session.record.checkpoints[0].file.name == "anything.pth"
    assert {int(one.subject) for one in session.maps} == set(MATCH)


@pytest.mark.slow
def test_a_cohort_is_read_by_keyboard(hands, results, monkeypatch):
    folder, data, maps = results
    panel, qtbot = hands.panel, hands.qtbot
    feature, state = panel.features["cohort"], panel.state
    threads = watch_reading(monkeypatch)
    assert drop(panel, folder)
    hands.wait(lambda: feature.cohort is not None)
    hands.settle()
    assert threads == {"napari-ies cohort"}
    view = feature.view
    assert view.isVisible()
    assert "3 cases (1 failed) and 6 explained lesions" in panel.status.text
    assert [view.tabs.tabText(0), view.tabs.tabText(1)] == ["Lesions (6)", "Cases (3, 1 failed)"]

    # The images were moved: all of them are named, and looked for where a person says.
    order = [feature.cohort.lesions.rows[n] for n in feature.cohort.lesions.listed]
    qtbot.keyClick(view.lesions, Qt.Key.Key_Return)
    hands.wait(lambda: view.notice.text)
    assert f"FLAIR (FLAIR.nii.gz) and T1 (T1.nii.gz) of {order[0].case}" in view.notice.text
    assert state.reading is None
    # A case without its images can be passed by, and come back to.
    for place, key in (
        (1, Qt.KeyboardModifier.NoModifier),
        (2, Qt.KeyboardModifier.NoModifier),
        (1, Qt.KeyboardModifier.ShiftModifier),
        (0, Qt.KeyboardModifier.ShiftModifier),
    ):
        qtbot.keyClick(view.lesions, Qt.Key.Key_U, key)
        hands.finish()
        assert feature.cohort.lesions.rows[feature.cohort.asked] == order[place]
        assert f"of {order[place].case} are" in view.notice.text
    monkeypatch.setattr(dialogs, "choose_folder", lambda *_: str(data))
    # A map that is being computed is given up for it, as for a click on another lesion.
    panel.services.work.run(Job("explain", "Explaining a lesion", for_ever, print))
    qtbot.mouseClick(
        view.notice.findChild(QAbstractButton, "cohort_notice_0"), Qt.MouseButton.LeftButton
    )
    on_screen(hands, order[0], maps)
    assert view.notice.text == ""

    # Up next, from the canvas and from the list, into the other patient and back.
    native = hands.viewer.window._qt_viewer.canvas.native
    for step, one in enumerate(order[1:], start=1):
        qtbot.keyClick(native if step % 2 else view.lesions, Qt.Key.Key_U)
        on_screen(hands, one, maps)
    assert feature.cohort.seen == set(range(6))
    assert {one.case for one in order} == {"sub-P0", "sub-P1"}
    # One patient's images at a time, however many were read.
    assert sorted(layer.name for layer in hands.panel.services.scene.images()) == ["FLAIR", "T1"]
    qtbot.keyClick(native, Qt.Key.Key_U)
    hands.settle()
    assert panel.status.text == "There is no further lesion in the list of the cohort."
    qtbot.keyClick(native, Qt.Key.Key_U, Qt.KeyboardModifier.ShiftModifier)
    on_screen(hands, order[-2], maps)

    # What is listed is stepped through: a case, then one kind.
    view.tabs.setCurrentIndex(1)
    view.cases.select_number(2)
    assert view.cases.model().index(2, view.cases.model().columnCount() - 1).data() == FAILED
    view.cases.select_number(1)
    qtbot.keyClick(view.cases, Qt.Key.Key_Return)
    assert {feature.cohort.lesions.row(n).case for n in range(3)} == {"sub-P1"}
    assert view.filter.count.text() == "3 of 6"
    qtbot.keyClick(view.filter.matches["FN"], Qt.Key.Key_Space)
    assert view.filter.count.text() == "1 of 6"
    qtbot.keyClick(view.lesions, Qt.Key.Key_Enter)
    on_screen(hands, next(one for one in order if (one.case, one.lesion) == ("sub-P1", 3)), maps)

    # What is saved nowhere is not given up unasked.
    panel.features["session"].autosave.automatic = False
    state.set_note(3, "a rim")
    view.filter.offer(["sub-P0", "sub-P1"], True)
    other = next(n for n, one in enumerate(feature.cohort.lesions.rows) if one.case == "sub-P0")
    feature.open_lesion(other)
    question = asked(hands)
    assert "saved nowhere, and are lost" in question.text()
    assert state.reading.case.subject == "P1"
    go_on = next(one for one in question.buttons() if one.text() == "Go on all the same")
    qtbot.mouseClick(go_on, Qt.MouseButton.LeftButton)
    on_screen(hands, feature.cohort.lesions.rows[other], maps)

    # A folder that is none changes nothing.
    panel.open_cohort(str(data))
    hands.wait(lambda: "no results of a cohort" in panel.status.text)
    assert feature.cohort.folder == folder


def test_a_folder_of_results_is_known_and_others_are_left_to_napari(results, tmp_path):
    folder, data, _ = results
    assert may_be_cohort(str(folder))
    assert napari_get_reader(str(folder)) is read_cohort
    # A folder with images is a patient's.
    others = {data: read_patient, tmp_path / "nowhere": None, folder / "sub-P0": None}
    for other, reader in others.items():
        assert not may_be_cohort(str(other))
        assert napari_get_reader(str(other)) is reader
    assert not may_be_cohort("")


def for_ever():
    """Compute until told to stop."""
    while True:
        time.sleep(0.001)
        yield Progress("Explaining", 0, 1, "")


def on_screen(hands, one, maps):
    """Wait until a lesion's saved map is on screen, and compare it."""
    state = hands.panel.state

    def shown():
        answer, reading = state.shown, state.reading
        return (
            answer is not None
            and reading is not None
            and reading.case.subject == one.subject
            and state.selected == answer.subject == one.lesion
        )

    hands.wait(shown)
    hands.settle()
    expected = maps[one.subject, one.lesion, "smoothgrad", "max"]
    np.testing.assert_array_equal(state.shown.saliency.maps, expected.maps)
    assert (
        hands.panel.features["cohort"].cohort.lesions.rows[
            hands.panel.features["cohort"].view.lesions.selected_number
        ]
        == one
    )
    assert not hands.panel.explaining.running


def asked(hands):
    from qtpy.QtWidgets import QMessageBox

    found = []
    hands.wait(lambda: found.extend(hands.panel.findChildren(QMessageBox, "ask to start")) or found)
    return found[0]


def watch_reading(monkeypatch):
    """Return the names of the threads that read tables, as they do."""
    from napari_ies.cohort.report import tables_read

    threads, read = set(), tables_read.read_cases

    def reading(path):
        threads.add(threading.current_thread().name)
        return read(path)

    monkeypatch.setattr(tables_read, "read_cases", reading)
    return threads


def drop(panel, path):
    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile(str(path))])
    given = Qt.DropAction.CopyAction, files, Qt.MouseButton.LeftButton
    enter = QDragEnterEvent(QPoint(20, 20), *given, Qt.KeyboardModifier.NoModifier)
    enter.ignore()
    QApplication.sendEvent(panel, enter)
    event = QDropEvent(QPointF(20, 20), *given, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(panel, event)
    return enter.isAccepted()
