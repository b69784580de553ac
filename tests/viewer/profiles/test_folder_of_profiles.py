"""In a window: what a file leaves open is asked, and kept in the folder that is preferred."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from monai.networks.nets import UNet
from napari.settings import get_plugin_settings
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QPushButton, QWidget

from napari_ies.checkpoints import checkpoint_sha256
from napari_ies.checkpoints.sidecar import path_in_folder


@pytest.mark.slow
def test_it_is_asked_kept_by_hash_and_found_wherever_the_checkpoint_lies(hands, tmp_path):
    torch.manual_seed(0)
    network = UNet(3, 2, 3, (4, 8, 8), (2, 1), act="ELU", norm=None).eval()
    checkpoint, folder = tmp_path / "net.pth", tmp_path / "mine"
    torch.save(network.state_dict(), checkpoint)
    get_plugin_settings("napari-ies").computation.profiles = str(folder)
    qtbot, panel = hands.qtbot, hands.panel

    def load(path):
        edit = hands.control("checkpoint")
        edit.setFocus()
        edit.selectAll()
        qtbot.keyClicks(edit, str(path))
        qtbot.keyClick(edit, Qt.Key.Key_Return)
        hands.finish()

    def press(name):
        button = hands.control(name) if dialog is None else dialog.findChild(QPushButton, name)
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        hands.finish()

    def choose(name, text):
        box = dialog.findChild(QComboBox, f"profile_{name}")
        box.setFocus()
        if box.isEditable():
            box.lineEdit().selectAll()
            qtbot.keyClicks(box.lineEdit(), text)
        else:
            qtbot.keyClicks(box, text)
        assert box.currentText() == text

    dialog = None
    load(checkpoint)
    assert "→ class 1" in hands.control("checkpoint_description").toolTip()
    press("edit_profile")
    dialog = panel.features["profiles"].dialog
    assert dialog.isVisible()
    assert dialog.parent() is not None  # else it has none of napari's colours
    for name, text in {
        "arguments.strides": "[2, 1]",
        "arguments.norm": "null",
        "arguments.act": "ELU",
        "class": "class 2",
    }.items():
        choose(name, text)
    tick = dialog.findChild(QCheckBox, "profile_mine")
    qtbot.mouseClick(tick, Qt.MouseButton.LeftButton, pos=tick.rect().center() * 0.2)
    assert tick.isChecked()
    press("profile_use")

    file = path_in_folder(folder, "net", checkpoint_sha256(checkpoint))
    assert json.loads(file.read_text())["explained_class"] == 2
    moved = checkpoint.rename(tmp_path / "other name.pt")
    dialog = None
    load(moved)
    model = panel.state.model.model
    assert "→ class 2" in panel.findChild(QWidget, "checkpoint_description").toolTip()
    image = torch.randn(1, 2, 8, 8, 8)
    assert torch.equal(model.network(image), network(image))
    # Two files for one checkpoint are refused in a sentence, and the network stays.
    path_in_folder(folder, "again", checkpoint_sha256(moved)).write_text("{}")
    load(shutil.copy(moved, tmp_path / "copy.pt"))
    assert panel.state.model.model is model
    assert "There are 2 profiles of copy.pt" in hands.control("status").text()
