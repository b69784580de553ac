"""The layers and forms of a reopened session: its images, each shown once, and its settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.viewer.canvas.layers import key_of
from napari_ies.viewer.reader import METADATA_KEY

if TYPE_CHECKING:
    from napari_ies.viewer.canvas.layers import Scene
    from napari_ies.viewer.reader import LayerDataTuple
    from napari_ies.viewer.session.opening import Reopened
    from napari_ies.viewer.widget import LesionSaliencyWidget


def show_layers(host: LesionSaliencyWidget, reopened: Reopened) -> None:
    """Show the images and the reference, each once, and take them as the sequences."""
    host.images.set_sequences([image.sequence for image in reopened.session.images])
    keys = {}
    for sequence, layer_data in reversed(reopened.images.items()):
        keys[sequence] = _key_of_same(host.scene, layer_data) or host.scene.add(layer_data)
    reference = reopened.reference
    if reference is not None:
        reference_key = _key_of_same(host.scene, reference) or host.scene.add(reference)
    host.preparing.offer_layers()
    for sequence, key in keys.items():
        host.images.assign(sequence, key)
    if reference is not None:
        host.segmentation.choose_mask(reference_key)


def set_segmentation(host: LesionSaliencyWidget, reopened: Reopened) -> None:
    """Set the form of the segmentation as it was."""
    record = reopened.session.record
    host.segmentation.threshold.setValue(record.segmentation.threshold)
    host.segmentation.smallest.setValue(record.segmentation.smallest_lesion)


def _key_of_same(scene: Scene, layer_data: LayerDataTuple) -> str | None:
    """Return the key of a layer that shows the same file already."""
    _, arguments, kind = layer_data
    path = Path(arguments["metadata"][METADATA_KEY]["path"]).absolute()
    for layer in scene.images() if kind == "image" else scene.masks():
        known = layer.metadata.get(METADATA_KEY)
        own = known.get("path") if isinstance(known, dict) else None
        if own is not None and Path(own).absolute() == path:
            return key_of(layer)
    return None
