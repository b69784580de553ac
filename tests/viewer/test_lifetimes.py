"""Two viewers at once, and what is left of what was closed in the middle of a computation."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest


def begin_a_long_map(hands):
    hands.panel.features["explaining"].form.samples.setValue(5000)
    hands.panel.explaining.explain(1)
    hands.wait(lambda: not hands.panel.state.shown.finished)
    assert hands.panel.services.work.busy


def held_by(panel):
    """What must go with a panel: itself, its reading, its jobs and its maps, weakly."""
    things = {
        "panel": panel,
        "reading": panel.state.reading,
        "case": panel.state.reading.case,
        "jobs": panel.services.work,
        "run": panel.services.work._run,
        "job": panel.services.work._run.job,
        "answers": panel.state.answers,
        "answer": panel.state.answers.of(2)[-1],
        "map": panel.state.answers.of(2)[-1].saliency,
        "shown": panel.state.shown,
    }
    things |= {f"feature {name}": feature for name, feature in panel.features.items()}
    return {name: weakref.ref(thing) for name, thing in things.items()}


def wait_until_done(qtbot, run):
    qtbot.waitUntil(lambda: run.done, timeout=60_000)


def wait_until_gone(qtbot, gone):
    def left():
        gc.collect()
        return [name for name, thing in gone.items() if thing() is not None]

    try:
        qtbot.waitUntil(lambda: not left(), timeout=20_000)
    except qtbot.TimeoutError:
        assert left() == []


@pytest.mark.parametrize("what", ["panel", "viewer"])
def test_nothing_is_left_of_what_was_closed_in_the_middle_of_a_map(segmented, qtbot, what):
    viewer = segmented.viewer
    segmented.panel.explaining.explain(2)
    segmented.finish()
    begin_a_long_map(segmented)
    gone, run = held_by(segmented.panel), segmented.panel.services.work._run
    if what == "panel":
        # Taken out of its dock it waits in the window, and goes with it.
        viewer.window.remove_dock_widget(segmented.panel)
        segmented.settle()
        assert run.cancelled.is_set()
        # The map's caption is gone: its layer says itself what it is.
        maps = [one.name for one in viewer.layers if one.name.startswith("Lesion 1 ")]
        assert maps, [one.name for one in viewer.layers]
        assert all(name.endswith("(unfinished)") for name in maps)
    viewer.close()
    del segmented.panel, segmented.viewer, viewer
    wait_until_done(qtbot, run)
    del run
    wait_until_gone(qtbot, gone)


def seen(hands):
    """The grey values and colours of the viewer's own plane and of the two beside it."""
    three = hands.panel.features["planes"].three
    views = [hands.viewer.window._qt_viewer, *(side.view for side in three.sides)]
    return [view.screenshot(flash=False) for view in views]


def test_a_second_viewer_is_closed_while_it_computes(segmented, segmented_elsewhere, qtbot):
    """With one OpenGL context in place of another, napari fails at a next slice: GLError 1282."""
    goes, stays = segmented, segmented_elsewhere
    stays.press("three_planes_button")
    stays.wait(lambda: stays.panel.features["planes"].three.sides[1].model.layers)
    for hands in (stays, goes):
        hands.panel.explaining.explain(2)
        hands.finish()
    world = stays.panel.state.reading.frame.to_world(stays.panel.state.reading.places[2].centre)
    stays.go(world)
    before = seen(stays)
    begin_a_long_map(goes)
    gone, run = held_by(goes.panel), goes.panel.services.work._run
    goes.viewer.close()
    del goes.panel, goes.viewer, hands
    # Each map adds and removes layers here.
    stays.panel.explaining.explain(1)
    stays.finish()
    for axis in range(3):
        stays.viewer.dims.set_point(axis, 2.0)
        stays.settle()
    stays.go(world)
    stays.click(world)
    stays.finish()
    assert stays.panel.state.shown.subject == 2
    assert stays.panel.state.shown.finished
    stays.go(world)
    for plane, (now, then) in enumerate(zip(seen(stays), before, strict=True)):
        assert now[..., :3].max() > 100, plane
        np.testing.assert_array_equal(now, then, err_msg=str(plane))
    wait_until_done(qtbot, run)
    del run
    wait_until_gone(qtbot, gone)


def test_each_part_lets_go_whatever_the_others_raise():
    from napari_ies.viewer.widget import _let_go

    released = []

    def failing():
        raise ValueError("odd")

    def gone():
        raise RuntimeError("wrapped C/C++ object has been deleted")

    attached = [failing, gone, lambda: released.append("last")]
    with pytest.raises(ValueError, match="odd"):
        _let_go(attached)
    assert released == ["last"]
    _let_go(attached)
    assert released == ["last"]
