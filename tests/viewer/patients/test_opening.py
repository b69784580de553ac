"""A patient is opened in one step, by a dialog or a drop, and found again the next day."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from napari.layers._layer_actions import _duplicate_layer
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QPushButton, QTreeView

from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.remembered import remembered


@pytest.fixture
def folders(small, tmp_path):
    """Patients beside each other, each with two images and an expert's mask; a checkpoint."""
    for number, name in enumerate(("P07", "P19", "P23")):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for sequence, path in small.images.items():
            image = nib.load(path)
            values = image.get_fdata(dtype=np.float32)
            values[0, 0, number] += 1  # or they would be one patient's
            nib.save(nib.Nifti1Image(values, image.affine), folder / f"{sequence}.nii.gz")
        shutil.copy(small.reference, folder / "consensus_lesions.nii.gz")
        (folder / f"T2_{number}.nii.gz").write_bytes(b"")
    for path in (small.checkpoint, small.checkpoint.with_suffix(".profile.json")):
        shutil.copy(path, tmp_path / "data")
    return tmp_path / "data"


def dropped(hands, *paths):
    """Drag files or folders onto the panel and drop them; return whether the panel takes them."""
    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    with_mouse = (
        *(Qt.DropAction.CopyAction, files),
        *(Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier),
    )
    enter = QDragEnterEvent(QPoint(20, 20), *with_mouse)
    enter.ignore()
    QApplication.sendEvent(hands.panel, enter)
    if enter.isAccepted():
        QApplication.sendEvent(hands.panel, QDropEvent(QPointF(20, 20), *with_mouse))
    return enter.isAccepted()


class Counted:
    """A person's clicks and keys, counted."""

    def __init__(self, hands, so_far=0):
        self.hands, self.number = hands, so_far

    def click(self, widget, pos=None):
        assert widget.isVisible()
        assert widget.isEnabled()
        self.number += 1
        at = {} if pos is None else {"pos": pos}
        self.hands.qtbot.mouseClick(widget, Qt.MouseButton.LeftButton, **at)

    def key(self, key, modifier):
        self.number += 1
        canvas = self.hands.viewer.window._qt_viewer.canvas.native
        self.hands.qtbot.keyClick(canvas, key, modifier)

    def checkpoint_dialog(self, path):
        """The dialog of the checkpoint: a file, and the button."""
        self.number += 2
        return str(path)


def opened_by_the_dialog(hands, folder, by="open_folder", click=None):
    """Press the button, mark a folder in the dialog, press "Open folder" or another button."""
    click = click or Counted(hands).click
    hands.unfold()
    click(hands.control("open_patient"))
    dialog = hands.panel.findChild(QFileDialog, "patient_dialog")
    dialog.setDirectory(str(folder.parent))
    tree = dialog.findChild(QTreeView, "treeView")

    def place():
        model, root = tree.model(), tree.rootIndex()
        rows = (model.index(row, 0, root) for row in range(model.rowCount(root)))
        return next((tree.visualRect(one) for one in rows if one.data() == folder.name), None)

    hands.wait(place)
    click(tree.viewport(), place().center())
    click(dialog.findChild(QPushButton, by))
    hands.finish()


def chosen(hands):
    names = ("image_FLAIR", "image_T1", "reference")
    return [hands.control(name).currentText() for name in names]


def images(hands):
    return [layer.name for layer in hands.viewer.layers]


@pytest.mark.slow
def test_a_patient_in_one_step(hands, folders, monkeypatch):
    from_an_empty_window_to_a_figure_on_the_first_day(hands, folders, monkeypatch)
    who_was_read_before_is_not_segmented_by_itself(hands, folders)
    what_speaks_against_images_is_looked_at_first(hands, folders)
    files_and_checkpoint_dropped_together_are_ready_to_segment(hands, folders)
    another_patient_by_the_dialog_takes_the_place_of_the_first(hands, folders)
    where_the_session_will_lie_is_changed_before_it_begins(hands, folders, monkeypatch)
    who_was_read_is_listed_and_opened_again(hands, folders)
    what_is_no_patient_is_left_to_others_or_refused(hands, folders)
    what_speaks_against_the_images_is_said_below_them(hands, folders)


def from_an_empty_window_to_a_figure_on_the_first_day(hands, folders, monkeypatch):
    """As docs/reading.md counts it: at most 12, and two fewer once the checkpoint is known."""
    assert not hands.control("recent_patients").isEnabled()
    person = Counted(hands, so_far=2)  # Plugins, Lesion saliency
    weights, asked = next(folders.glob("*.pth")), []

    def choose(_, take, title):
        asked.append(title)
        take([person.checkpoint_dialog(weights)])

    with monkeypatch.context() as patched:
        patched.setattr(dialogs, "choose_checkpoint", choose)
        opened_by_the_dialog(hands, folders / "P23", "open_and_segment", person.click)
        hands.wait(lambda: hands.panel.state.reading is not None)
        hands.finish()
    assert asked == ["Choose the checkpoint that segments this patient"]
    reading, table = hands.panel.state.reading, hands.control("lesions")
    assert reading.reference == folders / "P23/consensus_lesions.nii.gz"
    assert "match" in reading.segmentation.lesions
    hands.control("samples").setValue(3)  # of 50, which are not what is looked at
    person.click(table.viewport(), table.visualRect(table.model().index(0, 0)).center())
    hands.wait(lambda: len(hands.panel.state.answers))
    hands.finish()
    person.key(Qt.Key.Key_Y, Qt.KeyboardModifier.ShiftModifier)
    assert list(reading.verdicts.values()) == ["agree"]
    session = hands.panel.features["session"]
    hands.wait(lambda: session.folder is not None and not session.busy)
    person.click(hands.control("figure"))
    dialog = hands.panel.features["figure"].dialog
    hands.wait(lambda: not dialog._pixmap.isNull())
    person.click(dialog.findChild(QPushButton, "figure_keep"))
    hands.wait(lambda: "Saved to" in dialog.text)
    (saved,) = (session.folder / "figures").iterdir()
    assert saved.name.startswith("sub-P23_")
    assert saved.name.endswith("_figure.png")
    assert str(saved) in dialog.text
    assert person.number == 11
    # Once more: beside it, and nothing is replaced.
    before = saved.read_bytes()
    person.click(dialog.findChild(QPushButton, "figure_keep"))
    hands.wait(lambda: (session.folder / "figures" / f"{saved.stem}-2.png").exists())
    assert saved.read_bytes() == before
    dialog.close()


def who_was_read_before_is_not_segmented_by_itself(hands, folders):
    before = hands.panel.features["session"].folder
    opened_by_the_dialog(hands, folders / "P23", "open_and_segment")
    notice = hands.control("session_notice")
    hands.wait(notice.isVisible)
    hands.finish()
    assert hands.panel.state.reading is None
    (anew,) = (one for one in notice.findChildren(QPushButton) if one.text() == "Start anew")
    hands.qtbot.mouseClick(anew, Qt.MouseButton.LeftButton)
    hands.wait(lambda: hands.panel.state.reading is not None)
    hands.finish()
    assert before.is_dir()


def what_speaks_against_images_is_looked_at_first(hands, folders):
    unsure = folders / "P31"
    unsure.mkdir()
    for name, source in (("FLAIR_1", "P19/FLAIR"), ("FLAIR_2", "P07/FLAIR"), ("T1", "P19/T1")):
        shutil.copy(folders / f"{source}.nii.gz", unsure / f"{name}.nii.gz")
    opened_by_the_dialog(hands, unsure, "open_and_segment")
    hands.wait(lambda: "Not segmented yet" in hands.control("status").text())
    assert hands.panel.state.reading is None
    assert hands.control("image_objections_text").isVisible()
    assert hands.control("segment").text() == "Segment anyway"
    hands.segment()
    assert "by its place alone" in " ".join(hands.panel.state.reading.segmentation.notes)
    shutil.rmtree(unsure)


def files_and_checkpoint_dropped_together_are_ready_to_segment(hands, folders):
    weights = next(folders.glob("*.pth"))
    assert dropped(
        hands, *sorted((folders / "P07").glob("[Fc]*")), folders / "P07/T1.nii.gz", weights
    )
    hands.finish()
    hands.wait(lambda: hands.panel.state.model is not None)
    hands.finish()
    assert images(hands) == ["T1", "FLAIR", "consensus_lesions"]
    assert not hands.viewer.layers["consensus_lesions"].visible
    assert chosen(hands) == ["FLAIR", "T1", "consensus_lesions"]
    assert hands.control("patient").text() == "P07"
    assert not hands.control("image_objections_text").isVisible()
    hands.segment()
    assert "match" in hands.panel.state.reading.segmentation.lesions
    assert hands.panel.state.reading.reference == folders / "P07/consensus_lesions.nii.gz"


def another_patient_by_the_dialog_takes_the_place_of_the_first(hands, folders):
    hands.panel.state.select(int(hands.panel.state.reading.segmentation.lesions.index[0]))
    # A map of the first is being computed: it makes way, and is given up with its reading.
    samples = hands.panel.features["explaining"].form.samples
    usual = samples.value()
    samples.setValue(5000)
    hands.panel.explaining.explain_selected()
    hands.wait(lambda: hands.panel.state.shown is not None)
    # A checkpoint that is opened does not wait for it either, and it goes on.
    weights, other = next(folders.glob("*.pth")), folders.parent / "other"
    other.mkdir()
    for one in (weights, weights.with_suffix(".profile.json")):
        shutil.copy(one, other)
    for path in (other / weights.name, weights):
        hands.panel.state.checkpoint_wanted.emit(str(path), "")
        hands.wait(lambda path=path: hands.panel.state.model.model.path == path)
    used = hands.panel.state.shown.saliency.n_used
    hands.wait(lambda: hands.panel.state.shown.saliency.n_used > used)
    samples.setValue(usual)
    far = hands.viewer.add_image(np.zeros((4, 4, 4)), name="mine", translate=(0, 0, 500))
    opened_by_the_dialog(hands, folders / "P19")
    ends, step = hands.viewer.layers["FLAIR"].extent.world, hands.viewer.dims.range[2].step
    assert abs(hands.viewer.dims.point[2] - ends[:, 2].mean()) <= step  # not between both
    hands.viewer.layers.remove(far)
    # No lesion of the first lies over the images of the second.
    assert hands.panel.state.reading is None
    assert not hands.panel.explaining.running
    assert images(hands) == ["T1", "FLAIR", "consensus_lesions"]
    assert hands.control("lesions").model().rowCount() == 0
    assert hands.control("segment").isVisible()
    hands.wait(lambda: "sub-P19" in hands.control("session_place").toolTip())
    assert "T2_1.nii.gz" in hands.control("status").text()
    assert chosen(hands) == ["FLAIR", "T1", "consensus_lesions"]
    own = [layer for layer in hands.viewer.layers if layer.name in ("FLAIR", "T1")]
    assert [Path(layer.metadata["napari_ies"]["path"]).parent.name for layer in own] == ["P19"] * 2
    assert hands.control("patient").text() == "P19"
    assert remembered().folders["patient"] == str(folders)


def where_the_session_will_lie_is_changed_before_it_begins(hands, folders, monkeypatch):
    mine = folders.parent / "mine"
    monkeypatch.setattr(dialogs, "choose_folder", lambda *_: str(mine))
    hands.press("change_session_place")
    line, session = hands.control("session_place"), hands.panel.features["session"]
    hands.wait(lambda: str(mine / "sub-P19") in line.toolTip())
    assert not mine.exists()
    hands.segment()
    hands.panel.state.set_note(int(hands.panel.state.reading.segmentation.lesions.index[0]), "x")
    hands.wait(lambda: session.folder is not None and not session.busy)
    assert session.folder == mine / "sub-P19"


def who_was_read_is_listed_and_opened_again(hands, folders):
    button = hands.control("recent_patients")
    menu, listed = button.menu(), []

    def click_the_second():
        # The menu is open, and nothing goes on before it is left.
        try:
            first, second, *_ = menu.actions()
            listed.extend((first.text(), second.text()))
            at = menu.actionGeometry(second).center()
            hands.qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=at)
        finally:
            menu.close()

    hands.unfold()
    QTimer.singleShot(200, click_the_second)
    hands.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    hands.wait(lambda: listed)
    assert listed[0].startswith("P19: 1 note, saved ")
    assert listed[1].startswith("P07 · ")
    hands.finish()
    assert hands.control("patient").text() == "P07"


def what_speaks_against_the_images_is_said_below_them(hands, folders):
    """And with the result, and kept with it."""
    text = hands.control("image_objections_text")
    hands.unfold()
    assert not text.isVisible()
    flair, t1 = (hands.control(f"image_{name}") for name in ("FLAIR", "T1"))
    at = flair.currentIndex(), t1.currentIndex()
    for box in (flair, t1):  # swapped, by the keyboard
        box.setFocus()
        hands.qtbot.keyClick(
            box, Qt.Key.Key_Up if box.currentIndex() == max(at) else Qt.Key.Key_Down
        )
    hands.settle()
    assert (t1.currentIndex(), flair.currentIndex()) == at
    assert text.isVisible()
    assert "T1.nii.gz is given as FLAIR, though its name says T1" in text.text()
    assert "FLAIR.nii.gz is given as T1, though its name says FLAIR" in text.text()
    hands.segment()
    assert "T1.nii.gz is given as FLAIR" in " ".join(hands.panel.state.reading.segmentation.notes)
    hands.unfold()
    # A copy of a map, and a second image of the name, in the places of images.
    hands.control("samples").setValue(3)
    hands.panel.explaining.explain(int(hands.panel.state.reading.segmentation.lesions.index[0]))
    hands.wait(lambda: len(hands.panel.state.answers))
    hands.finish()
    overlay = hands.overlays()[0]
    hands.viewer.layers.selection = {overlay}
    _duplicate_layer(hands.viewer.layers)
    hands.settle()
    (copy,) = (layer for layer in hands.viewer.layers if layer.name.endswith("copy"))
    flair.setCurrentText(copy.name)
    assert "is a result of napari-ies and no image of the patient" in text.text()


def what_is_no_patient_is_left_to_others_or_refused(hands, folders):
    before = images(hands)
    (folders / "notes").mkdir()
    (folders / "notes" / "a.txt").write_text("")
    assert not dropped(hands, folders / "notes")
    assert not dropped(hands, folders / "notes" / "a.txt")
    # Both patients at once.
    assert dropped(hands, folders)
    hands.finish()
    assert (
        "several patients or visits (sub-P07, sub-P19, sub-P23)" in hands.control("status").text()
    )
    assert images(hands) == before
