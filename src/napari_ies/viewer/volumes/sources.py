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
from napari_ies.geometry.orientation import Reorientation
from napari_ies.viewer.volumes.frame import Frame
from napari_ies.viewer.volumes.layer_data import METADATA_KEY
from napari_ies.viewer.volumes.layer_place import STRAIGHT, LayerPlace, place_of
from napari_ies.viewer.volumes.mapped import held
from napari_ies.viewer.volumes.units import mm_per

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Source:
    """One viewer layer as a volume."""

    name: str
    """The layer's name, for messages."""
    data: Any
    """The layer's array or what stands for it: three axes, or four of which the first has length
    1."""
    place: LayerPlace
    """Where the layer lies."""
    path: Path | None = None
    """The file it was read from, or None."""
    affine: NDArray[np.float64] | None = None
    """The affine of the stored array, or None for a layer that does not say."""
    world: NDArray[np.float64] | None = None
    """The millimetres that are displayed to the patient's, 4 x 4, where the layer counts as it is
    displayed beside another one, see :func:`placed`; None for its own."""
    beside: str = ""
    """The name of that other layer."""

    @cached_property
    def array(self) -> NDArray[Any]:
        """The layer's voxels (I, J, K), read now: in the worker thread, and kept."""
        values = held(np.asarray(self.data), self.name)
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

    @cached_property
    def moved(self) -> bool:
        """Whether the layer lies elsewhere than the reader put its affine; nothing is read."""
        if self.affine is None:
            return False
        read = Frame.of_grid(self.affine, self.stored_shape)
        shape = read.reorientation.displayed_shape
        placed = LayerPlace(Reorientation.identity(shape), read.scale, read.translate)
        return not Grid(shape, self.place.affine).same_as(Grid(shape, placed.affine))

    @property
    def stored_affine(self) -> NDArray[np.float64]:
        """The affine of the stored array; of a layer that does not say, that of its place.

        A layer that was moved has that of the place where it is displayed now.
        """
        if self.affine is not None and not self.moved:
            return self.affine
        frame = self.frame
        shown = LayerPlace(frame.reorientation, frame.scale, frame.translate).affine
        return (self.own_world if self.world is None else self.world) @ shown

    @property
    def own_world(self) -> NDArray[np.float64]:
        """The millimetres that are displayed to the patient's, 4 x 4.

        An oblique grid is displayed turned upright about its centre; this turns back.
        """
        world = np.eye(4)
        if self.affine is None:
            return world
        read = Frame.of_grid(self.affine, self.stored_shape)
        upright = LayerPlace(read.reorientation, read.scale, read.translate).affine
        world[:3, :3] = self.affine[:3, :3] @ np.linalg.inv(upright[:3, :3])
        half = (np.array(self.place.turn.displayed_shape) - 1) / 2
        centre = -(np.array(self.place.translate) + half * self.place.scale)[::-1]
        world[:3, 3] = centre - world[:3, :3] @ centre
        return world

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
            how = "its axes were taken as displayed, (inferior, posterior, left)"
            how = f"it was placed as displayed beside {self.beside}" if self.beside else how
            told.append(f"The layer {self.name} did not say how the patient lies in it: {how}.")
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


def placed(sources: Mapping[str, Source]) -> dict[str, Source]:
    """Place what counts as displayed by the frame of a layer that knows where the patient lies.

    An oblique file is displayed upright. A layer that does not say how the patient lies in it, or
    that was moved by hand, is meant to lie over the others as it is seen over them: it has the
    obliquity of the first layer that lies where its file says, or else of the first that says any.

    Parameters
    ----------
    sources
        By name; nothing is read.

    Returns
    -------
    The same sources, those that count as displayed with the other's ``world``.
    """
    known = [source for source in sources.values() if source.affine is not None]
    fixed = next((source for source in known if not source.moved), known[0] if known else None)
    if fixed is None:
        return dict(sources)
    world = fixed.own_world
    # Files along the scanner's axes are displayed where they are.
    oblique = not np.allclose(world[:3, :3], np.eye(3), atol=STRAIGHT)
    return {
        name: replace(source, world=world, beside=fixed.name if oblique else "")
        if oblique and source is not fixed and (source.affine is None or source.moved)
        else source
        for name, source in sources.items()
    }


def changed_note(source: Source, what: str) -> str:
    """Say that a layer counts as shown and not as in its file.

    Parameters
    ----------
    source
        A layer that was read from a file.
    what
        What is taken as shown, such as ``"its values"``.
    """
    origin = "" if source.path is None else f" from {source.path.name}"
    verb = "were" if what.endswith("values") or " and " in what else "was"
    return (
        f"The layer {source.name} was changed since it was read{origin}: {what} as shown {verb} "
        "taken."
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
