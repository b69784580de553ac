"""Maps beyond the limit of memory: elsewhere, and still the same."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QObject, Signal

from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency
from napari_ies.viewer.explaining import map_memory
from napari_ies.viewer.explaining.map_memory import MapMemory, written
from napari_ies.viewer.state.reading import Answer


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
    panel.explaining.explain(1)
    segmented.finish()
    segmented.wait(lambda: not memory.busy)
    assert [is_mapped(one.saliency.cropped) for one in (first, second, panel.state.shown)] == [
        False,
        True,
        False,
    ]
    # No room at all: only what is on the screen stays.
    monkeypatch.setattr(map_memory, "HELD_BYTES", 0)
    panel.features["explaining"].form.samples.setValue(4)
    panel.explaining.explain(2)
    segmented.finish()
    segmented.wait(lambda: not memory.busy)
    assert memory.held_bytes == sum(array.nbytes for array in copies(panel.state.shown.saliency))
    assert [path.name for path in cache.iterdir()] == []
    for now, then in zip(copies(first.saliency), before, strict=True):
        np.testing.assert_array_equal(now, then)
        assert now.dtype == then.dtype
    np.testing.assert_array_equal(first.saliency.maps, maps)

    # It is shown again without being computed, and the session keeps every map.
    panel.features["explaining"].form.samples.setValue(3)
    panel.explaining.explain(1)
    assert panel.state.shown is first
    segmented.settle()
    flair = next(layer for layer in segmented.overlays() if "FLAIR" in layer.name)
    shown = panel.state.reading.frame.reorientation.apply(before[0][0])
    np.testing.assert_array_equal(flair.data, shown)
    segmented.wait(lambda: not panel.features["session"].busy)
    written = sorted(panel.features["session"].folder.rglob("*saliency*.nii.gz"))
    assert len(panel.state.answers) == 4
    assert len(written) >= 4


class Host(QObject):
    """As much of the panel as keeps maps."""

    answer_shown, answer_kept, reading_changed = Signal(object), Signal(object), Signal(object)

    def __init__(self):
        super().__init__()
        self.answers, self.shown = [], None

    def keep(self, answer):
        self.answers.append(answer)
        self.answer_kept.emit(answer)


def test_what_cannot_be_written_stays_in_memory(qtbot, cache, monkeypatch):
    cache.write_text("a file where the folder should be")
    monkeypatch.setattr(map_memory, "HELD_BYTES", 0)
    values = np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4)
    footprint = values[0] > 3
    saliency = Saliency(
        SaliencyRequest(), ("FLAIR", "T1"), (4, 4, 4), np.eye(4),
        (slice(0, 2), slice(0, 3), slice(0, 4)), values, None, footprint, 1,
    )  # fmt: skip
    host = Host()
    memory = MapMemory(host)
    host.keep(Answer(1, saliency.request, saliency, 1.0, "network", "key"))
    assert memory.busy
    qtbot.waitUntil(lambda: not memory.busy, timeout=20_000)
    assert saliency.cropped is values
    assert memory.held_bytes == values.nbytes + footprint.nbytes

    # Where there is room for a file, it is the same there.
    moved = written(saliency, cache.with_name("elsewhere"))
    assert sorted(moved) == ["cropped", "footprint"]
    np.testing.assert_array_equal(moved["cropped"], values)
    np.testing.assert_array_equal(moved["footprint"], footprint)
    assert is_mapped(moved["cropped"])
