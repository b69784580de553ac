"""Batches change nothing, and running out of memory is survived."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cases import ball, random_case
from networks import small_model

from napari_ies.cohort.context import window_steps
from napari_ies.cohort.context.growth import Growth
from napari_ies.cohort.context.perilesional import ContextRequest, perilesional
from napari_ies.cohort.context.window_steps import Forwards, WindowSteps
from napari_ies.errors import SegmentationError

VOXELS = np.array([[0, 0, 0], [3, 2, 1]])


def forwards(size, device="cpu"):
    model = small_model(window=(8, 8, 8))
    made = Forwards(model)
    made.size = size
    if device != "cpu":
        made._device = SimpleNamespace(type=device)
    return model, made


def run(made, windows):
    found, notes = [], []
    for batch, picked, note in made.run(len(windows), lambda b, _: windows[b], VOXELS):
        assert picked.shape[0] == batch.stop - batch.start
        found.append(picked)
        notes += [note] if note else []
    return torch.cat(found), notes


def some_windows(count=7):
    return torch.from_numpy(np.random.default_rng(0).normal(size=(count, 2, 8, 8, 8))).float()


@pytest.mark.parametrize("size", [2, 3, 16])
def test_the_size_of_batches_changes_nothing(size):
    windows = some_windows()
    (alone, _), (together, _) = run(forwards(1)[1], windows), run(forwards(size)[1], windows)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def out_of_memory_above(model, most):
    """Let a network run out of memory on more windows than some at once."""

    def refuse(_module, inputs):
        if len(inputs[0]) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    model.network.register_forward_pre_hook(refuse)


def test_batches_are_halved_where_a_card_runs_out_of_memory():
    windows = some_windows()
    expected, _ = run(forwards(1)[1], windows)
    model, made = forwards(16, "cuda")
    out_of_memory_above(model, 2)
    found, notes = run(made, windows)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert (made.size, notes) == (2, [])


def test_where_one_window_is_too_much_the_cpu_goes_on_and_it_is_said(monkeypatch, caplog):
    windows = some_windows(3)
    expected, _ = run(forwards(1)[1], windows)
    model, made = forwards(4, "cuda")
    calls = []

    def refuse(_module, inputs):
        calls.append(len(inputs[0]))
        if len(calls) <= 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    model.network.register_forward_pre_hook(refuse)
    monkeypatch.setattr(window_steps, "device_label", lambda _: "CUDA: a card")
    monkeypatch.setattr(model.network, "to", lambda _: model.network)
    with caplog.at_level(logging.WARNING, "napari_ies"):
        found, notes = run(made, windows)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert notes == ["CUDA: a card ran out of memory; the rest is computed on the CPU."]


def test_a_cpu_without_memory_ends_in_a_sentence():
    model, case = small_model(window=(8, 8, 8)), random_case((12, 11, 13))
    out_of_memory_above(model, 0)
    lesion = ball(case.shape, (6, 5, 7), 1.5)
    with pytest.raises(SegmentationError, match="memory"):
        perilesional(model, case, lesion, ContextRequest((), Growth(2.0, 2.0)))


def test_logits_that_are_no_numbers_are_told():
    model, made = forwards(1)
    model.network.register_forward_hook(lambda _module, _inputs, output: output * float("nan"))
    with pytest.raises(SegmentationError, match="not finite"):
        run(made, some_windows(1))


def test_a_window_differs_only_at_steps_that_show_something_new():
    crop = torch.zeros(2, 3, 1, 1)
    crop[:, 2] = 5.0
    order = torch.tensor([[[0]], [[1]], [[3]]], dtype=torch.int16).reshape(3, 1, 1)
    window = WindowSteps(crop, order, torch.tensor([0.0, float("nan")]))
    # Step 1 shows a voxel that is background anyway; the second sequence stays whole.
    assert window.levels.tolist() == [0, 3]
    assert window.level_of(range(1, 5)).tolist() == [0, 0, 1, 1]
    made = window.make(np.array([0, 1]), torch.device("cpu"))
    assert made[:, 0, :, 0, 0].tolist() == [[0, 0, 0], [0, 0, 5]]
    assert made[:, 1, :, 0, 0].tolist() == [[0, 0, 5], [0, 0, 5]]
