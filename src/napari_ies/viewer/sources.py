"""Sources: what the viewer's images are, each as a volume with a place.

A source is taken from a layer on the GUI thread: only references, nothing is read or copied. Its
voxels are read in the worker thread, so that an array that lies on a disk or is yet to be computed
(dask, zarr) costs nobody's patience.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import CaseError
from napari_ies.geometry.grid import Grid
from napari_ies.orientation import Reorientation
from napari_ies.viewer.frame import Frame
from napari_ies.viewer.layer_place import LayerPlace, place_of
from napari_ies.viewer.reader import METADATA_KEY
from napari_ies.viewer.units import mm_per

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Source:
    """One viewer layer as a volume.

    Parameters
    ----------
    name
        The layer's name, for messages.
    data
        The layer's array or what stands for it: three axes, or four of which the first has length
        1.
    place
        Where the layer lies.
    path
        The file it was read from, or None.
    affine
        The affine of the stored array, or None for a layer that does not say.
    """

    name: str
    data: Any
    place: LayerPlace
    path: Path | None = None
    affine: NDArray[np.float64] | None = None

    @cached_property
    def array(self) -> NDArray[Any]:
        """The layer's voxels (I, J, K), read now: in the worker thread."""
        values = np.asarray(self.data)
        return values[0] if values.ndim == 4 else values

    @property
    def displayed(self) -> NDArray[Any]:
        """A view of the array with the axes of the world: inferior, posterior, left."""
        return self.place.turn.apply(self.array)

    @property
    def stored(self) -> NDArray[Any]:
        """A view of the array with its axes as stored."""
        return self._read_turn.invert(self.array)

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """Size of the stored array; nothing is read."""
        return self._read_turn.shape

    @property
    def stored_affine(self) -> NDArray[np.float64]:
        """The affine of the stored array; of a layer that does not say, that of its place."""
        return self.place.affine if self.affine is None else self.affine

    @property
    def grid(self) -> Grid:
        """The stored grid."""
        return Grid(self.stored_shape, self.stored_affine)

    @property
    def frame(self) -> Frame:
        """Where the stored grid lies in the viewer's world."""
        place = self.place
        turn = _one_after_the_other(self._read_turn, place.turn)
        return Frame(turn, place.scale, place.translate, place.units)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken for granted of the layer, or converted: plain sentences."""
        told = []
        units = sorted({str(unit) for unit in self.place.units})
        if self.affine is None:
            told.append(
                f"The layer {self.name} did not say how the patient lies in it: its axes were "
                "taken as displayed, (inferior, posterior, left)."
            )
        if not self.place.has_units:
            told.append(
                f"The layer {self.name} does not say its units ({', '.join(units)}): its voxel "
                "sizes were taken as millimetres."
            )
        elif any(mm_per(unit) != 1.0 for unit in self.place.units):
            told.append(
                f"The layer {self.name} is in {', '.join(units)}: its voxel sizes were converted "
                "to millimetres."
            )
        return tuple(told)

    @property
    def _read_turn(self) -> Reorientation:
        """The stored axes to those of the layer's array, as the reader turned them."""
        shape = self.place.turn.shape
        if self.affine is None:
            return Reorientation.identity(shape)
        return turned_by_reader(self.affine, shape)


def source_of(layer: Any) -> Source:
    """Describe an image or labels layer; its voxels are not touched.

    Raises
    ------
    CaseError
        If the layer cannot be one patient's volume, in one sentence.
    """
    reason = why_unsuitable(layer)
    if reason:
        raise CaseError(
            f"The layer {layer.name} is {reason}, not a single 3-d volume; choose a 3-d image."
        )
    known = layer.metadata.get(METADATA_KEY, {}) if isinstance(layer.metadata, Mapping) else {}
    path = known.get("path")
    affine = known.get("affine")
    return Source(
        name=str(layer.name),
        data=layer.data,
        place=place_of(layer),
        path=None if path is None else Path(path),
        affine=None if affine is None else np.asarray(affine, dtype=np.float64),
    )


def why_unsuitable(layer: Any) -> str:
    """Say what an image or labels layer is if it is no single volume of grey values; else nothing.

    Returns
    -------
    Such as ``"an RGB picture"``, or an empty string.
    """
    if getattr(layer, "rgb", False):
        return "an RGB picture"
    if getattr(layer, "multiscale", False):
        return "a multiscale picture"
    shape = tuple(layer.data.shape)
    if len(shape) < 3:
        return f"a {len(shape)}-d picture"
    # A leading axis of length 1 is how other readers hand over a single volume.
    if len(shape) == 4 and shape[0] > 1:
        return f"a series of {shape[0]} volumes"
    if len(shape) > 4:
        return f"a picture of {len(shape)} dimensions"
    return ""


def turned_by_reader(affine: NDArray[np.float64], displayed: tuple[int, int, int]) -> Reorientation:
    """Return how the reader turned an array of an affine to one of a size as displayed."""
    stored = [0, 0, 0]
    for size, axis in zip(
        displayed, Reorientation.for_display(affine, displayed).axes, strict=True
    ):
        stored[axis] = size
    return Reorientation.for_display(affine, (stored[0], stored[1], stored[2]))


def _one_after_the_other(first: Reorientation, second: Reorientation) -> Reorientation:
    """Return the one reorientation that does both."""
    a, b, c = (first.axes[axis] for axis in second.axes)
    x, y, z = (
        first.flips[axis] != flip for axis, flip in zip(second.axes, second.flips, strict=True)
    )
    return replace(first, axes=(a, b, c), flips=(x, y, z))
