from __future__ import annotations

import time
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_ies.colour_maps import SEQUENTIAL_MAPS, SIGNED_MAPS, overlay_colours
from napari_ies.figures.files import figure_bytes
from napari_ies.figures.scales import scales_of
from napari_ies.figures.slices import Slicing
from napari_ies.viewer.canvas import colours
from napari_ies.viewer.figure import figure_making
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.work import tasks


def part_of(panel):
    return panel.features["figure"]


def pixels(image):
    rgba = image.convertToFormat(image.Format.Format_RGBA8888)
    data = np.frombuffer(rgba.constBits().asarray(rgba.sizeInBytes()), np.uint8)
    return data.reshape(rgba.height(), rgba.width(), 4).astype(int)


@pytest.mark.parametrize("threshold", [10, 45])
@pytest.mark.parametrize("name", [*SIGNED_MAPS.values(), *SEQUENTIAL_MAPS.values()])
def test_figures_have_the_colours_of_the_viewer(name, threshold):
    signed = name in SIGNED_MAPS.values()
    shown = (colours.diverging if signed else colours.sequential)(name, threshold)
    drawn = overlay_colours(mpl.colormaps[name], signed=signed, threshold=threshold / 100)
    # Both libraries hold 256 colours of each map; one takes the nearest, the other interpolates.
    np.testing.assert_allclose(np.asarray(shown.colors), drawn, atol=0.02)


def the_limits_on_screen_are_those_of_the_figure(hands, part):
    """Unless the dialog says others: each sequence's own where View says so."""
    limits = hands.panel.features["colouring"].view.limits
    for key, said in ((Qt.Key.Key_Down, "own"), (Qt.Key.Key_Up, "auto")):
        hands.qtbot.keyClick(limits, key)
        assert (limits.currentText() == "each sequence's own") is (said == "own")
        assert (part.settings().limits, part.settings().limit) == (said, None)


def unhurried(explain):
    """Explain with rests, in which the figures of a map that goes on are drawn."""

    def resting(*arguments, **more):
        for report in explain(*arguments, **more):
            yield report
            time.sleep(0.1)

    return resting


def test_a_figure_is_previewed_saved_and_copied(segmented, patient, tmp_path, monkeypatch):
    panel, part = segmented.panel, part_of(segmented.panel)
    assert not part.button.isEnabled()
    assert "Explain a lesion first" in part.button.toolTip()
    panel.explaining.explain(1)
    segmented.finish()

    def press(name):
        widget = part.dialog.findChild(QWidget, name)
        segmented.qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)

    def drawn():
        segmented.wait(lambda: not part.lane.busy)
        segmented.settle()
        return pixels(part.dialog.findChild(QWidget, "figure_preview").pixmap().toImage())

    segmented.qtbot.mouseClick(part.button, Qt.MouseButton.LeftButton)
    first = drawn()
    dashed = part.dialog.findChild(QWidget, "figure_outline-reference")
    assert not dashed.isEnabled()
    assert "There is no reference" in dashed.toolTip()
    with monkeypatch.context() as patched:
        patched.setattr(panel.state.reading, "reference", patient.reference)
        segmented.qtbot.mouseClick(part.button, Qt.MouseButton.LeftButton)
        assert dashed.isEnabled()
    segmented.qtbot.mouseClick(part.button, Qt.MouseButton.LeftButton)
    assert not dashed.isEnabled()
    assert (first[0] == 255).all()
    assert np.ptp(first[..., :3], axis=-1).max() > 60  # the overlay's colours
    for name, key in (("figure_theme", Qt.Key.Key_Down), ("figure_width", Qt.Key.Key_Up)):
        segmented.qtbot.keyClick(part.dialog.findChild(QWidget, name), key)
    press("figure_T1")
    dark = drawn()
    assert (dark[0, :, :3] == 0).all()
    assert dark.shape[1] < first.shape[1]
    settings = part.settings()
    assert (settings.theme, settings.width, settings.sequences) == ("dark", 88, ("FLAIR",))
    assert (settings.limits, settings.limit) == ("auto", None)
    assert settings.signed_map == "RdBu_r"
    the_limits_on_screen_are_those_of_the_figure(segmented, part)
    press("figure_FLAIR")
    assert part.settings().sequences == ("FLAIR",), "one sequence stays chosen"

    # What is otherwise than on screen is said; by hand the colours on screen are made to end there.
    apart = part.dialog.findChild(QWidget, "figure_apart")
    (scale,) = scales_of(part.content(), settings, Slicing(part.content(), settings))
    layer = segmented.layer("Lesion 1 · SmoothGrad mean · FLAIR")
    for factor, said in ((1, False), (2, True)):
        layer.contrast_limits = (-factor * scale.limit, factor * scale.limit)
        part.dialog.changed.emit()
        drawn()
        assert ("FLAIR: ±" in apart.text()) == said
    segmented.panel.services.scene.overlays.follow_look()
    # A map that is being computed has the limits on screen, which grow by steps.
    shown = panel.state.shown
    ranges = tuple(replace(one, limit=1.25 * one.limit) for one in shown.ranges)
    part_way = replace(shown.saliency, n_used=1)
    running = replace(shown, finished=False, limit=1.25 * shown.limit, ranges=ranges)
    running = replace(running, saliency=part_way)
    said, places = part.dialog.findChild(QWidget, "figure_unfinished"), apart.geometry()
    assert not said.isVisible()
    panel.state.show(running)
    # In amber, before anything is saved; and nothing moves.
    assert said.isVisible()
    assert "stopped (1 of 3 samples)" in said.text()
    picture = pixels(said.grab().toImage())
    assert (picture[picture.shape[0] // 2, 1, :3] == (217, 164, 65)).all()
    assert apart.geometry() == places
    content = part.content()
    assert content.limit_of() == running.limit == 1.25 * shown.limit
    assert [content.limit_of(name) for name in ("FLAIR", "T1")] == [one.limit for one in ranges]
    for limits, ends in (("shared", running.limit), ("own", ranges[0].limit)):
        asked = replace(settings, limits=limits)
        assert scales_of(content, asked, Slicing(content, asked))[0].limit == ends
    panel.state.show(shown)
    assert not said.isVisible()
    # Thinner than set on so narrow a page, which is said as long as there are any.
    drawn()
    assert "Outlines are 0.6 pt wide" in apart.text()
    press("figure_outline")
    drawn()
    assert "wide" not in apart.text()
    press("figure_outline")

    # About the point where the slices cross, with colours of each sequence's own limit.
    flair = segmented.layer("sub-01_FLAIR")
    segmented.go(segmented.world_of(patient.volumes["FLAIR"], flair, patient.background))
    about_lesion = drawn()
    assert part.settings().at is None
    segmented.qtbot.keyClick(part.dialog.findChild(QWidget, "figure_limits"), Qt.Key.Key_Down)
    assert part.settings().limit == panel.state.shown.limit
    for name in ("figure_centre", "figure_limits"):
        segmented.qtbot.keyClick(part.dialog.findChild(QWidget, name), Qt.Key.Key_Down)
    assert np.abs(drawn() - about_lesion).max() > 50
    np.testing.assert_allclose(
        part.settings().at, (patient.affine @ [*patient.background, 1])[:3], atol=1e-4
    )
    assert (part.settings().limits, part.settings().limit) == ("own", None)
    segmented.go((1e4, 0, 0))
    assert part.settings().at is not None, "beyond the images it is the nearest of their voxels"
    for name in ("figure_centre", "figure_limits"):
        segmented.qtbot.keyClick(part.dialog.findChild(QWidget, name), Qt.Key.Key_Up)
    dark = drawn()
    settings = part.settings()
    assert settings.at is None

    path, asked = tmp_path / "figure", []
    monkeypatch.setattr(dialogs, "choose_new_file", lambda *_: str(path))
    monkeypatch.setattr(dialogs, "may_replace_file", lambda _, file: asked.append(file) or False)
    press("figure_save")
    segmented.wait(lambda: "Saved" in part.dialog.text)
    saved = path.with_suffix(".png")
    expected = figure_bytes(part.content(), settings, "png")
    assert saved.read_bytes() == expected
    press("figure_save")
    segmented.settle()
    assert asked == [str(saved)]

    press("figure_copy")
    segmented.wait(lambda: "clipboard" in part.dialog.text)
    with Image.open(saved) as image:
        copied = pixels(QApplication.clipboard().image())
        np.testing.assert_array_equal(copied, np.asarray(image.convert("RGBA")))

    path = tmp_path / "canvas.png"
    press("figure_screenshot")
    segmented.wait(path.exists)
    with Image.open(path) as image:
        shot = np.asarray(image.convert("L"))
    view = segmented.viewer.window._qt_viewer
    canvas, strip = view.canvas.native, view.findChild(QWidget, "colour_strip")
    assert len(shot) >= canvas.height() + strip.height()
    top, middle, below = np.split(shot, [canvas.y() + 50, canvas.y() + canvas.height()])
    assert middle.std() > 5
    # The caption in its corner, and the numbers of the bar.
    assert top[:, : canvas.width() // 2].max() == 255
    assert below.std() > 5

    beside, picture = [], part.dialog.findChild(QWidget, "figure_preview")
    panel.state.answer_shown.connect(
        lambda _: beside.append((picture.text(), picture.pixmap().isNull(), part.dialog.text))
    )
    part._next_preview = float("inf")  # as after a preview that took long
    panel.explaining.explain(2)
    segmented.finish()
    # Nothing of the other lesion's figure stays beside this one until it is drawn.
    assert beside[0] == ("Drawing Lesion 2 · SmoothGrad mean…", True, "")
    assert "lesion 2" in part.content().method_line
    assert np.abs(drawn() - dark).max() > 50
    segmented.segment()
    assert not part.dialog.isVisible()
    assert not part.button.isEnabled()

    # Of a map that is being computed the preview follows now and then, and what is on screen is
    # saved at once, though no session has begun yet.
    monkeypatch.setattr(figure_making, "PREVIEW_EVERY", 0.1)
    monkeypatch.setattr(figure_making, "PREVIEW_SHARE", 0.0)
    monkeypatch.setattr(tasks, "explain_subject", unhurried(tasks.explain_subject))
    assert panel.features["session"].folder is None
    segmented.control("samples").setValue(9999)
    panel.explaining.explain(1)
    segmented.wait(lambda: part.button.isEnabled() and panel.state.shown.saliency.n_used)
    segmented.qtbot.mouseClick(part.button, Qt.MouseButton.LeftButton)
    previews = []
    preview = part.dialog.set_preview
    monkeypatch.setattr(
        part.dialog, "set_preview", lambda *of: previews.append(of[0].tobytes()) or preview(*of)
    )
    segmented.wait(lambda: len(set(previews)) > 2)
    at_the_press = [part.content()]
    press("figure_keep")
    at_the_press.append(part.content())
    settings = part.settings()
    segmented.wait(lambda: "Saved to" in part.dialog.text)
    assert panel.explaining.running
    (saved,) = (panel.features["session"].folder / "figures").iterdir()
    panel.explaining.stop()
    segmented.finish()
    kept = saved.read_bytes()
    assert any(kept == figure_bytes(one, settings, "png") for one in at_the_press[::-1])
    assert drawn().any()
    assert part._previewed is panel.state.shown, "a map that was stopped is drawn as it is"
    # Where a person wants no session, that is said, and what to do.
    panel.features["session"].controls.automatic.setChecked(False)
    segmented.segment()
    panel.explaining.explain(1)
    segmented.wait(lambda: part.button.isEnabled())
    segmented.qtbot.mouseClick(part.button, Qt.MouseButton.LeftButton)
    press("figure_keep")
    assert "switched off" in part.dialog.text
    assert "“Save…” asks" in part.dialog.text
    part.dialog.close()
    panel.explaining.stop()
    segmented.finish()
