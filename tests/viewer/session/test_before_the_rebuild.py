"""A session of the last commit before the rebuild opens in the window, seen as a person sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from before_the_rebuild import SESSION, lay_session, values, write_images
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_ies.geometry.orientation import Reorientation
from napari_ies.results.session import load_session

if TYPE_CHECKING:
    from pathlib import Path

NOTE = "dark rim on T1, σ of the noise to be tried"


@pytest.fixture
def folder(tmp_path, demo_patient) -> Path:
    return lay_session(tmp_path / "sub-demo", write_images(tmp_path, demo_patient))


def said(hands) -> str:
    """All that can be read in the panel."""
    labels = hands.panel.findChildren(QLabel)
    return "\n".join(label.text() for label in labels if label.isVisible())


def rows(hands, *titles: str) -> list[tuple[str, ...]]:
    """Return what some columns of the table of lesions say, row by row."""
    model = hands.control("lesions").model()
    across = {
        model.headerData(column, Qt.Orientation.Horizontal): column
        for column in range(model.columnCount())
    }
    return [
        tuple(model.index(row, across[title]).data() for title in titles)
        for row in range(model.rowCount())
    ]


def click_row(hands, number: int) -> None:
    table = hands.control("lesions")
    table.scrollTo(table.model().index(number, 0))
    middle = table.visualRect(table.model().index(number, 0)).center()
    hands.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=middle)
    hands.finish()


def as_shown(file: Path, affine: np.ndarray) -> np.ndarray:
    """Return the voxels of a file turned as the viewer turns them."""
    stored = values(file)
    return Reorientation.for_display(affine, stored.shape).apply(stored)


def assert_only_map(hands, title: str, files: dict[str, str], affine: np.ndarray) -> None:
    """What lies over the images is this map, voxel for voxel: files by their layers' names."""
    hands.wait(lambda: {layer.name for layer in hands.overlays()} == {title + end for end in files})
    for end, file in files.items():
        shown = as_shown(SESSION / f"sub-demo_{file}_saliency.nii.gz", affine)
        layer = hands.layer(title + end)
        # A layer holds the part of the volume that is not 0.
        apart = np.subtract(layer.translate, hands.viewer.layers["FLAIR"].translate)
        corner = np.round(apart / layer.scale).astype(int)
        part = tuple(slice(a, a + n) for a, n in zip(corner, layer.data.shape, strict=True))
        np.testing.assert_array_equal(layer.data, shown[part])
        assert np.count_nonzero(layer.data) == np.count_nonzero(shown)


def test_opened_in_the_window_everything_is_there(hands, folder):
    hands.viewer.open(str(folder), plugin="napari-ies")
    hands.wait(hands.overlays, 120)
    hands.finish()
    # Whichever comes first, the checkpoint or the map: neither takes these words away.
    hands.wait(lambda: hands.panel.state.model is not None)
    hands.finish()
    assert "Reopened the session of 2026-11-26 14:18: 4 lesions, 4 maps, 1 note." in said(hands)
    for trouble in ("missing", "has changed", "cannot"):
        assert trouble not in said(hands)
    assert rows(hands, "#", "mm³", "Place\n(mm)", "Maps", "Note") == [
        ("1", "746", "mid", "", ""),
        ("2", "81", "R 14", "mean", NOTE),
        ("3", "577", "R 11", "", ""),
        ("4", "54", "R 10", "max, Grad-CAM++", ""),
        ("beside it", "91", "R 9", "Grad-CAM++", ""),
    ]
    # The columns of peaks hold the maps of one kind at a time.
    for kind, title, held in (
        ("mean", "▾ Peak FLAIR\nmean", ["", "+0.307", "", "", ""]),
        ("max", "▾ Peak FLAIR\nmax", ["", "", "", "+1.57", ""]),
        ("Grad-CAM++", "▾ Peak\nGrad-CAM++", ["", "", "", None, "+0.209"]),
    ):
        menu = hands.control("lesions").kind_menu()
        next(one for one in menu.actions() if f" {kind} " in one.text()).trigger()
        menu.deleteLater()
        found = [value for (value,) in rows(hands, title)]
        assert [v if e is not None else None for v, e in zip(found, held, strict=True)] == held
        assert sum(bool(value) for value in found) == (2 if None in held else 1)
    affine = load_session(folder).affine
    for layer, file in (
        ("FLAIR", folder.parents[1] / "FLAIR.nii.gz"),
        ("T1", folder.parents[1] / "T1.nii.gz"),
        ("Lesions", SESSION / "sub-demo_desc-lesions_dseg.nii.gz"),
    ):
        (found,) = (one for one in hands.viewer.layers if one.name == layer)
        np.testing.assert_array_equal(found.data, as_shown(file, affine))

    # The map that was on show is on show; the others are, as soon as they are asked for.
    maximum = "lesion-004_method-smoothgrad_agg-max"
    expected = {f" · {name}": f"seq-{name}_{maximum}" for name in ("FLAIR", "T1")}
    assert_only_map(hands, "Lesion 4 · SmoothGrad max", expected, affine)
    hands.control("method").setCurrentText("Grad-CAM++")
    for row, title, name in ((3, "Lesion 4", "lesion-004"), (4, "Beside it", "region-besideit")):
        click_row(hands, row)
        assert_only_map(hands, f"{title} · Grad-CAM++", {"": f"{name}_method-gradcampp"}, affine)
    hands.control("method").setCurrentText("SmoothGrad")
    hands.control("aggregation").setCurrentText("mean")
    hands.control("samples").setValue(4)
    click_row(hands, 1)
    mean = "lesion-002_method-smoothgrad_agg-mean"
    expected = {f" · {name}": f"seq-{name}_{mean}" for name in ("FLAIR", "T1")}
    assert_only_map(hands, "Lesion 2 · SmoothGrad mean", expected, affine)
    # Nothing was computed for it: the session holds what it held.
    hands.wait(lambda: not hands.panel.features["session"].busy)
    assert len(load_session(folder).maps) == 4
