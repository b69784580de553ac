"""A patient is opened in one step, by a dialog or a drop, and found again the next day."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from napari.layers._layer_actions import _duplicate_layer
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QPushButton, QTreeView

from napari_ies.viewer.remembered import remembered


@pytest.fixture
def folders(small, tmp_path):
    """Two patients beside each other, each with two images and an expert's mask; a checkpoint."""
    for number, name in enumerate(("P07", "P19")):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for sequence, path in small.images.items():
            shutil.copy(path, folder / f"{sequence}.nii.gz")
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


def opened_by_the_dialog(hands, folder):
    """Press the button, mark a folder in the dialog, press "Open folder"."""
    hands.press("open_patient")
    dialog = hands.panel.findChild(QFileDialog, "patient_dialog")
    dialog.setDirectory(str(folder.parent))
    tree = dialog.findChild(QTreeView, "treeView")

    def place():
        model, root = tree.model(), tree.rootIndex()
        rows = (model.index(row, 0, root) for row in range(model.rowCount(root)))
        return next((tree.visualRect(one) for one in rows if one.data() == folder.name), None)

    hands.wait(place)
    left = Qt.MouseButton.LeftButton
    hands.qtbot.mouseClick(tree.viewport(), left, pos=place().center())
    hands.qtbot.mouseClick(dialog.findChild(QPushButton, "open_folder"), Qt.MouseButton.LeftButton)
    hands.finish()


def chosen(hands):
    names = ("image_FLAIR", "image_T1", "reference")
    return [hands.control(name).currentText() for name in names]


def images(hands):
    return [layer.name for layer in hands.viewer.layers]


@pytest.mark.slow
def test_a_patient_in_one_step(hands, folders):
    files_and_checkpoint_dropped_together_are_ready_to_segment(hands, folders)
    another_patient_by_the_dialog_takes_the_place_of_the_first(hands, folders)
    who_was_read_is_listed_and_opened_again(hands, folders)
    what_is_no_patient_is_left_to_others_or_refused(hands, folders)
    what_speaks_against_the_images_is_said_below_them(hands, folders)


def files_and_checkpoint_dropped_together_are_ready_to_segment(hands, folders):
    assert not hands.control("recent_patients").isEnabled()
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
    opened_by_the_dialog(hands, folders / "P19")
    # No lesion of the first lies over the images of the second.
    assert hands.panel.state.reading is None
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
    hands.segment()


def who_was_read_is_listed_and_opened_again(hands, folders):
    menu = hands.control("recent_patients").menu()
    menu.aboutToShow.emit()
    first, second, *_ = menu.actions()
    assert [one.text().split(" ")[0] for one in (first, second)] == ["P19", "P07"]
    second.trigger()
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
    assert "several patients or visits (sub-P07, sub-P19)" in hands.control("status").text()
    assert images(hands) == before
