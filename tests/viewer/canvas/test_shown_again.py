"""What is shown, or hidden, already: napari would slice, arrange and draw all layers anew."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel

from napari_ies.viewer.canvas.layers.overlay_layers import OverlayLayers
from napari_ies.viewer.canvas.layers.stack import LayerStack


def test_only_layers_that_change_are_shown_or_hidden():
    model, heard = ViewerModel(), []
    overlays = OverlayLayers(LayerStack(model), lambda *_: None)
    for name in ("T1", "FLAIR"):
        placed = {"name": name, "translate": (0.0, 0.0, 0.0)}
        overlays.show(name, np.zeros((2, 2, 2), np.float32), placed, {}, first=name == "FLAIR")
    for layer in model.layers:
        layer.events.visible.connect(lambda _, layer=layer: heard.append(layer.name))

    def visible():
        return {layer.name: layer.visible for layer in model.layers}

    overlays.show_only("FLAIR")
    assert (heard, visible()) == ([], {"T1": False, "FLAIR": True})
    overlays.show_only("T1")
    assert (sorted(heard), visible()) == (["FLAIR", "T1"], {"T1": True, "FLAIR": False})
