"""Maps beyond the limit of memory: elsewhere, and still the same."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency
from napari_ies.segmentation.subject import Lesion
from napari_ies.viewer.explaining import map_memory
from napari_ies.viewer.explaining.map_memory import MapMemory, moved
from napari_ies.viewer.state.answers import Answer
from napari_ies.viewer.state.state import State
from napari_ies.viewer.work.qt_clock import QtClock
from napari_ies.viewer.work.runner import Runner


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder of the tests in place of the user's cache."""
    monkeypatch.setattr(map_memory, "user_cache_dir", lambda *_, **__: str(tmp_path / "cache"))
    return tmp_path / "cache"


def copies(saliency):
    arrays = saliency.cropped, saliency.cropped_standard_error, saliency.footprint
    return [array.copy() for array in arrays]


def is_mapped(array):
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def test_a_map_that_made_room_comes_back_bit_by_bit(segmented, cache, monkeypatch):
    panel = segmented.panel
    memory = panel.features["explaining"].memory
    panel.explaining.explain(1)
    segmented.finish()
    first = panel.state.shown
    before, maps = copies(first.saliency), first.saliency.maps
    own = memory.held_bytes
    assert own == sum(values.nbytes for values in before)
    panel.explaining.explain(2)
    segmented.finish()
    assert not is_mapped(first.saliency.cropped)

    # Room for two maps: of three, the one that was not looked at for longest goes.
    panel.explaining.explain(1)
    segmented.finish()
    second = panel.state.answers.of(2)[-1]
    monkeypatch.setattr(map_memory, "HELD_BYTES", memory.held_bytes)
    panel.features["explaining"].form.samples.setValue(2)
    panel.explaining.explain_selected()
    segmented.finish()
    segmented.wait(lambda: not memory.busy)
    kept = [panel.state.answers.get(one.key) for one in (first, second, panel.state.shown)]
    assert [is_mapped(one.saliency.cropped) for one in kept] == [False, True, False]
    # No room at all: only what is on the screen stays.
    monkeypatch.setattr(map_memory, "HELD_BYTES", 0)
    panel.features["explaining"].form.samples.setValue(4)
    panel.explaining.explain(2)
    segmented.finish()
    segmented.wait(lambda: not memory.busy)
    assert memory.held_bytes == sum(array.nbytes for array in copies(panel.state.shown.saliency))
    assert [path.name for path in cache.iterdir()] == []
    kept = panel.state.answers.get(first.key)
    assert is_mapped(kept.saliency.cropped)
    for now, then in zip(copies(kept.saliency), before, strict=True):
        np.testing.assert_array_equal(now, then)
        assert now.dtype == then.dtype
    np.testing.assert_array_equal(kept.saliency.maps, maps)

    # It is shown again without being computed, and the session keeps every map.
    panel.features["explaining"].form.samples.setValue(3)
    panel.explaining.explain(1)
    assert panel.state.shown is kept
    segmented.settle()
    flair = next(layer for layer in segmented.overlays() if "FLAIR" in layer.name)
    shown = panel.state.reading.frame.reorientation.apply(before[0][0])
    np.testing.assert_array_equal(flair.data, shown)
    segmented.wait(lambda: not panel.features["session"].busy)
    written = sorted(panel.features["session"].folder.rglob("*saliency*.nii.gz"))
    assert len(panel.state.answers) == 4
    assert len(written) >= 4


def test_what_cannot_be_written_stays_in_memory(qtbot, cache, monkeypatch):
    cache.write_text("a file where the folder should be")
    monkeypatch.setattr(map_memory, "HELD_BYTES", 0)
    values = np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4)
    footprint = values[0] > 3
    saliency = Saliency(
        SaliencyRequest(), ("FLAIR", "T1"), (4, 4, 4), np.eye(4),
        (slice(0, 2), slice(0, 3), slice(0, 4)), values, None, footprint, 1,
    )  # fmt: skip
    state, runner = State(), Runner(QtClock)
    memory = MapMemory(state, runner.lane("test"))
    state.keep(Answer(Lesion(1), saliency.request, saliency, 1.0, "network", "key"))
    assert memory.busy
    qtbot.waitUntil(lambda: not memory.busy, timeout=20_000)
    assert saliency.cropped is values
    assert memory.held_bytes == values.nbytes + footprint.nbytes

    # Where there is room for a file, it is the same there.
    there = moved(saliency, cache.with_name("elsewhere"))
    assert there.cropped_standard_error is None
    np.testing.assert_array_equal(there.cropped, values)
    np.testing.assert_array_equal(there.footprint, footprint)
    assert is_mapped(there.cropped)
    assert is_mapped(there.footprint)
