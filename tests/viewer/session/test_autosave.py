"""Autosave and reopening by themselves: what lies on disk, where there is no window."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
from without_a_window import Twin

from napari_ies.results.session import load_session
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.segmentation.subject import Lesion
from napari_ies.viewer.session.words import problems
from napari_ies.viewer.state.updated import carried_over


def explain_rim(twin, start):
    """Explain a region called rim, painted from a place on, and return its mask."""
    mask = np.zeros(twin.state.reading.case.shape, dtype=bool)
    mask[start : start + 3, 8:11, 10] = True
    twin.explain_region("rim", mask)
    return mask


def test_a_region_painted_anew_takes_the_place_of_the_one_before(twin):
    files = []
    for start in (10, 20):
        mask = explain_rim(twin, start)
        folder = twin.session.folder
        files.append(len([path for path in folder.iterdir() if "region-rim" in path.name]))
    assert files[0] == files[1] > 5
    session = load_session(folder)
    assert not [text for text in session.problems if "rim" in text]
    np.testing.assert_array_equal(session.regions["rim"], mask)
    (one,) = session.maps
    np.testing.assert_array_equal(one.load().maps, twin.answer("rim").saliency.maps)
    named = set(session.record.own_files) | {"session.json"}
    assert {path.name for path in folder.iterdir()} == named


def test_a_map_stays_saved_when_two_other_networks_were_loaded_since(twin):
    twin.explain(1)
    answer = twin.answer(1)
    # As if another network had explained it, which is not loaded any more.
    twin.state.answers._answers = {}
    kept = twin.state.answers.add(dataclasses.replace(answer, model_key="another"))
    twin.session.recording.known = [(kept.key, kept.revision)]
    twin.note(1, "x")
    assert twin.refused == []
    assert [one.subject for one in load_session(twin.session.folder).maps] == [1]


@pytest.mark.slow
def test_back_at_a_former_threshold_the_session_of_that_goes_on(twin, tmp_path):
    def update(threshold):
        own = twin.state.reading
        twin.state.update_reading(carried_over(own, threshold, own.segmentation.smallest))
        twin.session.begin(twin.state.reading)
        twin.work.wait()

    def files(folder):
        return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.nii*")}

    twin.explain(1)
    twin.note(1, "dark rim")
    first, before = twin.session.folder, files(twin.session.folder)
    update(0.3)
    # A map of a lesion that is another one here, and one of the voxels of a region.
    twin.explain(int(twin.state.reading.segmentation.lesions.index[0]))
    mask = explain_rim(twin, 10)
    other = twin.session.folder
    assert other != first
    assert other.parent == first.parent
    update(0.5)
    assert twin.session.folder == first
    twin.note(2, "pale")
    twin.session.automatic = True
    assert twin.refused == []
    assert sorted(first.parent.iterdir()) == sorted({first, other})
    # What was there is not written again, and what was found meanwhile is there, too.
    session = load_session(first)
    assert session.problems == ()
    assert before.items() <= files(first).items()
    assert {one.subject for one in session.record.notes} == {1, 2}
    assert {one.subject for one in session.maps} == {1, "rim"}
    np.testing.assert_array_equal(session.regions["rim"], mask)
    # The same settings computed anew take the place of the map before, at every threshold.
    answer = twin.answer(1)
    update(0.3)
    update(0.5)
    assert twin.answer(1).revision == answer.revision
    changed = answer.saliency.told(("Computed anew.",))
    twin.state.keep(dataclasses.replace(answer, saliency=changed, revision=0))
    twin.work.wait()
    (again,) = (one for one in load_session(first).maps if one.subject == 1)
    assert "Computed anew." in again.load().provenance["notes"]
    # Another name is another session, and so is another folder.
    twin.state.rename("02", "")
    twin.session.begin(twin.state.reading)
    twin.work.wait()
    assert twin.session.folder not in (first, other)
    twin.session.begin(twin.state.reading, tmp_path / "elsewhere")
    twin.work.wait()
    there = twin.session.folder
    assert there.parent == tmp_path / "elsewhere"
    update(0.3)
    assert twin.session.folder.parent == there.parent, "beside the one before"
    update(0.5)
    assert twin.session.folder == there


def test_a_session_removed_while_it_is_open_is_made_whole_again_and_said_to_be(twin):
    mask = explain_rim(twin, 10)
    twin.explain(1)
    twin.note(1, "dark rim")
    folder = twin.session.folder
    shutil.rmtree(folder.parent)
    assert not any("was removed" in line for line in twin.news)
    twin.note(2, "pale")
    assert any("was removed" in line for line in twin.news)
    assert twin.session.folder == folder
    session = load_session(folder)
    assert not session.problems
    assert session.notes == {1: "dark rim", 2: "pale"}
    np.testing.assert_array_equal(session.regions["rim"], mask)
    np.testing.assert_array_equal(
        session.segmentation.labels, twin.state.reading.segmentation.labels
    )
    for saved_map in session.maps:
        expected = twin.answer(saved_map.subject).saliency.maps
        np.testing.assert_array_equal(saved_map.load().maps, expected)
    assert sorted(str(one.subject) for one in session.maps) == ["1", "rim"]


def test_former_files_that_somebody_changed_are_named_when_the_session_is_reopened(twin):
    explain_rim(twin, 9)
    folder = twin.session.folder
    former = next(one for one in load_session(folder).record.maps if one.subject == "rim").files
    edited = folder / next(name for name in former if name.endswith("measures.tsv"))
    edited.write_text(edited.read_text() + "my annotation\n")
    explain_rim(twin, 12)
    assert set(former) <= {path.name for path in folder.iterdir()}
    opened = []
    twin.reopening.shown.connect(lambda reopened: opened.append(reopened.session))
    twin.reopening.open(folder)
    twin.work.wait()
    told = "\n".join(problems(opened[0], ""))
    assert f"{len(former)} files of former maps or regions" in told
    assert f"{edited.name} was changed by hand" in told


def test_a_session_goes_on_with_its_noise_whatever_was_asked_last(twin, own_sessions):
    twin.state.request = SaliencyRequest(n_samples=2, noise_version=1)
    twin.explain(1)
    twin.state.request = last = SaliencyRequest(method="gradcam++")
    twin.explain(1)
    again, asked = Twin(own_sessions), []
    again.state.request_restored.connect(asked.append)
    again.reopening.open(twin.session.folder)
    again.work.wait()
    assert again.tell.failures == []
    assert [one.noise_version for one in asked if one.is_smoothgrad] == [1]
    assert asked[-1] == last
    # The map that comes by itself takes no words away; one that a person waits for is named.
    assert again.state.shown is not None
    assert again.tell.text.startswith("Reopened the session of ")
    waiting = Twin(own_sessions)
    waiting.reopening.shown.connect(lambda _: waiting.tell.say(""))
    waiting.reopening.open(twin.session.folder)
    while waiting.state.reading is None:
        waiting.work.poll()
    waiting.explaining.reopen(Lesion(1))
    waiting.work.wait()
    assert waiting.tell.text.startswith("Showing Lesion 1 · ")
    assert waiting.tell.text.endswith(", from the session.")
