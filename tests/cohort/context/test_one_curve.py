"""One lesion's curve: its words, its plot, and its way to a file and back."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from cases import random_case
from networks import small_model

from napari_ies.cohort.context.alone import read_context, written
from napari_ies.cohort.context.growth import PAPER, Growth
from napari_ies.cohort.context.one_curve import (
    below_words,
    context_figure,
    detected_words,
    ends,
    step_words,
)
from napari_ies.cohort.context.perilesional import Context, ContextRequest
from napari_ies.errors import ResultsError
from napari_ies.regular_files import file_sha256
from napari_ies.results.dataset import write_result
from napari_ies.results.storage.tables import table_writer
from napari_ies.segmentation.subject import Lesion, Region

GROWTH = Growth(step_mm=2.0, farthest_mm=8.0)


def a_context(above, growth=GROWTH, known=None):
    """A curve of so many steps with so many voxels above the threshold of 0.4."""
    above = np.array(above)
    known = len(above) if known is None else known
    return Context(
        request=ContextRequest((), growth, threshold=0.4),
        distance_mm=growth.distances((1.0, 1.0, 1.0))[:known],
        kept_voxels=np.arange(7, 7 + known),
        mean_probability=np.linspace(0.1, 0.9, len(above))[:known],
        voxels_above=above[:known],
        voxels=7,
        whole_probability=0.875,
        whole_above=6,
        notes=("Said of it.",),
    )


@pytest.mark.parametrize(
    ("above", "known", "said", "below"),
    [
        ([1, 2, 3, 4, 5], 5, "detected at every step, alone too", ""),
        ([0, 0, 0, 0, 0], 5, "detected at no step", ""),
        ([0, 0, 3, 4, 5], 5, "detected from 4 mm on", "not detected"),
        ([0, 2, 0, 0, 5], 5, "detected from 8 mm on", "now and then"),
        ([1, 2, 3, 4, 0], 5, "not detected with 8 mm", ""),
        ([0, 2, 3, 4, 5], 2, "computing: 2 of 5 steps", ""),
        ([0, 2, 3, 4, 5], 0, "computing: 0 of 5 steps", ""),
    ],
)
def test_where_it_is_no_longer_detected_is_said_in_words_and_drawn(above, known, said, below):
    context = a_context(above, known=known)
    assert (detected_words(context), below_words(context)) == (said, below)
    axes = context_figure(context).axes[0]
    on_it = [text.get_text() for text in axes.texts] + [axes.get_title(loc="left")]
    assert any(said in text for text in on_it)
    assert not below or any(below in text for text in on_it)
    marks = {line.get_label(): line for line in axes.lines}
    distances = np.arange(known) * 2.0
    for label, form, here in (
        ("detected", "o", np.array(above[:known]) > 0),
        ("not detected", "x", np.array(above[:known]) == 0),
    ):
        assert marks[label].get_marker() == form
        np.testing.assert_array_equal(marks[label].get_xdata(), distances[here])
    assert set(marks["images as they are: 0.88"].get_ydata()) == {0.875}
    upright = [line for line in axes.lines if line.get_linestyle() == ":"]
    needed = [float(word) for word in said.split() if word.isdecimal()] if below else []
    assert [line.get_xdata()[0] for line in upright] == needed


def test_a_value_is_read_out_with_all_that_it_is_of():
    context = a_context([0, 2, 3, 4, 5])
    assert step_words(context, 1) == (
        "2 mm kept: mean probability 0.300, detected (2 of 7 voxels above 0.4)."
    )
    assert step_words(context, 0).startswith("The lesion alone: mean probability 0.100, not det")
    assert step_words(context, -1).startswith("The images as they are: mean probability 0.875, ")


def test_the_axis_reaches_as_far_as_the_last_step_while_it_is_computed():
    none = Growth(3.0, 2.0)
    for growth, known, reach in (
        *((GROWTH, 1, 8.0), (PAPER, 2, 34.0), (Growth(3.0, 8.0), 0, 6.0), (none, 1, 3.0)),
    ):
        low, high = ends(a_context(np.ones(growth.steps + 1, int), growth, known))
        assert low < 0
        assert reach < high < 1.03 * reach


@pytest.fixture
def kept(tmp_path):
    """A curve in files of its own, and its table."""
    model, case, context = small_model(), random_case((6, 5, 7)), a_context([0, 2, 3, 4, 5])
    request = dataclasses.replace(context.request, sequences=("T1",))
    context = dataclasses.replace(context, request=request)
    own = written(context, Lesion(3), "FP", model, case)
    name = "sub-1_lesion-003_context.tsv"
    (path,) = write_result(
        *(tmp_path, case, {name: table_writer(own.table)}, {name: own.content}),
        overwrite=False,
        flat=True,
    )
    return context, own, path


def test_a_curve_comes_back_from_its_files_as_it_was(kept, tmp_path):
    context, own, path = kept
    back = read_context(path)
    assert back.request == context.request
    assert back.finished
    for name in ("distance_mm", "kept_voxels", "mean_probability", "voxels_above"):
        np.testing.assert_array_equal(getattr(back, name), getattr(context, name))
    for name in ("voxels", "whole_probability", "whole_above"):
        assert getattr(back, name) == getattr(context, name)
    assert "Said of it." in back.notes
    assert set(own.table["match"]) == {"FP"}
    content = json.loads(path.with_suffix(".json").read_text())
    assert content["Background"] == ["T1"]
    assert content["Checkpoint"]["Architecture"] == "UNet"
    assert [image["Sequence"] for image in content["Images"]] == ["FLAIR", "T1"]
    model, case = small_model(), random_case((6, 5, 7))
    nameless = dataclasses.replace(model, path=tmp_path / "___.pth")
    assert written(context, Lesion(3), None, nameless, case).content["Network"] == "unnamed"
    region = written(context, Region("rim"), None, model, case)
    assert list(region.table.index) == ["region rim"] * 5


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("mean_probability", "1.5"),
        ("mean_probability", "n/a"),
        ("voxels_above", "-1"),
        ("voxels_above", "0.5"),
        ("step", "7"),
        ("distance_mm", "inf"),
        ("voxels", "many"),
        ("Growth", {"step_mm": 2.0, "farthest_mm": 6.0, "dilations": 0}),
        ("Growth", {"step": 2.0}),
        ("Growth", None),
        ("Threshold", 2.0),
        ("Forward", "backward"),
        ("Background", [1]),
        ("Background", None),
    ],
)
def test_what_is_no_curve_is_refused_in_a_sentence(kept, column, value):
    path = kept[2]
    sidecar = path.with_suffix(".json")
    content = json.loads(sidecar.read_text())
    if column[0].isupper():
        content[column] = value
    else:
        head, *rows = path.read_text().splitlines()
        cells = rows[2].split("\t")
        cells[head.split("\t").index(column)] = value
        path.write_text("\n".join([head, *rows[:2], "\t".join(cells), *rows[3:], ""]))
        content["SHA256"][path.name] = file_sha256(path)
    sidecar.write_text(json.dumps(content))
    with pytest.raises(ResultsError, match="does not hold one context; compute it again"):
        read_context(path)
    path.write_text("changed")
    with pytest.raises(ResultsError, match="changed, replaced or cut short"):
        read_context(path)
