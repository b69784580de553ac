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
    """A checkpoint that was loaded, with what the forms show of it.

    Parameters
    ----------
    model
        Ready to compute.
    device
        Where it computes, in words.
    devices
        Names of this machine's devices.
    layers, default_layer
        What Grad-CAM++ can look at; empty where no layer serves.
    """

    model: SegmentationModel
    device: str
    devices: tuple[str, ...]
    layers: tuple[str, ...]
    default_layer: str


@dataclass(frozen=True, eq=False)
class Restored:
    """What the forms held when a session was saved.

    Parameters
    ----------
    sequences
        Names of the sequences, in order.
    images
        A layer for each of them whose image is there.
    reference
        The layer of the reference mask, if there is one.
    threshold, smallest
        Settings of the segmentation: probability, and voxels.
    """

    sequences: Sequence[str]
    images: Mapping[str, LayerDataTuple]
    reference: LayerDataTuple | None
    threshold: float
    smallest: int
