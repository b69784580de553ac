"""Explaining, asked and answered where there is no window: networks, regions and what fails."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bundles import trained_unet
from qtpy.QtCore import Qt

from napari_ies import explain
from napari_ies.network.model import SegmentationModel
from napari_ies.progress import finish
from napari_ies.saliency.gradcam import NO_LAYERS
from napari_ies.viewer.explaining.settings import SaliencySettings
from napari_ies.viewer.work import loading

from ..conftest import loaded


def test_a_runtime_error_of_the_network_arrives(twin, monkeypatch):
    from torch import nn

    def out_of_memory(*_, **__):
        raise RuntimeError("CUDA out of memory. Tried to allocate 3 GiB.")

    # Whichever engine runs, it runs convolutions.
    monkeypatch.setattr(nn.functional, "conv3d", out_of_memory)
    twin.explain(1)
    (sentence,) = twin.tell.failures
    assert "not enough memory" in sentence
    monkeypatch.undo()
    twin.explain(1)
    assert twin.answer(1).finished


def test_a_region_that_is_no_lesion_is_explained_like_one(twin):
    reading = twin.state.reading
    mask = np.zeros(reading.case.shape, dtype=bool)
    mask[22:24, 18:21, 9] = True
    twin.explain_region("Region 1", mask)
    expected = explain(reading.model, reading.case, mask, n_samples=3)
    kept = twin.answer("Region 1")
    np.testing.assert_allclose(kept.saliency.maps, expected.maps, rtol=1e-5, atol=1e-8)
    assert twin.state.selected == "Region 1"
    assert twin.state.shown is kept
    assert kept.title == "Region 1 · SmoothGrad mean"


def test_another_checkpoint_explains_the_same_lesions_and_is_named(twin):
    twin.explain(1)
    model = twin.state.reading.model
    other = SegmentationModel(deepcopy(model.network), model.profile, model.device)
    twin.state.take_model(loaded(other))
    twin.explain(1)
    first, second = twin.state.answers.of(1)
    assert not first.other_model
    assert second.other_model
    assert second.title == "Lesion 1 · SmoothGrad mean · small"
    np.testing.assert_array_equal(first.saliency.maps, second.saliency.maps)


def test_a_checkpoint_that_takes_the_sequences_in_another_order_explains_nothing(twin):
    model = twin.state.reading.model
    profile = replace(model.profile, sequences=("T1", "FLAIR"))
    twin.state.take_model(loaded(SegmentationModel(model.network, profile, model.device)))
    twin.explain(1)
    assert twin.state.answers.of(1) == []
    (sentence,) = twin.tell.failures
    assert "takes T1, FLAIR, but FLAIR, T1 were segmented" in sentence


@pytest.fixture
def settings(twin, qtbot):
    others = dict.fromkeys(("viewer", "scene", "link"))
    services = SimpleNamespace(
        state=twin.state, work=twin.work, tell=twin.tell, explaining=twin.explaining, **others
    )
    made = SaliencySettings(services)
    qtbot.addWidget(made.form)
    return made


def test_a_program_that_shows_no_layers_is_offered_no_gradcam(twin, settings, qtbot, tmp_path):
    path, box = tmp_path / "network.ts", settings.form.method
    torch.jit.script(trained_unet()).save(str(path))
    settings.form.set_method("gradcam++")

    program = finish(loading.load_model(str(path), "cpu", trust=True))
    twin.state.take_model(program)

    assert settings.form.request().method == "smoothgrad"
    assert twin.tell.warnings == [f"The method is SmoothGrad now. {NO_LAYERS}"]
    for _ in range(2):
        qtbot.keyClick(box, Qt.Key.Key_Down)
        assert box.currentText() == "SmoothGrad"
    assert "lets nobody look at its layers" in box.toolTip()
    assert "lets nobody look" in box.itemData(1, Qt.ItemDataRole.ToolTipRole)
    settings.form.set_method("gradcam++")  # as a preference would
    assert settings.form.request().method == "smoothgrad"

    twin.state.take_model(loaded(twin.state.reading.model))
    qtbot.keyClick(box, Qt.Key.Key_Down)
    assert box.currentText() == "Grad-CAM++"
    assert "nobody" not in box.toolTip()
    assert len(twin.tell.warnings) == 1
