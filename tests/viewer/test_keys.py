"""The keyboard, on the canvas and in the panel."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels, Points, Shapes, Vectors
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit, QWidget

from napari_ies.viewer.keys import KEYS

SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def press(segmented):
    """Press a key on the canvas, or on any widget."""

    def act(letter, modifier=Qt.KeyboardModifier.NoModifier, on=None):
        native = segmented.viewer.window._qt_viewer.canvas.native
        segmented.qtbot.keyClick(on or native, letter, modifier)
        segmented.settle()

    return act


def test_keys_are_free_in_napari_and_explained():
    for kind in (Image, Labels, Points, Shapes, Vectors):
        taken = {str(key) for cls in kind.__mro__ for key in getattr(cls, "class_keymap", {})}
        mine = {str(coerce_keybinding(key.key)) for key in KEYS}
        assert not mine & taken, kind
    assert len({key.key for key in KEYS}) == len({key.action for key in KEYS}) == len(KEYS)
    assert all(key.does.endswith(".") for key in KEYS)


def test_keys_while_writing_on_the_canvas_and_taken_back(segmented, press):
    writing_a_note_or_a_filter_presses_no_key(segmented, press)
    segmented.panel.features["lesions"].table.filter.text.clear()
    segmented.afresh()
    lesions_and_maps_by_keyboard_with_a_layer_selected(segmented, press)
    everything_bound_is_taken_back(segmented)


def lesions_and_maps_by_keyboard_with_a_layer_selected(segmented, press):
    panel, viewer = segmented.panel, segmented.viewer
    viewer.layers.selection.active = segmented.lesions_layer()
    # Through the lesions as listed, each explained after a pause.
    panel.features["lesions"].table.view.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    press("n")
    segmented.wait(lambda: segmented.answered(2))
    press("n")
    segmented.wait(lambda: segmented.answered(1))
    assert panel.state.selected == 1
    press("n", SHIFT)
    segmented.wait(lambda: panel.state.selected == 2)
    segmented.finish()
    # The map is hidden and shown, and becomes fainter and stronger.
    (top,) = [layer for layer in segmented.overlays() if layer.visible]
    press("h")
    assert not any(layer.visible for layer in segmented.overlays())
    press("h")
    assert [layer for layer in segmented.overlays() if layer.visible] == [top]
    press("k")
    press("k")
    press("k", SHIFT)
    assert top.opacity == pytest.approx(0.9)
    lines = panel.features["planes"].outlines
    edges = lines.count
    assert edges > 0
    press("h", SHIFT)
    assert lines.count == 0
    press("h", SHIFT)
    assert lines.count == edges
    # Other settings, explained by key; with an image selected, and from the panel.
    viewer.layers.selection.active = segmented.layer("sub-01_FLAIR")
    panel.features["explaining"].form.aggregation.setCurrentText("sum")
    press("w")
    segmented.wait(lambda: segmented.answered(2))
    panel.features["explaining"].form.samples.setValue(2)
    press("w", on=panel.features["lesions"].table.view)
    segmented.wait(lambda: segmented.answered(2))
    # A verdict on the row that the keys came to, before its pause is over.
    press("y", SHIFT, on=panel.features["lesions"].table.view)
    assert panel.state.reading.verdicts == {2: "agree"}
    panel.features["lesions"].table.view.setFocus()
    segmented.qtbot.keyClick(panel.features["lesions"].table.view, "n")
    segmented.qtbot.keyClick(panel.features["lesions"].table.view, "r", SHIFT)
    assert panel.state.reading.verdicts == {2: "agree", 1: "reject"}
    press("r", SHIFT)
    segmented.qtbot.keyClick(panel.features["lesions"].table.view, "d", SHIFT)
    assert panel.state.reading.verdicts == {2: "agree", 1: "unsure"}
    press("g")
    assert viewer.window._qt_window.findChild(QWidget, "three_planes").isVisible()


def writing_a_note_or_a_filter_presses_no_key(segmented, press):
    panel = segmented.panel
    panel.explaining.explain(1)
    segmented.wait(lambda: segmented.answered(1))
    segmented.finish()
    before = [(layer.visible, layer.opacity) for layer in segmented.viewer.layers]
    press("j")
    (editor,) = [
        e
        for e in panel.features["lesions"].table.view.viewport().findChildren(QLineEdit)
        if e.isVisible()
    ]
    segmented.qtbot.keyClicks(editor, "who knows: hjgwnk")
    segmented.qtbot.keyClick(editor, Qt.Key.Key_Return)
    segmented.settle()
    segmented.qtbot.keyClicks(panel.features["lesions"].table.filter.text, "knows hjgwnk")
    table = panel.features["lesions"].table
    segmented.wait(lambda: not (table._pause.waiting or table.view._click.waiting))
    segmented.finish()
    assert panel.state.reading.notes == {1: "who knows: hjgwnk"}
    assert panel.features["lesions"].table.subjects() == [1]
    assert (panel.state.selected, len(panel.state.answers), panel.services.work.busy) == (
        1,
        1,
        False,
    )
    assert [(layer.visible, layer.opacity) for layer in segmented.viewer.layers] == before


def everything_bound_is_taken_back(segmented):
    viewer, panel = segmented.viewer, segmented.panel
    keymaps = {"viewer": viewer.keymap, **{x.name: x.keymap for x in viewer.layers}}
    assert all(len(keymap) == len(KEYS) for keymap in keymaps.values())
    gone = viewer.add_labels(np.zeros((4, 4, 4), np.uint8), name="gone")
    segmented.settle()
    assert len(gone.keymap) == len(KEYS)
    viewer.layers.remove(gone)
    segmented.settle()
    assert gone.keymap == {}
    # A person's own keys: one from before, one from meanwhile.
    key_n, key_w = coerce_keybinding("N"), coerce_keybinding("W")
    keys = panel._keyboard
    keys.release()
    assert all(keymap == {} for keymap in keymaps.values())
    theirs = [lambda _: None, lambda _: None]
    viewer.bind_key("N", theirs[0])
    keys.attach()
    assert viewer.keymap[key_n] is not theirs[0]
    viewer.bind_key("W", theirs[1], overwrite=True)
    next(iter(viewer.window._wrapped_dock_widgets.values())).destroyOnClose()
    segmented.settle()
    assert dict(viewer.keymap) == {key_n: theirs[0], key_w: theirs[1]}
    assert all(keymap == {} for name, keymap in keymaps.items() if name != "viewer")
