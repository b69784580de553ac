"""A session is saved by itself and comes back, seen as a person sees it.

Some functions are acts of one test: each goes on with the session and the window of the act before.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading

import napari
import nibabel as nib
import numpy as np
import pytest
from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QDialogButtonBox

from napari_ies.errors import ResultsError
from napari_ies.results.session import load_session
from napari_ies.viewer.session import place as session_place
from napari_ies.viewer.state.reading import KnownRegion
from napari_ies.viewer.work.lane import Errand
from napari_ies.viewer.work.qt_clock import QtClock
from napari_ies.viewer.work.runner import Runner


@pytest.fixture
def case(small, tmp_path):
    """Return a copy of the small case that a test may change, in a folder of its own."""
    folder = tmp_path / "sub-07"
    folder.mkdir()
    for path in (*small.images.values(), small.checkpoint.with_suffix(".profile.json")):
        shutil.copy(path, folder)
    shutil.copy(small.checkpoint, folder / "unet.pth")
    return folder


def read_case(hands, folder):
    """Open a case, segment it, explain a lesion, and write a note, as a person does."""
    hands.panel.features["preparing"].checkpoint.choose(str(folder / "unet.pth"))
    for name in ("FLAIR", "T1"):
        hands.panel.features["preparing"].open_image(name, str(folder / f"{name}.nii.gz"))
    hands.finish()
    hands.segment()
    hands.panel.features["explaining"].form.samples.setValue(2)
    hands.panel.explaining.explain(3)
    hands.wait(lambda: hands.answered(3))
    hands.panel.state.set_note(3, "dark rim")
    saved(hands)
    return hands.panel.features["session"].folder


def entries(hands):
    """Return what the menu "Session…" offers, by its text."""
    return {action.text(): action for action in hands.control("session").menu().actions()}


def saved(hands):
    hands.wait(
        lambda: not hands.panel.features["session"].busy and hands.panel.features["session"].folder
    )


def idle(hands):
    """Wait until nothing is being saved or looked for."""
    hands.wait(lambda: not hands.panel.features["session"].busy)


def close(hands):
    """Close the panel, as at the end of a day: the next one opened is a new one."""
    (dock,) = hands.viewer.window._wrapped_dock_widgets.values()
    panel = dock.widget()
    hands.viewer.window.remove_dock_widget(dock)
    hands.settle()
    panel.setParent(None)
    panel.deleteLater()
    hands.settle()
    hands.wait(lambda: not [t for t in threading.enumerate() if t.name == "napari-ies session"])


def test_background_errands_are_told_in_order_and_the_newest_of_a_key_counts(qtbot):
    runner = Runner(QtClock)
    background, told, gate = runner.lane("test"), [], threading.Event()

    def add(what, key=None, later=False, fails=False):
        def work():
            gate.wait(20)
            if fails:
                raise ValueError(what)
            return what

        errand = Errand(work, told.append, lambda error: told.append(f"no {error}"), key)
        background.add(errand, later=later)

    add("first")
    add("read", later=True)
    add("a1", key="a")
    add("b", fails=True)
    add("a2", key="a")
    gate.set()
    qtbot.waitUntil(lambda: not background.busy, timeout=20_000)
    qtbot.waitUntil(lambda: len(told) == 4, timeout=20_000)
    assert told == ["first", "no b", "a2", "read"]
    gate.clear()
    add("written")
    add("forgotten", later=True)
    done = threading.Event()
    background.add(Errand(done.set, told.append, told.append))
    background.release()
    gate.set()
    assert done.wait(20)
    qtbot.wait(100)
    assert told[4:] == []


def test_closed_and_opened_again_everything_is_there(hands, case, make_napari_viewer, monkeypatch):
    monkeypatch.delenv("NAPARI_IES_SESSIONS")
    folder = read_case(hands, case)
    assert folder == case / "napari-ies" / "sub-07"
    panel = hands.panel
    mask = np.zeros(panel.state.reading.case.shape, dtype=bool)
    mask[9:12, 8:11, 10] = True
    panel.explaining.explain_region(
        KnownRegion.of_mask("the rim", mask, panel.state.reading.case.spacing)
    )
    hands.wait(lambda: hands.answered("the rim"))
    panel.explaining.explain(3)
    expected = {layer.name: np.array(layer.data) for layer in hands.overlays()}
    maps = {answer.key: answer.saliency.maps for answer in panel.state.answers}
    assert len(expected) == len(maps) == 2
    places = {layer.name: tuple(layer.translate) for layer in hands.overlays()}
    saved(hands)
    close(hands)
    hands.viewer.close()

    again = type(hands)(make_napari_viewer(show=True), None, hands.qtbot)
    # Of two windows the one that asks, and not the one that was active last.
    other = make_napari_viewer(show=True)
    assert napari.current_viewer() is other
    dropped_on_the_canvas(again, folder)
    again.wait(lambda: again.viewer.window._wrapped_dock_widgets)
    assert not other.window._wrapped_dock_widgets
    assert not other.layers
    other.close()
    _, again.panel = again.viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    again.wait(
        lambda: again.panel.state.reading is not None and len(again.panel.state.answers) == 2
    )
    again.wait(again.overlays)
    panel, reopened = again.panel, again.panel.state
    for layer in again.overlays():
        np.testing.assert_array_equal(layer.data, expected[layer.name])
        np.testing.assert_allclose(layer.translate, places[layer.name])
    assert {a.key for a in reopened.answers} == set(maps)
    for answer in reopened.answers:
        np.testing.assert_array_equal(answer.saliency.maps, maps[answer.key])
    assert reopened.reading.notes == {3: "dark rim"}
    np.testing.assert_array_equal(reopened.reading.regions["the rim"].mask, mask)
    assert reopened.selected == 3
    np.testing.assert_array_equal(
        again.lesions_layer().data,
        reopened.reading.frame.reorientation.apply(load_session(folder).segmentation.labels),
    )
    images = [layer.name for layer in again.viewer.layers if layer.name in ("FLAIR", "T1")]
    assert images == ["T1", "FLAIR"]
    assert panel.features["explaining"].form.request().n_samples == 2
    assert panel.features["session"].notice.text == ""
    # The network is loaded by and by, and the session grows on.
    again.wait(lambda: reopened.model is not None)
    again.finish()
    assert panel.features["preparing"].segmentation.threshold.value() == pytest.approx(
        reopened.reading.segmentation.threshold, abs=0.01
    )
    panel.explaining.explain(4)
    again.wait(lambda: again.answered(4))
    saved(again)
    assert [one.subject for one in load_session(folder).maps] == [3, "the rim", 4]
    assert panel.features["session"].folder == folder


def dropped_on_the_canvas(hands, path):
    """Drop a folder on napari's own view, and say to napari which plugin is to open it."""
    tries = []

    def choose_the_plugin():
        tries.append(True)
        shown = (w for w in QApplication.topLevelWidgets() if isinstance(w, QtReaderDialog))
        dialog = next((one for one in shown if one.isVisible()), None)
        if dialog is None:
            if len(tries) < 100:
                QTimer.singleShot(100, choose_the_plugin)
            return
        try:
            ours = [b for b in dialog.reader_btn_group.buttons() if b.text() == "Lesion saliency"]
            hands.qtbot.mouseClick(ours[0], Qt.MouseButton.LeftButton)
            ok = dialog.btn_box.button(QDialogButtonBox.StandardButton.Ok)
            hands.qtbot.mouseClick(ok, Qt.MouseButton.LeftButton)
        finally:
            if dialog.isVisible():
                dialog.reject()  # nothing goes on before it is closed

    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile(str(path))])
    QTimer.singleShot(0, choose_the_plugin)
    copy, view = Qt.DropAction.CopyAction, hands.viewer.window._qt_viewer
    with_mouse = copy, files, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(20, 20), *with_mouse)
    QApplication.sendEvent(view, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(view, QDropEvent(QPointF(20, 20), *with_mouse))


def dropped(hands, path):
    """Drag a folder onto the panel and drop it; return whether the panel takes it."""
    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile(str(path))])
    copy, left, none = (
        Qt.DropAction.CopyAction,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    enter = QDragEnterEvent(QPoint(20, 20), copy, files, left, none)
    enter.ignore()
    QApplication.sendEvent(hands.panel, enter)
    if enter.isAccepted():
        drop = QDropEvent(QPointF(20, 20), copy, files, left, none)
        QApplication.sendEvent(hands.panel, drop)
    return enter.isAccepted()


KILLED = """
import sys, time
from pathlib import Path
import napari, numpy as np
from qtpy.QtWidgets import QApplication
from napari_ies.viewer.state.reading import KnownRegion
from napari_ies.viewer.work import job

job.NICE = 0  # or it would wait for all that other tests compute

def wait(condition):
    while not condition():
        QApplication.processEvents()
        time.sleep(0.01)

if __name__ == "__main__":
    folder, out = map(Path, sys.argv[1:])
    viewer = napari.Viewer(show=True)
    _, panel = viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    panel.features["preparing"].checkpoint.choose(str(folder / "unet.pth"))
    for name in ("FLAIR", "T1"):
        panel.features["preparing"].open_image(name, str(folder / f"{name}.nii.gz"))
    wait(panel.features["preparing"].segmentation.button.isEnabled)
    panel.features["preparing"].segmentation.button.click()
    wait(lambda: panel.state.reading is not None)
    panel.features["explaining"].form.samples.setValue(2)
    panel.explaining.explain(3)
    wait(lambda: panel.state.answers.of(3))
    mask = np.zeros(panel.state.reading.case.shape, dtype=bool)
    mask[9:12, 8:11, 10] = True
    spacing = panel.state.reading.case.spacing
    panel.explaining.explain_region(KnownRegion.of_mask("rim", mask, spacing))
    wait(lambda: panel.state.answers.of("rim"))
    panel.state.set_note(5, "unsure")
    # Of more a slow machine would ask whether they are worth an hour.
    panel.features["explaining"].form.samples.setValue(3000)
    panel.explaining.explain(4)
    wait(lambda: panel.state.shown.subject == 4 and not panel.features["session"].busy)
    maps = {str(answer.subject): answer.saliency.maps for answer in panel.state.answers}
    np.savez(out / "held.npz", labels=panel.state.reading.segmentation.labels, mask=mask, **maps)
    (out / "running").write_text(str(panel.features["session"].folder))
    wait(lambda: False)
"""


def test_killed_in_the_middle_of_a_computation_all_but_the_running_map_comes_back(
    hands, case, tmp_path, monkeypatch, begin
):
    monkeypatch.setenv("NAPARI_CONFIG", str(tmp_path / "settings.yaml"))
    run, said = begin(KILLED, case, tmp_path)
    try:
        running = tmp_path / "running"
        hands.wait(lambda: (running.exists() and running.read_text()) or not run.is_alive(), 240)
    finally:
        run.kill()
        run.join()
    assert run.exitcode == (-signal.SIGKILL if os.name == "posix" else 1), said.read_text()
    folder = running.read_text()
    (tmp_path / "nothing").mkdir()
    assert not dropped(hands, tmp_path / "nothing")
    assert dropped(hands, folder)
    hands.wait(
        lambda: hands.panel.state.reading is not None and len(hands.panel.state.answers) == 2
    )
    panel, held = hands.panel, np.load(tmp_path / "held.npz")
    assert panel.features["session"].notice.text == ""
    np.testing.assert_array_equal(panel.state.reading.segmentation.labels, held["labels"])
    np.testing.assert_array_equal(panel.state.reading.regions["rim"].mask, held["mask"])
    assert panel.state.reading.notes == {5: "unsure"}
    for answer in panel.state.answers:
        assert answer.finished
        np.testing.assert_array_equal(answer.saliency.maps, held[str(answer.subject)])
    assert panel.state.selected == 4
    assert panel.features["explaining"].form.request().n_samples == 3000
    assert [one.subject for one in load_session(folder).maps] == [3, "rim"]


def test_one_case_again_without_its_map_its_checkpoint_and_an_image(hands, case, own_sessions):
    folder = read_case(hands, case)
    assert folder == own_sessions / "sub-07"
    the_same_case_again_is_offered_to_be_reopened(hands, case, folder)
    a_session_that_lacks_no_map_is_said_to_be_reopened_once(hands, folder)
    with_its_network_loaded_a_session_computes_without_its_checkpoint(hands, case, folder)
    without_its_checkpoint_and_image_it_shows_what_it_holds(hands, case, folder)


def without_its_checkpoint_and_image_it_shows_what_it_holds(hands, case, folder):
    close(hands)
    hands.viewer.layers.clear()
    archive = shutil.move(case, case.parent / "archive")
    (archive / "gone.pth").unlink()
    image = nib.load(archive / "T1.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine), archive / "T1.nii.gz")
    shutil.move(folder, archive / "session")

    _, panel = hands.viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    hands.panel = panel
    panel.features["session"].open(archive / "session")
    hands.wait(lambda: panel.state.shown is not None and len(panel.state.answers) == 2)
    assert [layer.name for layer in hands.viewer.layers if layer.name in ("FLAIR", "T1")] == [
        "FLAIR"
    ]
    assert len(hands.overlays()) == 2
    text = hands.control("session_notice_text").text()
    lines = text.splitlines()
    assert "nothing new can be computed" in lines[0]
    assert any("T1.nii.gz has changed" in line for line in lines)
    assert any("unet.pth is missing" in line for line in lines)
    assert any("FLAIR.nii.gz was found at" in line for line in lines)
    panel.explaining.explain(4)
    assert "T1 is not there as it was" in hands.control("status").text()
    panel.explaining.explain(3)
    assert panel.state.shown.subject == 3
    hands.press("session_notice_0")
    assert not hands.control("session_notice").isVisible()
    panel.state.set_note(5, "unsure")
    saved(hands)
    assert load_session(archive / "session").notes == {3: "dark rim", 5: "unsure"}


def the_same_case_again_is_offered_to_be_reopened(hands, case, first):
    close(hands)
    _, hands.panel = hands.viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    before = {path: path.read_bytes() for path in first.iterdir()}
    hands.panel.features["preparing"].checkpoint.choose(str(case / "unet.pth"))
    hands.wait(lambda: hands.panel.state.model is not None and not hands.panel.services.work.busy)
    (first.parent / "sub-broken").mkdir()
    (first.parent / "sub-broken" / "session.json").write_text('{"Format": "napari-ies session"}')
    hands.segment()
    idle(hands)
    # Nothing is written before there is work to be saved; it is said where it will be.
    assert hands.panel.features["session"].folder is None
    assert str(first.parent / "sub-07_2") in hands.control("session_place").toolTip()
    assert {path.name for path in first.parent.iterdir()} == {"sub-07", "sub-broken"}
    assert {path: path.read_bytes() for path in first.iterdir()} == before
    hands.wait(lambda: "1 map and 1 note" in hands.control("session_notice_text").text())
    assert "sub-broken" in hands.control("session_notice_text").text()
    a_panel_closed_and_opened_again_asks_the_same(hands)
    hands.press("session_notice_0")
    hands.wait(
        lambda: (
            hands.panel.features["session"].folder == first and hands.panel.state.shown is not None
        )
    )
    saved(hands)
    assert hands.panel.state.reading.notes == {3: "dark rim"}
    assert {path.name for path in first.parent.iterdir()} == {"sub-07", "sub-broken"}
    # Images that are open are not opened twice.
    assert len([layer for layer in hands.viewer.layers if layer.name == "FLAIR"]) == 1


def a_panel_closed_and_opened_again_asks_the_same(hands):
    """Also where it was closed while it looked for what there is."""
    panel, asked = hands.panel, hands.control("session_notice_text").text()
    for looking in (False, True):
        if looking:
            hands.control("patient").setText("")
            hands.control("patient").setText("07")
        (dock,) = hands.viewer.window._wrapped_dock_widgets.values()
        hands.qtbot.mouseClick(dock.title.close_button, Qt.MouseButton.LeftButton)
        hands.settle()
        assert not panel.isVisible()
        _, opened = hands.viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
        assert opened is panel
        hands.wait(lambda: hands.control("session_notice_text").isVisible())
        assert hands.control("session_notice_text").text() == asked


def test_where_nothing_can_be_written_beside_the_images_the_session_is_kept_in_own_data(
    hands, case, tmp_path, monkeypatch
):
    monkeypatch.delenv("NAPARI_IES_SESSIONS")
    monkeypatch.setattr(session_place, "user_data_dir", lambda *_, **__: str(tmp_path / "own"))
    (case / "napari-ies").write_text("a file, where the folder of the sessions would be")
    folder = read_case(hands, case)
    assert folder == tmp_path / "own" / "sessions" / "sub-07"
    assert [one.subject for one in load_session(folder).maps] == [3]
    told = hands.control("session_notice_text")
    assert told.isVisible()
    assert told.text().startswith("Nothing can be saved beside the images (")
    assert str(folder) in told.text()
    assert hands.control("session_place").isVisible()
    assert hands.control("session_place").text() == f"Session: {folder}"
    hands.press("session_notice_0")
    assert not told.isVisible()
    # The same case again: the earlier session is found there too.
    hands.segment()
    hands.wait(lambda: "Reopen that session?" in hands.panel.features["session"].notice.text)
    hands.press("session_notice_0")
    hands.wait(
        lambda: (
            hands.panel.features["session"].folder == folder and hands.panel.state.shown is not None
        )
    )
    saved(hands)
    assert [path.name for path in folder.parent.iterdir()] == ["sub-07"]


def test_a_disk_that_refuses_and_layers_without_files(segmented, tmp_path, monkeypatch):
    a_disk_that_refuses_is_told_once_and_nothing_is_lost(segmented, monkeypatch)
    layers_without_files_are_saved_with_the_session(segmented, tmp_path, monkeypatch)


def layers_without_files_are_saved_with_the_session(segmented, tmp_path, monkeypatch):
    monkeypatch.delenv("NAPARI_IES_SESSIONS")
    monkeypatch.setattr(session_place, "user_data_dir", lambda *_, **__: str(tmp_path / "own"))
    frame = segmented.panel.state.reading.frame
    for layer in list(segmented.viewer.layers):
        if layer.name.startswith("sub-01_"):
            data = np.array(layer.data)
            segmented.viewer.layers.remove(layer)
            segmented.viewer.add_image(data, name=layer.name, scale=frame.scale)
    segmented.settle()
    segmented.segment()
    segmented.panel.explaining.explain(2)
    segmented.wait(lambda: segmented.answered(2))
    saved(segmented)
    folder = segmented.panel.features["session"].folder
    assert folder.parent == tmp_path / "own" / "sessions"
    assert segmented.control("session_place").text() == f"Session: {folder}"
    session = load_session(folder)
    assert all(image.made_here for image in session.images)
    np.testing.assert_array_equal(session.load_case().data, segmented.panel.state.reading.case.data)
    assert [one.subject for one in session.maps] == [2]
    # A segmentation alone is not worth keeping.
    segmented.segment()
    idle(segmented)
    assert segmented.panel.features["session"].folder is None
    close(segmented)
    assert list(folder.parent.iterdir()) == [folder]
    assert load_session(folder).maps


def test_where_it_is_saved_from_the_first_note_on(segmented, tmp_path, monkeypatch):
    the_session_button_is_named_and_says_where_it_is_saved(segmented)
    another_folder_and_no_saving_at_all(segmented, tmp_path, monkeypatch)
    a_notice_of_where_it_is_saved_goes_once_it_is_not_saved_there(segmented)


def another_folder_and_no_saving_at_all(segmented, tmp_path, monkeypatch):
    from napari_ies.viewer.panel import dialogs

    segmented.panel.explaining.explain(1)
    segmented.wait(lambda: segmented.answered(1))
    saved(segmented)
    first = segmented.panel.features["session"].folder
    monkeypatch.setattr(dialogs, "choose_folder", lambda *_: str(tmp_path / "mine"))
    actions = entries(segmented)
    actions["Save in another folder…"].trigger()
    saved(segmented)
    assert segmented.panel.features["session"].folder == tmp_path / "mine" / "sub-01"
    for folder in (first, tmp_path / "mine" / "sub-01"):
        assert [one.subject for one in load_session(folder).maps] == [1]
    actions["Save by itself"].setChecked(False)
    segmented.panel.state.set_note(1, "not kept")
    segmented.settle()
    segmented.wait(lambda: not segmented.panel.features["session"].busy)
    assert load_session(tmp_path / "mine" / "sub-01").notes == {1: "x"}
    actions["Save by itself"].setChecked(True)
    saved(segmented)
    assert load_session(segmented.panel.features["session"].folder).notes == {1: "not kept"}
    # The same session goes on, and is not offered as one of before.
    assert segmented.panel.features["session"].folder == tmp_path / "mine" / "sub-01"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["sub-01"]
    assert segmented.panel.features["session"].notice.text == ""
    monkeypatch.setattr(dialogs, "choose_folder", lambda *_: str(tmp_path))
    actions["Open session…"].trigger()
    assert "There is no session in" in segmented.control("status").text()


def a_disk_that_refuses_is_told_once_and_nothing_is_lost(segmented, monkeypatch):
    from napari.utils.notifications import notification_manager

    from napari_ies.results.storage import images

    idle(segmented)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    before = len(notification_manager.records)
    with monkeypatch.context() as patched:
        patched.setattr(images, "write_packed", refuse)
        for label in (1, 2):
            segmented.panel.explaining.explain(label)
            segmented.wait(lambda label=label: segmented.answered(label))
            segmented.wait(lambda: not segmented.panel.features["session"].busy)
    told = [record.message for record in notification_manager.records[before:]]
    assert len(told) == 1
    assert "No space left on device" in told[0]
    segmented.panel.state.set_note(1, "x")
    saved(segmented)
    assert [
        one.subject for one in load_session(segmented.panel.features["session"].folder).maps
    ] == [1, 2]


def the_session_button_is_named_and_says_where_it_is_saved(segmented):
    idle(segmented)
    button, line = segmented.control("session"), segmented.control("session_place")
    assert line.isVisible()
    assert line.text().startswith("To be saved in ")
    said = "Nothing is saved yet: the first map, curve, note or region begins"
    assert button.toolTip().startswith(said)
    place = segmented.panel.features["session"].autosave.recording.planned
    assert place.name == "sub-01"
    assert not place.parent.exists()
    assert str(place) in button.toolTip()
    segmented.panel.state.set_note(1, "x")
    saved(segmented)
    assert segmented.panel.features["session"].folder == place
    assert line.text() == f"Session: {place}"
    assert str(place) in button.toolTip()
    entries = [action for action in button.menu().actions() if not action.isSeparator()]
    assert all(action.toolTip().endswith(".") for action in entries)
    segmented.qtbot.keyClick(button, Qt.Key.Key_Escape)


def test_what_a_session_lacks_or_says_too_much(hands, case, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_IES_SESSIONS", str(tmp_path / "<b>bold</b>"))
    folder = read_case(hands, case)
    what_the_session_button_says_is_plain_text(hands, tmp_path / "<b>bold</b>")
    what_a_session_says_of_lesions_and_regions_that_are_not_there_harms_nothing(hands, folder)
    a_reopened_session_that_is_not_all_in_memory_is_said_to_be_gone(hands, case, folder)


def a_reopened_session_that_is_not_all_in_memory_is_said_to_be_gone(hands, case, folder):
    written = load_session(folder).notes
    close(hands)
    hands.viewer.layers.clear()
    (case / "unet.pth").unlink()
    _, panel = hands.viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    hands.panel = panel
    panel.features["session"].open(folder)
    hands.wait(lambda: panel.state.reading is not None and len(panel.state.answers) == 1)
    idle(hands)
    shutil.move(folder, folder.with_name("kept elsewhere"))
    panel.state.set_note(5, "unsure")
    hands.wait(lambda: "was removed or moved away" in hands.control("session_place").toolTip())
    assert "unet.pth is not there" in hands.control("session_place").toolTip()
    assert not folder.exists()
    shutil.move(folder.with_name("kept elsewhere"), folder)
    panel.state.set_note(5, "sure")
    saved(hands)
    hands.wait(lambda: load_session(folder).notes == {**written, 5: "sure"})


def hostile(folder, **changes):
    path = folder / "session.json"
    content = json.loads(path.read_text())
    for name, value in changes.items():
        content[name] = value
    path.write_text(json.dumps(content))


def damage_table(folder):
    (table,) = folder.glob("*dseg.tsv")
    table.write_text(table.read_text().replace("\t", "\t\t", 1))


DAMAGE = {
    "note": lambda folder: hostile(folder, Notes=[{"Subject": 1, "Text": 1e30}]),
    "request": lambda folder: hostile(
        folder, Explanation={"method": "smoothgrad", "n_samples": 1e30}
    ),
    "table": damage_table,
    "image": lambda folder: next(folder.glob("*probseg.nii.gz")).write_bytes(b"no image"),
}


def test_one_session_from_what_cannot_be_opened_to_the_demo(hands, case, tmp_path, monkeypatch):
    folder = read_case(hands, case)
    a_session_that_cannot_be_opened_leaves_everything_as_it_was(hands, folder, tmp_path)
    switched_off_the_foot_says_so_and_switched_on_the_same_session_goes_on(hands, folder)
    a_session_reopened_while_nothing_is_saved_goes_on_once_it_is(hands, folder)
    under_another_name_the_same_work_is_not_offered_to_be_reopened(hands, folder)
    a_reopened_session_asks_for_its_layer_and_gives_way_to_the_demo(hands, case, monkeypatch)


def a_session_that_cannot_be_opened_leaves_everything_as_it_was(hands, folder, tmp_path):
    for what, damage in DAMAGE.items():
        cannot_be_opened(hands, folder, damage, tmp_path / f"bad-{what}")


def cannot_be_opened(hands, folder, damage, bad):
    shutil.copytree(folder, bad)
    damage(bad)
    panel = hands.panel
    before = ([layer.name for layer in hands.viewer.layers], panel.state.reading, panel.state.shown)
    answers = [answer.key for answer in panel.state.answers]
    contents = {path: path.read_bytes() for path in bad.rglob("*")}
    # As napari opens what is dropped on it, and as the panel does.
    with contextlib.suppress(ResultsError):
        hands.viewer.open(str(bad), plugin="napari-ies")
    panel.features["session"].open(bad)
    hands.finish()
    hands.wait(lambda: str(bad) in panel.status.text)
    assert (
        [layer.name for layer in hands.viewer.layers],
        panel.state.reading,
        panel.state.shown,
    ) == before
    assert [answer.key for answer in panel.state.answers] == answers
    assert panel.features["session"].folder == folder
    assert {path: path.read_bytes() for path in bad.rglob("*")} == contents
    panel.state.set_note(4, f"goes on after {bad.name}")
    saved(hands)
    notes = {3: "dark rim", 4: f"goes on after {bad.name}"}
    hands.wait(lambda: load_session(folder).notes == notes)


def what_a_session_says_of_lesions_and_regions_that_are_not_there_harms_nothing(hands, folder):
    close(hands)
    hands.viewer.layers.clear()
    content = json.loads((folder / "session.json").read_text())
    (one,) = content["Maps"]
    hostile(
        folder,
        Maps=[one, {**one, "Subject": 999}, {**one, "Subject": "nowhere"}],
        Notes=[*content["Notes"], {"Subject": 999, "Text": "a"}, {"Subject": "b", "Text": "c"}],
        Selected="nowhere",
        Explanation={**one["Request"], "seed": 2**60, "n_samples": 10**6, "noise": 100},
    )
    _, panel = hands.viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    hands.panel = panel
    panel.features["session"].open(folder)
    hands.wait(lambda: panel.state.reading is not None and len(panel.state.answers) == 1)
    hands.finish()
    assert "no such lesion" in panel.features["session"].notice.text
    assert "no such region" in panel.features["session"].notice.text
    panel.state.set_note(3, "as before")
    saved(hands)
    hands.wait(lambda: load_session(folder).notes[3] == "as before")
    # What could not be shown stays on disk.
    kept = load_session(folder)
    assert kept.notes == {3: "as before", 999: "a", "b": "c"}
    assert [one.subject for one in kept.record.maps] == [3, 999, "nowhere"]


def explain_rim(hands, start):
    """Explain a region called rim, painted from a place on, and return its mask."""
    panel = hands.panel
    mask = np.zeros(panel.state.reading.case.shape, dtype=bool)
    mask[start : start + 3, 8:11, 10] = True
    panel.explaining.explain_region(
        KnownRegion.of_mask("rim", mask, panel.state.reading.case.spacing)
    )
    hands.wait(
        lambda: hands.answered("rim") and panel.state.reading.regions["rim"].mask[start, 8, 10]
    )
    return mask


def switched_off_the_foot_says_so_and_switched_on_the_same_session_goes_on(hands, folder):
    panel, foot = hands.panel, hands.control("session_place")
    written = load_session(folder).notes
    explain_rim(hands, 9)
    idle(hands)
    automatic = entries(hands)["Save by itself"]
    automatic.setChecked(False)
    assert "“Save by itself” is switched off" in foot.toolTip()
    assert str(folder) in foot.toolTip()
    assert entries(hands)["Show the folder"].isEnabled()
    before = {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}
    mask = explain_rim(hands, 12)
    panel.state.set_note(5, "unsure")
    idle(hands)
    assert "“Save by itself” is switched off" in foot.toolTip()
    assert before == {p: p.read_bytes() for p in folder.parent.rglob("*") if p.is_file()}
    automatic.setChecked(True)
    saved(hands)
    assert panel.features["session"].folder == folder
    assert foot.text() == f"Session: {folder}"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert panel.features["session"].notice.text == ""
    session = load_session(folder)
    assert session.notes == {**written, 3: "dark rim", 5: "unsure"}
    np.testing.assert_array_equal(session.regions["rim"], mask)
    (one,) = [one for one in session.maps if one.subject == "rim"]
    np.testing.assert_array_equal(one.load().maps, hands.answer("rim").saliency.maps)


def a_session_reopened_while_nothing_is_saved_goes_on_once_it_is(hands, folder):
    explain_rim(hands, 9)
    saved(hands)
    panel, automatic = hands.panel, entries(hands)["Save by itself"]
    automatic.setChecked(False)
    panel.features["session"].open(folder)
    hands.wait(
        lambda: (
            panel.features["session"].reopening.reopened is not None
            and len(panel.state.answers) == 2
        )
    )
    hands.finish()
    idle(hands)
    assert "“Save by itself” is switched off" in hands.control("session_place").toolTip()
    mask = explain_rim(hands, 12)
    idle(hands)
    assert not np.array_equal(load_session(folder).regions["rim"], mask)
    automatic.setChecked(True)
    saved(hands)
    assert panel.features["session"].folder == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    session = load_session(folder)
    np.testing.assert_array_equal(session.regions["rim"], mask)
    (one,) = [one for one in session.maps if one.subject == "rim"]
    np.testing.assert_array_equal(one.load().maps, hands.answer("rim").saliency.maps)


def under_another_name_the_same_work_is_not_offered_to_be_reopened(hands, folder):
    panel = hands.panel
    panel.state.rename("08", panel.state.reading.case.visit)
    hands.wait(
        lambda: not panel.features["session"].busy and panel.features["session"].folder != folder
    )
    assert panel.features["session"].folder == folder.with_name("sub-08")
    assert panel.features["session"].notice.text == ""


def a_notice_of_where_it_is_saved_goes_once_it_is_not_saved_there(segmented):
    panel = segmented.panel
    panel.state.set_note(1, "dark rim")
    saved(segmented)
    folder = panel.features["session"].folder
    shutil.rmtree(folder)
    panel.state.set_note(1, "darker rim")
    segmented.wait(lambda: "was saved again" in panel.features["session"].notice.text)
    hostile(panel.features["session"].folder, Selected=None, Comment="by another program")
    panel.state.set_note(1, "the darkest rim")
    segmented.wait(lambda: "is not saved" in segmented.control("session_place").toolTip())
    assert panel.features["session"].notice.text == ""


def with_its_network_loaded_a_session_computes_without_its_checkpoint(hands, case, folder):
    panel, before = hands.panel, hands.panel.state.reading
    network = (case / "unet.pth").rename(case / "gone.pth")
    panel.features["session"].open(folder)
    hands.wait(lambda: panel.state.reading is not before and len(panel.state.answers) == 1)
    hands.finish()
    idle(hands)
    first, *others = panel.features["session"].notice.text.splitlines()
    assert "nothing new can be computed" not in first
    assert "its network is loaded" in first
    assert any("unet.pth is missing" in line for line in others)
    panel.explaining.explain(5)
    hands.wait(lambda: hands.answered(5))
    saved(hands)
    assert [one.subject for one in load_session(folder).maps] == [3, 5]
    # In a window of its own it is as the documents say, until its network is loaded.
    close(hands)
    _, panel = hands.viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    hands.panel = panel
    panel.features["session"].open(folder)
    hands.wait(lambda: panel.state.reading is not None and len(panel.state.answers) == 2)
    hands.finish()
    assert panel.features["session"].notice.text.startswith(
        "What is saved can be looked at, but nothing new"
    )
    panel.features["preparing"].checkpoint.choose(str(network))
    hands.wait(lambda: panel.state.model is not None)
    hands.finish()
    assert "its network is loaded" in panel.features["session"].notice.text.splitlines()[0]


def a_session_that_lacks_no_map_is_said_to_be_reopened_once(hands, folder):
    panel = hands.panel
    idle(hands)
    lacking = shutil.copytree(folder, folder.with_name("sub-lacking"))
    content = json.loads((lacking / "session.json").read_text())
    (one,) = content["Maps"]
    (lacking / next(iter(one["Files"]))).unlink()
    hostile(lacking, Selected=None)
    panel.features["session"].open(lacking)
    hands.wait(lambda: panel.features["session"].folder == lacking)
    hands.finish()
    idle(hands)
    assert panel.status.text.count("Reopened the session") == 1


def what_the_session_button_says_is_plain_text(hands, odd):
    foot = hands.control("session_place")
    assert foot.textFormat() == Qt.TextFormat.PlainText
    assert "<b>bold</b>" in foot.text()
    for one in (foot, hands.control("session")):
        assert "&lt;b&gt;bold&lt;/b&gt;" in one.toolTip()
    assert str(odd) in hands.panel.features["session"].controls.text


def a_reopened_session_asks_for_its_layer_and_gives_way_to_the_demo(hands, case, monkeypatch):
    from napari_ies.viewer.work import tasks
    from napari_ies.viewer.work.tasks import once

    panel = hands.panel
    folder, maps = panel.features["session"].folder, len(panel.state.answers)
    form, preparing = panel.features["explaining"].form, panel.features["preparing"]
    layer = panel.state.model.layers[0]
    assert layer != panel.state.model.default_layer
    form.set_method("gradcam++")
    form.layer.setCurrentIndex(1)
    panel.explaining.explain(3)
    hands.wait(lambda: hands.answered(3))
    saved(hands)
    # As in a window that was just opened: no network, and so no layers on offer.
    preparing.checkpoint.set_model(None)
    panel.state.model = None
    form.set_layers((), "")
    panel.features["session"].open(folder)
    hands.wait(lambda: panel.state.model is not None and len(panel.state.answers) == maps + 1)
    hands.finish()
    assert panel.state.request.layer == layer
    panel.explaining.explain_selected()
    assert "computed before" in panel.status.text

    other = case / "other.pth"
    shutil.copy(case / "unet.pth", other)
    shutil.copy(case / "unet.profile.json", case / "other.profile.json")
    demo = once("Making", lambda: ([], str(other)))
    monkeypatch.setattr(tasks, "make_demo", lambda: demo)
    panel.features["help"].load_demo()
    hands.wait(lambda: panel.state.model is not None and panel.state.model.model.path == other)
