"""What napari's menus and its command palette offer of the panel, which opens if it is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import napari

from napari_ies.viewer.canvas.layers.stack import key_of
from napari_ies.viewer.panel.availability import why_not

if TYPE_CHECKING:
    from qtpy.QtWidgets import QPushButton

NO_LABEL = "Select a Labels layer of the patient in the layer list, and in it the label to explain."


def segment() -> None:
    """Find the lesions with the network, as the button "Segment" does."""
    panel = _panel()
    _press(panel, panel.features["preparing"].segmentation.button)


def explain_label() -> None:
    """Explain the label that is selected in the selected Labels layer: a lesion, or any region."""
    panel = _panel()
    scene, layer = panel.services.scene, panel.services.viewer.layers.selection.active
    key, label = None if layer is None else key_of(layer), getattr(layer, "selected_label", 0)
    if label and scene.lesions.layer is not None and key == key_of(scene.lesions.layer):
        if panel.state.reading.place_of(label) is None:
            panel.services.tell.fail(f"There is no lesion {label}; select the label of one.")
        else:
            panel.explaining.explain(label)
    elif label and key in [key_of(mask) for mask in scene.masks()]:
        form = panel.features["regions"].view.region
        form.choose(key)
        form.value.setValue(label)
        _press(panel, form.explain)
    else:
        panel.services.tell.fail(NO_LABEL)


def save() -> None:
    """Save the lesions and every finished map, as the button "Save…" does."""
    panel = _panel()
    _press(panel, panel.features["saving"].button)


def open_cohort() -> None:
    """Choose a folder of results and list its cases and lesions, as "Open cohort…" does."""
    _panel().features["cohort"].choose()


def _panel() -> Any:
    """Return the panel of the viewer in front, docked there if it is not."""
    viewer: Any = napari.current_viewer()
    dock, panel = viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    dock.show()
    return panel


def _press(panel: Any, button: QPushButton) -> None:
    """Press a button or, where it cannot be pressed now, say why."""
    if button.isEnabled():
        button.click()
    else:
        panel.services.tell.fail(why_not(button))
