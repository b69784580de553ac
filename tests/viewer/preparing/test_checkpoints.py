"""One field takes every checkpoint, file or folder; what would run code is asked about."""

from __future__ import annotations

import io
import json
import shutil
import struct

import pytest
import torch
from bundles import NETWORK, NORMALISED, config, trained_unet, write_bundle, zipped
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox, QPushButton


@pytest.mark.slow
def test_one_field_for_every_checkpoint(hands, tmp_path):
    folder = write_bundle(tmp_path / "networks" / "lesions")
    # One that scales its images in a way of its own, at voxels of its own.
    spaced = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 1.5]}
    transforms = (spaced, {**NORMALISED, "channel_wise": False})
    own = write_bundle(tmp_path / "own", config(transforms=transforms))
    archive = zipped(own, tmp_path / "lesions.zip")
    trusting = {**NETWORK, "out_channels": "$1 + 1"}
    code = write_bundle(tmp_path / "code", config(trusting))
    path, description = hands.control("checkpoint"), hands.control("checkpoint_description")

    def loaded(name):
        hands.finish()
        model = hands.panel.state.model
        return model is not None and model.model.path.name == name

    # A folder and an archive, dropped on the field.
    for dropped in (folder, archive):
        drop(path, dropped)
        assert loaded(dropped.name)
        assert path.text() == str(dropped)
        assert description.text().startswith("FLAIR + T1 → MS lesion · UNet · ")
        fields = [hands.control(name) for name in ("orientation", "spacing")]
        assert all(field.isEnabled() == (dropped is folder) for field in fields)
        own_grid = ["its own", "1.5 × 1.5 × 1.5"] if dropped is archive else ["as stored"] * 2
        assert [field.currentText() for field in fields] == own_grid

    # The folder by the dialog.
    hands.press("open_checkpoint")
    dialog = hands.panel.findChild(QFileDialog, "checkpoint_dialog")
    dialog.setDirectory(str(folder))
    click(hands, dialog.findChild(QPushButton, "open_folder"))
    assert loaded("lesions")

    # One that would run code is refused, then trusted.
    for agreed in (False, True):
        drop(path, code)
        hands.finish()
        question = hands.panel.findChild(QMessageBox, "ask to start")
        assert "it would run $1 + 1 (configs/inference.json, line " in question.text()
        assert "whatever else it holds may run as well" in question.text()
        word = "Trust and load" if agreed else "Not now"
        (button,) = (one for one in question.buttons() if one.text().replace("&", "") == word)
        click(hands, button)
        assert loaded("code") if agreed else loaded("lesions")
        assert path.text() == str(code if agreed else folder)
        refused = hands.control("status").text() == "code was not loaded: it is not trusted."
        assert refused is not agreed

    # An archive and the whole folder on the panel, as a patient's would be.
    for dropped in (archive, folder):
        drop(hands.panel, dropped)
        assert loaded(dropped.name)
    what_is_damaged_leaves_the_network(hands, tmp_path / "damaged", folder, archive)


def what_is_damaged_leaves_the_network(hands, place, bundle, archive):
    """Each is dropped on the panel, as whatever else a person has got."""
    place.mkdir()
    state, program, several = io.BytesIO(), io.BytesIO(), ["a.pth", "b.pth"]
    torch.save(trained_unet().state_dict(), state)
    torch.jit.save(torch.jit.script(trained_unet()), program)
    half = shutil.copytree(bundle, place / "no weights")
    (half / "models/model.pt").unlink()
    fold = place / "no plans" / "fold_0"
    fold.mkdir(parents=True)
    (fold / "checkpoint_final.pth").write_bytes(state.getvalue())
    files = {
        "cut.pth": state.getvalue()[:3000],
        "empty.pt": b"",
        "cut.ts": program.getvalue()[:3000],
        "empty.pt2": b"",
        "claims.safetensors": struct.pack("<Q", 20 * 10**9) + b"{}",
        "cut.zip": archive.read_bytes()[:1500],
        "both.json": json.dumps({"ensemble": several}).encode(),
        "FLAIR.nii.gz": b"no image",
    }
    for name, content in files.items():
        (place / name).write_bytes(content)
    model, status, sign = hands.panel.state.model, *map(hands.control, ("status", "status_sign"))
    for name in (*files, half.name, fold.parent.name):
        hands.panel.status.say("")
        drop(hands.panel, place / name)
        hands.finish()
        said = status.text()
        assert (said[-1:], said.count("\n"), sign.isVisibleTo(hands.panel)) == (".", 0, True), name
        assert (several[0] if name == "both.json" else name) in said
        assert hands.panel.state.model is model
        assert hands.control("checkpoint").text() == str(bundle)
        assert not [box for box in hands.panel.findChildren(QMessageBox) if box.isVisible()]


def drop(widget, path):
    """Drag a file or folder onto a widget and drop it there."""
    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile(str(path))])
    with_mouse = (
        *(Qt.DropAction.CopyAction, files),
        *(Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier),
    )
    enter = QDragEnterEvent(QPoint(5, 5), *with_mouse)
    enter.ignore()
    QApplication.sendEvent(widget, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(widget, QDropEvent(QPointF(5, 5), *with_mouse))


def click(hands, button):
    hands.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    hands.settle()
