"""What a click touches, and what is made ready before it: counted, where there is no window."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import small_model
from torch.utils._python_dispatch import TorchDispatchMode

from napari_ies.geometry.box import Box
from napari_ies.patient.case import Case
from napari_ies.saliency import explain
from napari_ies.saliency.case_explanations import CaseExplanations
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.segmentation.lesions import lesion_boxes, lesion_table
from napari_ies.segmentation.segmentation import Segmentation
from napari_ies.segmentation.subject import Lesion
from napari_ies.viewer.state.reading import Reading
from napari_ies.viewer.work import tasks

SHAPE = (128, 120, 112)
MEAN, MAX = (SaliencyRequest(n_samples=2, aggregation=one) for one in ("mean", "max"))


def reading_of(place=lambda name, values: values):
    """Return a large head with three small lesions, its arrays put somewhere."""
    generator = np.random.default_rng(3)
    data = generator.uniform(1, 100, (2, *SHAPE)).astype(np.float32)
    data[:, :2] = 0
    labels = np.zeros(SHAPE, np.int32)
    for label, (x, y, z) in enumerate(((30, 40, 50), (80, 60, 20), (100, 90, 90)), start=1):
        labels[x : x + 4, y : y + 3, z : z + 5] = label
    labels[101, 91, 92] = 0
    case = Case(("FLAIR", "T1"), place("data", data), np.eye(4))
    case._normalised["zscore-nonzero"] = place("input", case.normalised("zscore-nonzero"))
    case.__dict__["inside"] = place("inside", case.inside)
    case.__dict__["midline"] = None  # not looked for: that takes longer than all the rest
    model = small_model(window=(32, 32, 32))
    probability = place("probability", np.zeros(SHAPE, np.float32))
    segmentation = Segmentation(
        probability=probability,
        labels=place("labels", labels),
        lesions=lesion_table(labels, probability, case),
        threshold=0.5,
        forward="sliding-window",
        device="CPU",
    )
    return Reading.of(model, case, segmentation)


def ask(reading, label, request=MEAN):
    """Return the finished map of a click, and how many reports came."""
    reports = list(tasks.explain_subject(reading, reading.model, Lesion(label), request))
    return reports[-1].result.saliency


class Largest(TorchDispatchMode):
    """The most values that an operation of PyTorch took in or gave, views of more aside."""

    def __init__(self):
        super().__init__()
        self.values, self.of = 0, ""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if not function.is_view:
            every = [*args, *(result if isinstance(result, list | tuple) else (result,))]
            for one in every:
                if isinstance(one, torch.Tensor) and one.numel() > self.values:
                    self.values, self.of = one.numel(), str(function)
        return result


class Pages:
    """Arrays in files of their own, of which Linux tells what was read since it was asked."""

    def __init__(self, folder):
        self._folder, self.arrays = folder, {}

    def place(self, name, values):
        held = np.memmap(self._folder / name, values.dtype, "w+", shape=values.shape)
        held[:] = values
        self.arrays[name] = held
        return held

    def forget(self):
        """Count from now on."""
        try:
            Path("/proc/self/clear_refs").write_text("1")
        except OSError:
            pytest.skip("the system does not tell what is read")

    def read(self):
        """Return the part of each array that was read."""
        starts = {a.__array_interface__["data"][0]: n for n, a in self.arrays.items()}
        found, name = {}, None
        for line in Path("/proc/self/smaps").read_text().splitlines():
            if area := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
                low, high = (int(one, 16) for one in area.groups())
                name = next((n for start, n in starts.items() if low <= start < high), None)
            elif name and line.startswith("Referenced:"):
                found[name] = int(line.split()[1]) * 1024 / self.arrays[name].nbytes
        return found


@pytest.mark.slow
@pytest.mark.parametrize("request_", [MEAN, MAX], ids=["mean", "max"])
def test_a_click_reads_its_own_box_alone(tmp_path, request_):
    pages = Pages(tmp_path)
    reading = reading_of(pages.place)
    list(tasks.prepare(reading, reading.model, request_))
    ask(reading, 1, request_)
    pages.forget()
    assert sum(pages.read().values()) == 0
    _ = (reading.segmentation.labels == 1).any()
    if pages.read()["labels"] < 1:
        pytest.skip("the system does not tell what is read")

    pages.forget()
    saliency = ask(reading, 2, request_)
    read = pages.read()

    assert saliency.mask.sum() == 4 * 3 * 5
    # A page holds 9 to 36 rows along the last axis: those of the box, and a part of others.
    assert read.pop("input") < 0.05
    assert read.pop("labels") < 0.01
    assert set(read) == {"data", "inside", "probability"}
    assert sum(read.values()) == 0


@pytest.mark.slow
def test_a_click_makes_nothing_as_large_as_the_grid(monkeypatch):
    reading, laid, plain = reading_of(), [], Box.lay
    list(tasks.prepare(reading, reading.model, MEAN))

    def lay(self, values, box):
        laid.append(box.size)
        return plain(self, values, box)

    monkeypatch.setattr(Box, "lay", lay)
    with Largest() as largest:
        saliency = ask(reading, 3)
    grid = reading.segmentation.labels.size
    assert saliency.cropped[0].size < grid / 50
    assert largest.values < grid / 8, largest.of
    assert max(laid) < grid / 50


@pytest.mark.slow
def test_what_maps_share_is_made_once_for_a_reading(monkeypatch):
    reading, made = reading_of(), []
    plain = CaseExplanations.__init__

    def counted(self, *args):
        made.append(args)
        plain(self, *args)

    monkeypatch.setattr(CaseExplanations, "__init__", counted)
    list(tasks.prepare(reading, reading.model, MEAN))
    assert len(made) == 1
    for request in (MEAN, MAX, SaliencyRequest(n_samples=1, seed=5, noise=0.1, tolerance=0.5)):
        ask(reading, 1, request)
        ask(reading, 2, request)
    list(tasks.expect(reading, reading.model, (1, 2), MEAN))
    assert len(made) == 1
    whole = SaliencyRequest(n_samples=1, forward="whole-volume")
    ask(reading, 1, whole)
    assert len(made) == 2


def test_a_lesions_windows_are_cut_once(monkeypatch):
    from napari_ies.saliency import problem

    reading, cut, plain = reading_of(), [], problem.pieces

    def counted(*args):
        cut.append(args)
        return plain(*args)

    monkeypatch.setattr(problem, "pieces", counted)
    ask(reading, 1)
    assert len(cut) == 1


@pytest.mark.slow
def test_nothing_shared_comes_from_another_request_network_or_image():
    """Each map is the one that is computed alone, in whatever order they are asked for."""
    reading = reading_of()
    other = small_model(seed=4, window=(32, 32, 32))
    asked = [
        (reading.model, SaliencyRequest(n_samples=1, seed=1)),
        (reading.model, SaliencyRequest(n_samples=2, aggregation="sum", noise=0.2)),
        (other, SaliencyRequest(n_samples=1, seed=1)),
        (reading.model, SaliencyRequest(n_samples=1, seed=1, class_index=0)),
        (reading.model, SaliencyRequest(method="gradcam++")),
        (reading.model, SaliencyRequest(n_samples=1, seed=1)),
    ]
    mask = reading.segmentation.labels == 2
    for model, request in asked:
        *_, last = tasks.explain_subject(reading, model, Lesion(2), request)
        found = last.result.saliency
        alone = explain(model, reading.case, mask, **vars(request))
        np.testing.assert_array_equal(found.maps, alone.maps)
        np.testing.assert_array_equal(found.mask, mask)
        assert found.request == alone.request
        same = {"peak_memory_gib": None}
        assert {**found.provenance, **same} == {**alone.provenance, **same}


def test_the_boxes_of_all_lesions_are_found_in_one_pass(monkeypatch):
    from scipy import ndimage

    labels, passes, plain = reading_of().segmentation.labels, [], ndimage.find_objects
    monkeypatch.setattr(ndimage, "find_objects", lambda *a: passes.append(a) or plain(*a))
    labels[labels == 2] = 7
    boxes = lesion_boxes(labels)
    assert len(passes) == 1
    assert list(boxes) == [1, 3, 7]
    for label, box in boxes.items():
        found = np.argwhere(labels == label)
        assert (box.start, box.stop) == (tuple(found.min(axis=0)), tuple(found.max(axis=0) + 1))


def test_regions_and_lesions_are_taken_from_their_boxes():
    reading = reading_of()
    from napari_ies.viewer.state.reading import KnownRegion

    mask = np.zeros(SHAPE, bool)
    mask[5:9, 60, 3:80:7] = True
    reading.regions["one"] = KnownRegion.of_mask("one", mask, (1.0, 1.0, 1.0))
    for subject in (1, 2, 3, "one"):
        np.testing.assert_array_equal(reading.footprint_of(subject), reading.mask_of(subject))
        shown, first = reading.displayed(subject)
        turned = reading.frame.reorientation.apply(reading.mask_of(subject))
        at = tuple(slice(a, a + n) for a, n in zip(first, shown.shape, strict=True))
        assert shown.sum() == turned.sum()
        np.testing.assert_array_equal(turned[at], shown)
