"""What is handed to the state: a checkpoint that was loaded, what a saved session had open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_ies.network.model import SegmentationModel
    from napari_ies.viewer.volumes.layer_data import LayerDataTuple


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A checkpoint that was loaded, with what the forms show of it."""

    model: SegmentationModel
    """Ready to compute."""
    device: str
    """Where it computes, in words."""
    devices: tuple[str, ...]
    """Names of this machine's devices."""
    layers: tuple[str, ...]
    """What Grad-CAM++ can look at; empty where no layer serves."""
    default_layer: str
    """The one that it looks at by itself; empty then, too."""


@dataclass(frozen=True, eq=False)
class Restored:
    """What the forms held when a session was saved."""

    sequences: Sequence[str]
    """Names of the sequences, in order."""
    images: Mapping[str, LayerDataTuple]
    """A layer for each of them whose image is there."""
    reference: LayerDataTuple | None
    """The layer of the reference mask, if there is one."""
    threshold: float
    """Of the segmentation: a probability."""
    smallest: int
    """Lesion of the segmentation, in voxels."""
