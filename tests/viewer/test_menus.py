"""napari's menus do what the panel's buttons do, or say why that cannot be now."""

from __future__ import annotations

import numpy as np
import pytest
from napari._app_model import get_app_model

from napari_ies.viewer.panel import dialogs


def choose(command):
    """Choose a command as in a menu or in the command palette."""
    get_app_model().commands.execute_command(f"napari-ies.{command}").result()


def titles(menu):
    return {item.command.title for item in get_app_model().menus.get_menu(menu)}


@pytest.fixture
def said(monkeypatch):
    """What is said so that a person does not miss it."""
    heard = []
    monkeypatch.setattr("napari_ies.viewer.panel.telling.show_error", heard.append)
    return heard


def each_is_where_a_person_looks_for_it():
    assert "Segment the lesions (Lesion saliency)" in titles("napari/layers/segment")
    assert titles("napari/layers/visualize") >= {
        "Explain the selected label of the selected layer (Lesion saliency)",
        "Lesion saliency (Lesion saliency)",
    }
    assert "Save lesions and maps… (Lesion saliency)" in titles("napari/file/io_utilities")


def test_without_a_panel_one_opens_and_says_what_is_missing(make_napari_viewer, said):
    viewer = make_napari_viewer(show=True)
    each_is_where_a_person_looks_for_it()
    choose("segment")
    (panel,) = viewer.window.dock_widgets.values()
    assert said == ["Choose a checkpoint first."] == [panel.services.tell.text]
    choose("explain_label")
    choose("save")
    assert said[1].startswith("Select a Labels layer")
    assert said[2] == "Segment the images first."
    assert list(viewer.window.dock_widgets.values()) == [panel]


def test_segmented_explained_and_saved_from_menus(segmented, said, tmp_path, monkeypatch):
    panel, layers = segmented.panel, segmented.viewer.layers
    before = panel.state.reading
    choose("segment")
    segmented.finish()
    assert panel.state.reading is not before

    lesions = segmented.lesions_layer()
    layers.selection.active, lesions.selected_label = lesions, 2
    choose("explain_label")
    segmented.finish()
    assert panel.state.shown.subject == 2
    lesions.selected_label = 99
    choose("explain_label")
    assert said == ["There is no lesion 99; select the label of one."]

    flair = segmented.layer("sub-01_FLAIR")
    data = np.zeros(flair.data.shape, dtype=np.uint8)
    data[4:7, 4:7, 4:7], data[8:10, 8:10, 8:10] = 1, 5
    painted = segmented.viewer.add_labels(data, name="painted", scale=flair.scale)
    painted.affine, painted.translate, painted.units = flair.affine, flair.translate, flair.units
    layers.selection.active, painted.selected_label = painted, 5
    segmented.settle()
    choose("explain_label")
    segmented.finish()
    shown = panel.state.shown
    assert int(np.asarray(shown.saliency.mask).sum()) == 8
    assert said[1:] == []

    monkeypatch.setattr(dialogs, "choose_folder", lambda *_: str(tmp_path / "out"))
    (tmp_path / "out").mkdir()
    choose("save")
    segmented.finish()
    for sequence in ("FLAIR", "T1"):
        assert list((tmp_path / "out").rglob(f"*_seq-{sequence}_lesion-002_*_saliency.nii.gz"))
