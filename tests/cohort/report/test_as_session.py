"""A case of a folder of results opens with all that was computed of it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import one_line, run
from networks import small_model
from saved_cohort import MATCH, image_files, write_cohort

from napari_ies.cohort.statistics.rows import lesion_rows
from napari_ies.results.session import load_session
from napari_ies.saliency.request import SaliencyRequest

# Maps name their class, asked for or not: here the network's own, and another.
REQUESTS = (
    SaliencyRequest(n_samples=3, aggregation="max", class_index=1),
    SaliencyRequest(method="gradcam++", layer="model.0", class_index=0),
)


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Write results of two patients once; not to be changed."""
    root = tmp_path_factory.mktemp("as_session")
    folder, data = root / "results", root / "images"
    data.mkdir()
    model = dataclasses.replace(small_model(), path=Path("unet.pth"), sha256="0123456789abcdef" * 4)
    maps = write_cohort(folder, model, 2, REQUESTS, with_files=image_files(data))
    return folder, data, maps


@pytest.fixture
def cohort(written, tmp_path):
    folder, data, maps = written
    return shutil.copytree(folder, tmp_path / "results"), data, maps


def opened(folder, data, *options):
    done = run("open", folder, "--case=sub-P1", f"--images={data}", "--no-window", *options)
    assert done.exit_code == 0, done.output
    return load_session(Path(done.stdout.strip()))


def test_the_session_holds_the_lesions_the_images_and_every_map(cohort):
    folder, data, maps = cohort
    session = opened(folder, data, "--lesion=2")
    assert session.record.selected == 2
    assert session.record.request.aggregation == "max"
    assert session.segmentation.lesions["match"].to_dict() == MATCH
    # Nobody said where the checkpoint is.
    assert [said.partition(" is missing")[0] for said in session.problems] == ["unet.pth"]
    assert [image.path for image in session.images] == [
        data / "P1" / f"{name}.nii.gz" for name in ("FLAIR", "T1")
    ]
    assert len(session.maps) == len(MATCH) * len(REQUESTS)
    for saved in session.maps:
        own = maps["P1", int(saved.subject), saved.request.method, saved.request.aggregation]
        np.testing.assert_array_equal(saved.load().maps, own.maps)
    # As the viewer asks for them, which has no choice of the class: else a click computes anew.
    assert {saved.request for saved in session.maps} == {
        dataclasses.replace(REQUESTS[0], class_index=None),
        REQUESTS[1],
    }
    assert session.record.request == dataclasses.replace(REQUESTS[0], class_index=None)


def test_its_copies_of_the_maps_do_not_count_in_the_cohort(cohort):
    folder, data, _ = cohort
    before = lesion_rows(folder)
    opened(folder, data)
    pd.testing.assert_frame_equal(lesion_rows(folder), before)


def test_opened_again_it_is_the_same_session_at_another_lesion(cohort):
    folder, data, _ = cohort
    first = opened(folder, data, "--lesion=2")
    again = opened(folder, data, "--lesion=3")
    assert again.folder == first.folder
    assert again.record.selected == 3
    assert len(again.maps) == len(first.maps)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--case=sub-P9",), "There is no case sub-P9 with lesions in"),
        (("--case=nobody",), "There is no case nobody"),
        (("--case=sub-P1", "--lesion=7"), "sub-P1 has no lesion 7; it has the lesions 1, 2, 3"),
        (("--case=sub-P1",), "say in which folder they lie now"),
    ],
)
def test_what_cannot_be_opened_is_told(cohort, options, said):
    folder, _, _ = cohort
    assert said in one_line(run("open", folder, "--no-window", *options))
    assert not (folder / "sessions").exists()


def test_a_window_shows_the_case_at_its_lesion(cohort, make_napari_viewer, qtbot):
    from napari_ies.viewer.opening import show_session

    folder, data, _ = cohort
    session = opened(folder, data, "--lesion=2")
    viewer = make_napari_viewer()
    panel = show_session(viewer, session.folder)
    qtbot.waitUntil(lambda: panel.state.selected == 2, timeout=60_000)
    qtbot.waitUntil(lambda: len(panel.state.answers.of(2)) == len(REQUESTS), timeout=60_000)
    assert {"FLAIR", "T1"} <= {layer.name for layer in viewer.layers}
