"""Profile: what has to be known about a network besides its weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Profile:
    """How a network wants its input and how its output is to be read.

    Parameters
    ----------
    name
        Name of the checkpoint, for captions and file names.
    architecture
        ``"UNet"``, ``"DynUNet"``, ``"SwinUNETR"`` or ``"UNETR"`` (classes of
        `monai.networks.nets`).
    arguments
        Keyword arguments of that class.
    sequences
        Names of the input channels, in order, such as ``("FLAIR", "T1")``.
    classes
        Names of the output channels, in order.
    explained_class
        Index of the class whose logit is explained.
    normalisation
        ``"zscore-nonzero"`` (mean 0, standard deviation 1 over the nonzero voxels, zeros stay
        zero), ``"zscore"`` (over all voxels), ``"minmax"`` (to [0, 1]) or ``"none"``; each
        sequence on its own.
    spacing
        Voxel size in mm of the images the network was trained on, or None if not known.
    orientation
        Axis codes of the images it was trained on, such as ``"LAS"``, or None to use each case
        as it is stored.
    window
        Size in voxels of the sliding window.
    overlap
        Overlap of neighbouring windows, as a fraction of the window.
    threshold
        Probability from which a voxel counts as lesion.
    smallest_lesion
        Smallest number of voxels an instance may have.
    divisor
        The sizes the network takes are multiples of these, one per axis.
    fixed_size
        The only size the network takes, or None if it takes any multiple of `divisor`.
    brain_extracted
        Whether it was trained on images without skull.
    resample
        Whether it runs at `spacing`, with its results brought back to the stored voxels; otherwise
        a difference is only said.
    guessed
        What the file did not say and was filled in by the habits of the architecture's family:
        one plain sentence each.
    """

    name: str
    architecture: str
    arguments: Mapping[str, Any]
    sequences: tuple[str, ...]
    classes: tuple[str, ...] = ("background", "lesion")
    explained_class: int = 1
    normalisation: str = "zscore-nonzero"
    spacing: tuple[float, float, float] | None = None
    orientation: str | None = None
    window: tuple[int, int, int] = (96, 96, 96)
    overlap: float = 0.25
    threshold: float = 0.3
    smallest_lesion: int = 6
    divisor: tuple[int, int, int] = (16, 16, 16)
    fixed_size: tuple[int, int, int] | None = None
    brain_extracted: bool = True
    resample: bool = False
    guessed: tuple[str, ...] = field(default=())
