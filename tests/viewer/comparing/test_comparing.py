"""The tab "Compare": two maps in numbers and side by side."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QAbstractButton

from napari_ies.saliency.reading_off.comparison import compare
from napari_ies.viewer.canvas.canvases import pixel_at
from napari_ies.viewer.canvas.legend.caption_overlay import CaptionOverlay
from napari_ies.viewer.canvas.legend.colour_strip import ColourStrip
from napari_ies.viewer.canvas.plane_overlay import PlaneOverlay
from napari_ies.viewer.comparing.side_by_side import is_faint


@pytest.fixture
def comparing(segmented):
    """What :func:`explained` shows."""
    return explained(segmented)


def explained(segmented):
    """Explain lesion 2 twice and lesion 1 once, lesion 2's second map on screen, tab open."""
    segmented.unfold()
    for label, aggregation in ((1, "mean"), (2, "mean"), (2, "max")):
        segmented.control("aggregation").setCurrentText(aggregation)
        segmented.panel.explaining.explain(label)
        segmented.wait(lambda label=label: segmented.answered(label))
    segmented.finish()
    tabs = segmented.control("tabs")
    tabs.setCurrentIndex([tabs.tabText(i) for i in range(tabs.count())].index("Compare"))
    segmented.finish()
    return segmented


def cells(hands):
    model = hands.control("comparison").model()
    return {
        model.headerData(row, Qt.Orientation.Vertical): [
            model.index(row, column).data() for column in range(model.columnCount())
        ]
        for row in range(model.rowCount())
    }


def second(hands):
    return hands.panel.features["comparing"].side_by_side.second


def captions(hands):
    """What is written on the viewer's own canvas and on the one beside it."""
    hands.settle()
    views = (hands.viewer.window._qt_viewer, second(hands).canvas)
    overlays = [view.canvas.native.findChild(CaptionOverlay) for view in views]
    assert all(one.isVisible() for one in overlays)
    return [" ".join(one.lines).replace(" · ", " ") for one in overlays]


def choose(hands, name, index):
    """Choose an entry with the arrow keys, which pass over what cannot be chosen."""
    combo = hands.control(name)
    combo.setFocus()
    for _ in range(combo.count()):
        steps = index - combo.currentIndex()
        if steps:
            hands.qtbot.keyClick(combo, Qt.Key.Key_Down if steps > 0 else Qt.Key.Key_Up)
    assert combo.currentIndex() == index
    hands.finish()


def assert_same_place_and_scale(hands):
    """The same pixel of both canvases shows the same place."""
    main, there = hands.viewer.window._qt_viewer.canvas.native, second(hands)
    beside = there.canvas.canvas.native
    hands.wait(lambda: main.height() == beside.height())
    assert abs(main.width() - beside.width()) <= 2
    tops = [one.mapTo(one.window(), QPoint(0, 0)).y() for one in (main, beside)]
    assert tops[0] == tops[1]
    place = np.add(hands.viewer.dims.point, (0, 7.0, -5.0))
    pixels = [
        pixel_at(model, (native.width(), native.height()), place)
        for model, native in ((hands.viewer, main), (there.model, beside))
    ]
    assert pixels[0].x() == pytest.approx(pixels[1].x(), abs=1.5)
    assert pixels[0].y() == pytest.approx(pixels[1].y(), abs=0.5)


def state(hands):
    viewer = hands.viewer
    camera = viewer.scene.camera
    looks = [
        (layer.name, layer.visible, layer.opacity, str(getattr(layer, "contrast_limits", "")))
        for layer in viewer.layers
    ]
    return looks, tuple(viewer.dims.point), camera.zoom, tuple(viewer.window.dock_widgets)


def test_two_maps_side_by_side_and_the_panel_closed(comparing):
    lesions_at_two_places_are_seen_at_their_places(comparing)
    comparing.control("method").setCurrentText("SmoothGrad")
    comparing.afresh()
    explained(comparing)
    what_is_looked_at_stays_in_sight(comparing)
    a_common_limit_goes_with_the_second_view(comparing)
    two_maps_of_a_lesion_in_numbers_and_side_by_side(comparing)
    anything_may_be_closed_while_side_by_side(comparing, "panel")


def test_maps_not_finished_and_the_second_view_makes_way_and_may_be_closed(comparing):
    a_map_is_not_compared_with_itself(comparing)
    maps_that_are_not_finished_are_compared_too(comparing)
    three_planes_and_the_second_view_make_way_for_each_other(comparing)
    anything_may_be_closed_while_side_by_side(comparing, "viewer")


def what_is_looked_at_stays_in_sight(comparing):
    """Whichever slices are on show, and in half the width, the lesion is not lost."""
    viewer, scene = comparing.viewer, comparing.panel.services.scene
    camera, canvas = viewer.scene.camera, viewer.window._qt_viewer.canvas.native
    place, before = scene.crosshair, (viewer.dims.order, camera.zoom, camera.center)

    def middle():
        at = comparing.pixel_of(viewer.dims.point)
        return (at - canvas.rect().center()).manhattanLength() < 4

    camera.zoom *= 3
    for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0)):
        viewer.dims.order = order
        for away in (0.99, 20.0):  # below a caption or letter, and far out of sight
            camera.center = (0.0, *(viewer.dims.point[axis] for axis in order[1:]))
            comparing.settle(seen=False)
            shift = away * canvas.height() / 2 / camera.zoom
            camera.center = (0.0, camera.center[-2] + shift, camera.center[-1])
            comparing.settle()
            scene.look_at(place)
            comparing.settle(seen=False)
            assert middle(), (order, away)
    viewer.dims.order = before[0]
    camera.center = (0.0, viewer.dims.point[1], viewer.dims.point[2])
    camera.center = (0.0, camera.center[-2], camera.center[-1] - canvas.width() * 0.4 / camera.zoom)
    comparing.settle()
    comparing.press("side_by_side")
    comparing.settle()
    assert middle()
    comparing.press("side_by_side")
    camera.zoom, camera.center = before[1:]
    comparing.settle()


def a_common_limit_goes_with_the_second_view(comparing):
    panel, overlays = comparing.panel, comparing.panel.services.scene.overlays
    mean, largest = panel.state.answers.of(2)
    comparing.viewer.window.resize(1280, 800)
    dims = comparing.viewer.window._qt_viewer.dims
    least = [one.slider.minimumWidth() for one in dims.slider_widgets]
    for shown, beside in ((mean, largest), (largest, mean)):
        panel.explaining.show(shown)
        comparing.finish()
        titles = [comparing.control("compare_b").itemText(i) for i in range(3)]
        title = f"Lesion 2 · SmoothGrad {beside.request.aggregation}"
        choose(comparing, "compare_b", titles.index(title))
        comparing.finish()
        comparing.press("side_by_side")
        comparing.settle()
        number = next(one.totslice_label for one in dims.slider_widgets if one.isVisible())
        assert number.visibleRegion().boundingRect() == number.rect()
        assert overlays.layers["FLAIR"].contrast_limits[1] == max(mean.limit, largest.limit)
        comparing.press("side_by_side")
        comparing.settle()
        assert overlays.layers["FLAIR"].contrast_limits[1] == shown.limit
        assert [one.slider.minimumWidth() for one in dims.slider_widgets] == least


def two_maps_of_a_lesion_in_numbers_and_side_by_side(comparing):
    panel, viewer = comparing.panel, comparing.viewer
    assert comparing.control("compare_a").currentText() == "Lesion 2 · SmoothGrad max"
    assert comparing.control("compare_b").currentText() == "Lesion 2 · SmoothGrad mean"
    before, now = panel.state.answers.of(2)
    expected = compare(now.saliency, before.saliency)
    for name, row in expected.agreement.iterrows():
        shown = cells(comparing)[name]
        assert shown[0] == f"{row.pearson:.3f}".replace("-", "−")
        assert shown[3] == f"{row.equal_signs:.0%}"

    viewer.window.resize(1500, 700)  # napari's own docks and the panel leave little of 1100
    comparing.settle()
    as_it_was, width = state(comparing), panel.width()
    comparing.press("side_by_side")
    comparing.wait(lambda: second(comparing) is not None)
    comparing.settle()
    there = second(comparing)
    model = there.model
    overlays = [layer for layer in model.layers if "Lesion 2 · SmoothGrad mean" in layer.name]
    assert [layer.visible for layer in overlays] == [False, True]  # T1 below, FLAIR as in A
    limit = max(before.limit, now.limit)
    assert {tuple(layer.contrast_limits) for layer in overlays} == {(-limit, limit)}
    assert {tuple(layer.contrast_limits) for layer in comparing.overlays()} == {(-limit, limit)}
    frame = panel.state.reading.frame
    np.testing.assert_array_equal(
        overlays[-1].data, frame.reorientation.apply(before.saliency.cropped[0])
    )
    assert_same_place_and_scale(comparing)
    assert viewer.scene.camera.zoom == pytest.approx(as_it_was[2])
    assert model.canvas.overlays.scale_bar.visible
    assert viewer.canvas.overlays.scale_bar.visible
    marks = panel.features["planes"].overlay.marks
    assert there.canvas.canvas.native.findChild(PlaneOverlay).marks == marks is not None
    both = captions(comparing)
    assert both[0].startswith("A: Lesion 2 SmoothGrad max FLAIR map on FLAIR")
    assert both[1].startswith("B: Lesion 2 SmoothGrad mean FLAIR map on FLAIR")
    # The mean is so much weaker than the maximum that one limit for both hides it: it says so.
    assert is_faint(before.limit, limit, 10)
    assert "hardly shows: its own limit is" in both[1]
    # Below each canvas stands what its colours mean.
    for view in (viewer.window._qt_viewer, there.canvas):
        (bar,) = view.findChild(ColourStrip).bars
        assert (bar.title, bar.low, bar.high) == ("FLAIR map", -limit, limit)
    assert "B hardly shows" in comparing.control("comparison_note").text()
    assert "hardly" not in both[0]

    # The views move together, from either side.
    viewer.dims.point = tuple(np.add(viewer.dims.point, (4, 0, 0)))
    viewer.scene.camera.zoom *= 1.5
    assert tuple(model.dims.point) == pytest.approx(tuple(viewer.dims.point))
    assert model.scene.camera.zoom == viewer.scene.camera.zoom
    model.scene.camera.center = (0, 3.0, -2.0)
    assert tuple(viewer.scene.camera.center) == (0, 3.0, -2.0)
    model.dims.order = (1, 0, 2)  # napari frames the images anew
    assert tuple(viewer.dims.order) == (1, 0, 2)
    comparing.settle()
    assert_same_place_and_scale(comparing)
    viewer.dims.order = (0, 1, 2)

    # What changes for A changes for B.
    shown = {layer.name[-5:]: layer for layer in comparing.overlays()}
    shown["FLAIR"].visible = False
    shown[" · T1"].visible = True
    assert [layer.visible for layer in overlays] == [True, False]
    comparing.layer("sub-01_FLAIR").contrast_limits = (10, 90)
    assert [10, 90] in [list(layer.contrast_limits) for layer in model.layers[:2]]
    assert captions(comparing)[1].startswith("B: Lesion 2 SmoothGrad mean T1 map on")
    comparing.press("same_limits")
    assert {tuple(layer.contrast_limits) for layer in overlays} == {(-before.limit, before.limit)}
    assert "hardly" not in "".join(captions(comparing))
    assert "hardly" not in comparing.control("comparison_note").text()
    comparing.press("same_limits")

    choose(comparing, "beside", 1)
    difference = [layer for layer in model.layers if layer.name.startswith("A − B")]
    np.testing.assert_allclose(
        difference[-1].data,
        frame.reorientation.apply(expected.difference[0]),
        rtol=1e-5,
        atol=1e-9,
    )

    shown["FLAIR"].visible, shown[" · T1"].visible = True, False
    comparing.layer("sub-01_FLAIR").contrast_limits = (20, 80)
    viewer.dims.point, viewer.scene.camera.zoom = as_it_was[1], as_it_was[2]
    gone = weakref.ref(there)
    del there, model, overlays, difference
    comparing.press("side_by_side")
    comparing.settle()
    after = state(comparing)
    assert after[1:] == as_it_was[1:]
    comparing.wait(lambda: abs(panel.width() - width) < 10)
    own = str([-now.limit, now.limit])
    assert {limits.replace("(", "[").replace(")", "]") for name, _, _, limits in after[0]
            if "·" in name} == {own}  # fmt: skip

    def collected():
        gc.collect()
        return gone() is None

    comparing.wait(collected, seconds=20)


def lesions_at_two_places_are_seen_at_their_places(comparing):
    panel, viewer = comparing.panel, comparing.viewer
    titles = [comparing.control("compare_b").itemText(i) for i in range(3)]
    choose(comparing, "compare_b", titles.index("Lesion 1 · SmoothGrad mean"))
    assert comparing.control("comparison").model().columnCount() == 2
    assert "side by side" in comparing.control("comparison_note").text()
    assert not comparing.control("beside").isEnabled()
    comparing.press("side_by_side")
    comparing.settle()
    reading = panel.state.reading
    here, there = (np.array(reading.frame.to_world(reading.places[i].centre)) for i in (2, 1))
    model = second(comparing).model
    shift = np.subtract(model.dims.point, viewer.dims.point)
    np.testing.assert_allclose(shift, there - here, atol=1e-4)
    camera = np.subtract(model.scene.camera.center, viewer.scene.camera.center)
    np.testing.assert_allclose(camera[1:], (there - here)[1:], atol=1e-4)

    # Choosing another A shows it; a new answer becomes A, and its lesion's last one B.
    choose(comparing, "compare_a", titles.index("Lesion 2 · SmoothGrad mean"))
    assert panel.state.shown.title == "Lesion 2 · SmoothGrad mean"
    assert comparing.overlays()[0].name.startswith("Lesion 2 · SmoothGrad mean")
    comparing.control("samples").setValue(2)
    comparing.control("aggregation").setCurrentText("max")
    panel.explaining.explain_selected()
    comparing.finish()
    assert comparing.control("compare_a").currentText() == "Lesion 2 · SmoothGrad max, 2 samples"
    assert comparing.control("compare_b").count() == 4
    assert second(comparing) is not None

    # Grad-CAM++ has another unit: no common limit.
    comparing.control("method").setCurrentText("Grad-CAM++")
    comparing.control("layer").setCurrentIndex(1)
    panel.explaining.explain(2)
    comparing.finish()
    assert not comparing.control("same_limits").isEnabled()
    assert list(cells(comparing)) == ["all"]
    # Segmenting again leaves nothing to compare.
    panel.state.show_reading(reading)
    comparing.settle()
    assert second(comparing) is None
    assert comparing.control("compare_a").count() == 0


def anything_may_be_closed_while_side_by_side(comparing, what):
    viewer = comparing.viewer
    comparing.press("side_by_side")
    comparing.settle()
    there = weakref.ref(second(comparing))
    assert there() is not None
    if what == "panel":
        row = viewer.window._qt_window.centralWidget().layout()
        assert row.count() == 2
        viewer.window.remove_dock_widget("all")
        comparing.settle()
        assert row.count() == 1
        del comparing.panel
    else:
        viewer.close()
        del comparing.panel, comparing.viewer, viewer

    def collected():
        gc.collect()
        return there() is None

    comparing.wait(collected, seconds=20)


def a_map_is_not_compared_with_itself(comparing):
    panel = comparing.panel
    first, other = comparing.control("compare_a"), comparing.control("compare_b")
    at = first.currentIndex()
    choose(comparing, "compare_a", other.currentIndex())
    # They changed places.
    assert other.currentIndex() == at
    assert panel.state.shown.title == first.currentText() == "Lesion 2 · SmoothGrad mean"
    # What is A cannot be chosen for B, by no key and no click.
    entry = other.model().item(first.currentIndex())
    assert not entry.isEnabled()
    assert "is A: a map is not compared with itself" in entry.toolTip()
    here = other.currentIndex()
    for key in (Qt.Key.Key_Home, Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_End):
        comparing.qtbot.keyClick(other, key)
        comparing.settle()
        assert other.currentIndex() != first.currentIndex()
    comparing.finish()
    choose(comparing, "compare_b", here)
    # A lesion whose only map is B is clicked: it becomes A, and is not its own B.
    panel.explaining.explain(1)
    comparing.finish()
    alone = [first.itemText(i) for i in range(3)].index("Lesion 1 · SmoothGrad mean")
    choose(comparing, "compare_a", at)
    choose(comparing, "compare_b", alone)
    comparing.control("aggregation").setCurrentText("mean")
    panel.explaining.explain(1)
    comparing.finish()
    assert first.currentIndex() == alone != other.currentIndex()


def maps_that_are_not_finished_are_compared_too(comparing):
    panel = comparing.panel
    comparing.control("aggregation").setCurrentText("mean")
    panel.explaining.explain(2)
    comparing.finish()
    comparing.press("side_by_side")
    comparing.control("samples").setValue(9999)
    panel.explaining.explain(2, agreed=True)
    comparing.wait(lambda: not panel.state.shown.finished and panel.state.shown.saliency.n_used > 1)
    comparing.settle()
    # The map that is computed is A: what is on screen is what is named.
    running = "Lesion 2 · SmoothGrad mean, 9999 samples"
    assert comparing.control("compare_a").currentText() == f"{running} (not finished)"
    assert captions(comparing)[0].startswith("A: Lesion 2 SmoothGrad mean FLAIR map on FLAIR ")
    comparing.wait(lambda: captions(comparing)[0].endswith(" of 9999 samples"))
    assert "stopped" not in captions(comparing)[0]
    assert_same_place_and_scale(comparing)
    assert "still being computed" in comparing.control("comparison_note").text()
    before = panel.state.shown.saliency.n_used
    comparing.wait(lambda: panel.state.shown.saliency.n_used > before)
    (cancel,) = [one for one in panel.findChildren(QAbstractButton) if one.text() == "Cancel"]
    comparing.qtbot.mouseClick(cancel, Qt.MouseButton.LeftButton)
    comparing.finish()
    stopped = panel.state.shown
    said = f"stopped: {stopped.saliency.n_used} of 9999 samples"
    assert said in captions(comparing)[0]
    other = panel.features["comparing"].maps[comparing.control("compare_b").currentIndex()]
    assert other.subject == 2
    (r, *_) = compare(stopped.saliency, other.saliency).agreement["pearson"]
    assert cells(comparing)["FLAIR"][0] == f"{r:.3f}".replace("-", "−")
    # Another one on screen, it can still be chosen.
    comparing.control("samples").setValue(3)
    panel.explaining.explain(2)
    comparing.finish()
    titles = [comparing.control("compare_b").itemText(i) for i in range(5)]
    choose(comparing, "compare_b", titles.index(f"{running} (not finished)"))
    assert said in captions(comparing)[1]
    frame = panel.state.reading.frame
    shown = [layer for layer in second(comparing).model.layers if layer.name.startswith("B: ")]
    np.testing.assert_array_equal(
        shown[-1].data, frame.reorientation.apply(stopped.saliency.cropped[0])
    )
    comparing.press("side_by_side")


@pytest.mark.parametrize(
    ("reach", "threshold", "faint"),
    [(1.0, 10, False), (0.1, 10, True), (0.2, 10, True), (0.3, 10, False), (0.3, 40, True)],
)
def test_a_map_is_faint_where_its_strong_values_are_hardly_opaque(reach, threshold, faint):
    assert is_faint(reach * 7.0, 7.0, threshold) is faint


def three_planes_and_the_second_view_make_way_for_each_other(comparing):
    panel = comparing.panel
    row = comparing.viewer.window._qt_window.centralWidget().layout()
    comparing.press("three_planes_button")
    comparing.settle()
    assert row.count() == 2
    comparing.press("side_by_side")
    comparing.settle()
    assert "three planes were closed" in panel.status.text
    assert row.count() == 2
    assert second(comparing) is not None
    assert not comparing.control("three_planes_button").isChecked()

    comparing.press("three_planes_button")
    comparing.settle()
    assert "second view was closed" in panel.status.text
    assert row.count() == 2
    assert second(comparing) is None
    assert not comparing.control("side_by_side").isChecked()
    comparing.press("three_planes_button")
    comparing.settle()
    assert row.count() == 1
