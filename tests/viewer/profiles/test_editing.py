"""The panel asks what a checkpoint leaves open, and loads it anew with what was chosen."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from monai.networks.nets import UNet
from nnunet_folders import make_folder
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
)

from napari_ies.checkpoints import checkpoint_sha256, profile_path
from napari_ies.checkpoints.sidecar import path_in_folder
from napari_ies.viewer.preparing.checkpoint_form import CheckpointForm
from napari_ies.viewer.profiles.editing import ProfileEditing
from napari_ies.viewer.work import loading


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.pth"
    torch.save(UNet(3, 2, 3, (4, 8, 8), (2, 2), act="RELU").state_dict(), path)
    return path


@pytest.fixture
def editing(twin, checkpoint, qtbot, tmp_path):
    """The feature with a network of three outputs, strides and activation of which are open."""
    state = twin.state
    *_, loaded = loading.load_model(str(checkpoint), "cpu")
    state.take_model(loaded.result)
    others = dict.fromkeys(("viewer", "scene", "explaining", "link"))
    made = ProfileEditing(SimpleNamespace(state=state, work=twin.work, tell=twin.tell, **others))
    state.device, state.profiles = "cpu", tmp_path / "mine"
    return made


def find(editing, kind, name):
    return editing.dialog.findChild(kind, f"profile_{name}")


def pick(qtbot, box, text):
    """Choose an entry with the keyboard, as a person does."""
    for _ in range(box.count()):
        if box.currentText() == text:
            return
        qtbot.keyClick(box, Qt.Key.Key_Down)
    assert box.currentText() == text


def press(qtbot, editing, name):
    qtbot.mouseClick(editing.dialog.findChild(QPushButton, name), Qt.MouseButton.LeftButton)


def open_dialog(editing, qtbot):
    """Press the button of the checkpoint's form."""
    form = CheckpointForm()
    qtbot.addWidget(form)
    form.profile_wanted.connect(editing.state.profile_wanted.emit)
    button = form.findChild(QPushButton, "edit_profile")
    assert not button.isEnabled()
    form.set_model(editing.state.model.model, "CPU")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.addWidget(editing.dialog)
    return editing.dialog


def test_a_chosen_candidate_builds_the_network_anew_and_is_kept(
    editing, twin, checkpoint, qtbot, tmp_path
):
    before = twin.state.model.model
    dialog = open_dialog(editing, qtbot)
    assert dialog.isVisible()
    pick(qtbot, find(editing, QComboBox, "arguments.strides"), "2, 1")
    pick(qtbot, find(editing, QComboBox, "class"), "class 2")

    press(qtbot, editing, "profile_use")
    twin.work.wait()

    model = twin.state.model.model
    assert model.profile.arguments["strides"] == (2, 1)
    assert model.profile.explained_class == 2
    assert not any("strides" in text for text in model.profile.guessed)
    # What was left alone is still an assumption.
    assert any("softmax" in text for text in model.profile.guessed)
    image = torch.randn(1, 2, 8, 8, 8)
    assert not torch.equal(model.network(image), before.network(image))
    kept = json.loads(profile_path(checkpoint).read_text(encoding="utf-8"))
    assert kept == {
        "arguments": {"strides": [2, 1]},
        "explained_class": 2,
        "sha256": checkpoint_sha256(checkpoint),
    }
    assert not dialog.isVisible()
    assert find(editing, QCheckBox, "mine").isEnabled()

    # A second choice goes into the same file, beside the first.
    open_dialog(editing, qtbot)
    assert not find(editing, QCheckBox, "mine").isEnabled()
    pick(qtbot, find(editing, QComboBox, "activation"), "each on its own (sigmoid)")
    press(qtbot, editing, "profile_use")
    twin.work.wait()
    assert twin.state.model.model.profile.arguments["strides"] == (2, 1)
    assert twin.state.model.model.profile.activation == "sigmoid"


def test_it_can_be_kept_in_a_folder_of_ones_own(editing, twin, checkpoint, qtbot, tmp_path):
    open_dialog(editing, qtbot)
    edit = find(editing, QLineEdit, "sequences")
    edit.selectAll()
    qtbot.keyClicks(edit, "T2, PD")
    find(editing, QCheckBox, "mine").click()

    press(qtbot, editing, "profile_use")
    twin.work.wait()

    assert twin.state.model.model.profile.sequences == ("T2", "PD")
    sha256 = checkpoint_sha256(checkpoint)
    assert path_in_folder(tmp_path / "mine", "net", sha256).is_file()
    assert not profile_path(checkpoint).exists()


def test_what_is_not_possible_is_said_and_nothing_is_written(editing, twin, checkpoint, qtbot):
    before = twin.state.model
    dialog = open_dialog(editing, qtbot)
    press(qtbot, editing, "profile_use")
    assert "Nothing is changed" in dialog._words.text()
    edit = find(editing, QLineEdit, "window")
    edit.selectAll()
    qtbot.keyClicks(edit, "64 64")
    press(qtbot, editing, "profile_use")
    assert "window is [64, 64], expected one or three whole numbers" in dialog._words.text()
    edit.selectAll()
    qtbot.keyClicks(edit, "63 64 64")

    press(qtbot, editing, "profile_use")
    twin.work.wait()

    assert "cannot be loaded" in dialog._words.text()
    assert twin.state.model is before
    assert not profile_path(checkpoint).exists()


def test_all_of_it_can_be_said_to_be_right(editing, twin, checkpoint, qtbot):
    open_dialog(editing, qtbot)
    find(editing, QCheckBox, "all").click()

    press(qtbot, editing, "profile_use")
    twin.work.wait()

    left = twin.state.model.model.profile.guessed
    assert all("normalisation layers" in text or "resample" in text for text in left), left


@pytest.mark.slow
def test_what_is_chosen_of_an_nnunet_folder_is_ticked_and_what_is_its_own_is_said(
    editing, twin, qtbot, tmp_path
):
    pytest.importorskip("nnunetv2", reason="needs the extra nnunet")
    folder = make_folder(tmp_path / "results", folds=("0", "1"))
    *_, loaded = loading.load_model(str(folder), "cpu")
    twin.state.take_model(loaded.result)
    dialog = open_dialog(editing, qtbot)

    # The plans say 1.0, 1.1, 1.3 mm and 16, 20, 12 voxels in their order: y, z, x.
    said = {one: find(editing, QLabel, one).text() for one in ("spacing", "window", "orientation")}
    assert said["spacing"] == "1.3 × 1 × 1.1 mm along x, y, z; nnU-Net resamples to that"
    assert said["window"] == "12 × 16 × 20 voxels along x, y, z"
    assert said["orientation"] == "as stored"
    assert find(editing, QLabel, "normalisation").text() == "nnU-Net's ZScoreNormalization"
    for name in ("spacing", "orientation", "window", "overlap", "resample", "activation"):
        kinds = (QLineEdit, QCheckBox, QComboBox, QAbstractSpinBox)
        assert all(find(editing, kind, name) is None for kind in kinds), name

    def click(name):
        box = find(editing, QCheckBox, f"arguments.{name}")
        qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(6, box.height() // 2))

    boxes = [box for box in dialog.findChildren(QCheckBox) if "arguments" in box.objectName()]
    assert [box.text() for box in boxes] == ["0", "1", "x", "y", "z"]
    for name in ("folds.0", "folds.1"):
        click(name)
    press(qtbot, editing, "profile_use")
    assert dialog._words.text() == "No fold is ticked: tick at least one of them."
    for name in ("folds.1", "mirroring.y"):
        click(name)
    press(qtbot, editing, "profile_use")
    twin.work.wait()

    model = twin.state.model.model
    assert model.profile.arguments["folds"] == ["1"]
    assert model.profile.arguments["mirroring"] == ["x", "z"]
    # Of the network's axes y is the first one, z the second and x the third.
    assert model.network.mirrors == ((), (1,), (2,), (1, 2))
    kept = json.loads(profile_path(folder).read_text(encoding="utf-8"))
    assert kept["arguments"] == {"folds": ["1"], "mirroring": ["x", "z"]}
    assert kept.keys() == {"arguments", "sha256"}

    # What was chosen is shown when it is asked again, and can be taken back.
    open_dialog(editing, qtbot)
    for name in ("folds.0", "mirroring.y"):
        click(name)
    press(qtbot, editing, "profile_use")
    twin.work.wait()
    chosen = twin.state.model.model.profile.arguments
    assert (chosen["folds"], chosen["mirroring"]) == (["0", "1"], True)
