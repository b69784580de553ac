"""What is handed to the state: a checkpoint that was loaded, what a saved session had open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_ies.network.model import SegmentationModel
    from napari_ies.viewer.volumes.layer_data import LayerDataTuple
    from napari_ies.viewer.volumes.sources import Source


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
    trusted: bool = False
    """Whether a person said that what the checkpoint holds may run."""
    no_gradcam: str = ""
    """Why there is no Grad-CAM++ of it, whichever layer is chosen; empty where there is."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The images that stand for the network's sequences now, before they are segmented."""

    sources: Mapping[str, Source]
    """Of each sequence, in the network's order."""
    sha256: Mapping[str, str]
    """Of each image's file as it was read; empty for one without a file."""
    subject: str
    """Label of the patient."""
    visit: str
    """Label of the visit, or empty."""
    layers: Mapping[str, str] = field(default_factory=dict)
    """The key of each one's layer in the viewer."""

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """The files, in order; None for a layer without one."""
        return tuple(source.path for source in self.sources.values())

    @property
    def images(self) -> object:
        """What tells these images from others."""
        return tuple(
            (name, source.path, self.sha256[name] or id(source.data))
            for name, source in self.sources.items()
        )

    @property
    def identity(self) -> object:
        """What tells these images, so called, from others."""
        return self.images, self.subject, self.visit


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
