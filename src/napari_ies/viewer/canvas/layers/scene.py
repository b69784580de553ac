"""Scene: the images, the lesions and the saliency of one viewer, and where it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from napari_ies.colour_maps import window_of
from napari_ies.viewer.canvas.layers.anatomy import Anatomy
from napari_ies.viewer.canvas.layers.counterfactual import CounterfactualLayers
from napari_ies.viewer.canvas.layers.lesions import LesionLayers
from napari_ies.viewer.canvas.layers.overlays import SaliencyOverlays
from napari_ies.viewer.canvas.layers.regions import RegionLayers
from napari_ies.viewer.canvas.layers.space import SpaceLayers
from napari_ies.viewer.canvas.layers.stack import LayerStack, key_of, set_visible
from napari_ies.viewer.canvas.legend.legend import Legend
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.volumes.frame import point
from napari_ies.viewer.volumes.sources import why_unsuitable
from napari_ies.viewer.volumes.units import MM, mm_of_axes, mm_of_world

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_ies.patient.case import Case
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.volumes.frame import Frame, Point, Voxel
    from napari_ies.viewer.volumes.layer_data import LayerDataTuple

EDGE = 0.08
"""What lies this near to the edge of the view, as a share of it, is not in sight: below captions,
half cut off."""
UNFINISHED = " (unfinished)"
"""Behind the name of a layer whose map was given up in the middle."""
ABOVE_IMAGES = ("probability", "lesions", "overlay")


class Scene:
    """What the panel shows in a viewer.

    Parameters
    ----------
    viewer
        The napari viewer, or the proxy that plugins get.

    Attributes
    ----------
    lesions
        The lesions and their probability, and what is outlined.
    legend
        What is said on the viewer's canvases of what they show.
    anatomy
        Which image shows which sequence, and which is on show.
    regions
        What a person painted.
    overlays
        The saliency of the selected lesion.
    space
        The surfaces of the 3-d view.
    counterfactual
        What changes when a region is changed.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.room_taken: Event[[object]] = Event()
        """A part takes the room beside the image; another one that has it gives it back."""
        self._stack = LayerStack(viewer)
        self._resampled: dict[str, str] = {}
        self._frame: Frame | None = None
        self._to_prepare: list[str] = []
        self.lesions = LesionLayers(self._stack)
        self.legend = Legend()
        self.anatomy = Anatomy(self._stack)
        self.regions = RegionLayers(self._stack, self.lesions.outlines)
        self.overlays = SaliencyOverlays(self._stack, self.legend)
        self.space = SpaceLayers(self._stack)
        self.counterfactual = CounterfactualLayers(self._stack, self.overlays, self.legend)

    def images(self) -> Iterator[Any]:
        """Yield the image layers that may be a sequence: 3-d, grey, not made here."""
        return self._suitable(Image)

    def images_shown(self) -> list[Any]:
        """Return every image that a map may lie over, visible or not, the lowest first."""
        suitable = {key_of(layer) for layer in self.images()} | set(self._resampled.values())
        return [layer for layer in self._stack if key_of(layer) in suitable]

    def show_sequence(self, name: str) -> Any | None:
        """Show a sequence, image and map, on the case's grid; return the image's layer, if any."""
        self.anatomy.show(name)
        self.overlays.set_sequence(name)
        resampled = self.find(self._resampled.get(name))
        if resampled is not None:
            set_visible(resampled, True)
        return self.anatomy.layer_of(name) if resampled is None else resampled

    def masks(self) -> Iterator[Any]:
        """Yield the Labels layers that may be a mask: 3-d, not made here."""
        return self._suitable(Labels)

    def unsuitable_images(self) -> Iterator[tuple[Any, str]]:
        """Yield the image layers that cannot be a sequence, and what each of them is instead."""
        return self._unsuitable(Image)

    def unsuitable_masks(self) -> Iterator[tuple[Any, str]]:
        """Yield the Labels layers that cannot be a mask, and what each of them is instead."""
        return self._unsuitable(Labels)

    def find(self, key: str | None) -> Any | None:
        """Return the layer with a key, or None if it is gone."""
        return self._stack.find(key)

    def add(self, layer_data: LayerDataTuple, *, on_top: bool = True) -> str:
        """Add an image or a mask below the lesions and overlays; return its key.

        Parameters
        ----------
        layer_data
            Data, arguments and kind of the layer.
        on_top
            Whether it lies over the images that are there already, or under them.
        """
        data, arguments, kind = layer_data
        first = not len(self._stack)
        key = key_of(getattr(self._viewer, f"add_{kind}")(data, **arguments))
        if on_top:
            self._stack.put_below(key, ABOVE_IMAGES)
        else:
            self._stack.put_at_bottom(key)
        if first:
            self.frame_all()
        return key

    def remove(self, *keys: str) -> None:
        """Remove layers that are still there."""
        self._stack.remove(*keys)

    def show_reading(self, reading: Reading) -> None:
        """Show what was found; the overlays of what was found before go, or show nothing.

        On the same grid the same layers show it: to make those anew takes seconds.
        """
        self.counterfactual.clear()
        if reading.frame != self._frame or not self.overlays.empty(reading.case.sequences):
            self.overlays.clear()
        self._frame = reading.frame
        self.lesions.show(reading.segmentation, reading.case, reading.frame)
        self.anatomy.set_reading(reading)
        self._show_resampled(reading.case, reading.frame, reading.resampled)
        self._to_prepare = list(reversed(reading.case.sequences))

    def prepare(self) -> bool:
        """Make a layer ahead for the next map; return whether more of them are to be made."""
        if self.overlays.unit:  # a map came first, and with it its layers
            self._to_prepare = []
        if self._to_prepare and self._frame is not None:
            self.overlays.prepare(self._to_prepare.pop(0), self._frame)
        return bool(self._to_prepare)

    def mark_unfinished(self) -> None:
        """Say in the names of the overlay's layers that they are a part of a map."""
        for layer in self.overlays.layers.values():
            if not layer.name.endswith(UNFINISHED):
                layer.name += UNFINISHED

    def clear(self) -> None:
        """Show nothing that was found: lesions, overlays and resampled images go."""
        self.counterfactual.clear()
        self.overlays.clear()
        self.lesions.clear()
        self._stack.remove(*self._resampled.values())
        self._resampled, self._frame, self._to_prepare = {}, None, []

    def frame_all(self, keys: Iterable[str] = ()) -> None:
        """Show the middle slices, of some layers if they are named, all heads and a scale bar."""
        self._viewer.canvas.overlays.scale_bar.visible = True
        dims = self._viewer.dims
        layers = [layer for layer in map(self.find, keys) if layer is not None]
        ends = [layer.extent.world[:, -3:] * mm_of_axes(layer.units[-3:]) for layer in layers]
        for axis, (start, stop, step) in enumerate(dims.range):
            middle = (stop - start) / 2
            if ends and (own := axis - dims.ndim) >= -3:
                low, high = np.min(ends, axis=(0, 1)), np.max(ends, axis=(0, 1))
                middle = self.in_world((low + high) / 2)[own] - start
            # On a slice, as the slider would put it.
            dims.set_point(axis, start + step * int(middle / step))
        self._viewer.reset_view()

    def in_mm(self, position: Sequence[float]) -> Point:
        """Return a position, or a direction, of the viewer's world in mm."""
        return point(np.asarray(position, dtype=float)[-3:] * self._mm_of_world())

    def in_world(self, position: Sequence[float]) -> Point:
        """Return a position, or a distance, in mm as the viewer's world counts it."""
        return point(np.asarray(position, dtype=float) / self._mm_of_world())

    @property
    def crosshair(self) -> Point:
        """Where the viewer's slices meet, in mm."""
        return self.in_mm((0.0, 0.0, 0.0, *self._viewer.dims.point))

    def look_at(self, place: Point) -> None:
        """Move the slices to a position in mm, and the view if it is out of sight."""
        dims = self._viewer.dims
        axes = range(dims.ndim - 3, dims.ndim)
        position = self.in_world(place)
        dims.set_point(list(axes), list(position))
        layer = self.lesions.layer
        if layer is None or dims.ndisplay == 3:
            return
        shown = [axis - (dims.ndim - 3) for axis in dims.displayed]
        # napari takes a position in the layer's own units here.
        own = np.asarray(place) / (np.ones(3) if self._frame is None else self._frame.mm)
        index = np.asarray(layer.world_to_data(own))[shown]
        low, high = _in_sight(layer, shown)
        if np.any(index < low) or np.any(index > high):
            self._viewer.scene.camera.center = (0.0, *(position[axis] for axis in shown))

    def maps_on_images(self) -> Iterator[tuple[Any, Any]]:
        """Yield the layers of maps, each with the image layer of the sequence that it explains."""
        shown = self.anatomy.shown or ""
        for name, layer in self.overlays.layers.items():
            # A map of all sequences together lies on the one that is looked at.
            image = self.anatomy.layer_of(shown if name == "all" else name)
            if image is not None:
                yield layer, image

    def shows(self, mask: NDArray[np.bool_], origin: Voxel) -> bool:
        """Whether some of a lesion or region lies in the slice on show, in sight.

        Parameters
        ----------
        mask, origin
            Its voxels in a displayed box, bool, and the displayed index of the box's first voxel.
        """
        layer, dims = self.lesions.layer, self._viewer.dims
        if layer is None or self._frame is None:
            return False
        if dims.ndisplay == 3:
            return True
        depth, at = self._slice_of(layer)
        slice_ = at - origin[depth]
        if not 0 <= slice_ < mask.shape[depth]:
            return False
        shown = [axis for axis in range(3) if axis != depth]
        seen = np.argwhere(mask.take(slice_, depth)) + [origin[axis] for axis in shown]
        low, high = _in_sight(layer, shown)
        return bool(np.any(np.all((seen >= low) & (seen <= high), axis=1)))

    def shows_any(self, labels: Sequence[int]) -> bool:
        """Whether some of these lesions lies in the slice on show, in sight."""
        layer = self.lesions.layer
        if layer is None or self._viewer.dims.ndisplay == 3:
            return layer is not None
        depth, slice_ = self._slice_of(layer)
        if not 0 <= slice_ < layer.data.shape[depth]:
            return False
        seen, origin = np.isin(layer.data.take([slice_], depth), labels), [0, 0, 0]
        origin[depth] = slice_
        return self.shows(seen, (origin[0], origin[1], origin[2]))

    def hide_images(self) -> tuple[str, ...]:
        """Hide the images, masks and lesion slices; return the keys of those that were visible.

        In space, surfaces stand for them.
        """
        hidden = []
        self.lesions.replaced = True
        for layer in (*self.images(), *self.masks(), self.lesions.layer):
            if layer is not None and layer.visible:
                layer.visible = False
                hidden.append(key_of(layer))
        return tuple(hidden)

    def show_images(self, keys: Sequence[str]) -> None:
        """Show layers again that were hidden; those that are gone are left out."""
        self.lesions.replaced = False
        for key in keys:
            layer = self.find(key)
            if layer is not None:
                set_visible(layer, True)

    def _slice_of(self, layer: Any) -> tuple[int, int]:
        """Return across which axis of the lesions' layer the slice on show lies, and its index."""
        dims = self._viewer.dims
        (depth,) = {0, 1, 2} - {axis - (dims.ndim - 3) for axis in dims.displayed}
        # napari takes a position in the layer's own units here.
        mm = np.ones(3) if self._frame is None else self._frame.mm
        return depth, int(np.round(layer.world_to_data(np.asarray(self.crosshair) / mm))[depth])

    def _mm_of_world(self) -> NDArray[np.float64]:
        units = MM if self._frame is None else self._frame.units
        return mm_of_world(self._viewer, units)

    def _suitable(self, kind: type) -> Iterator[Any]:
        return (layer for layer in self._own(kind) if not why_unsuitable(layer))

    def _unsuitable(self, kind: type) -> Iterator[tuple[Any, str]]:
        reasons = ((layer, why_unsuitable(layer)) for layer in self._own(kind))
        return ((layer, reason) for layer, reason in reasons if reason)

    def _own(self, kind: type) -> Iterator[Any]:
        """Yield the layers of a kind that were not made here."""
        for layer in self._stack:
            if isinstance(layer, kind) and not self._stack.is_made_here(layer):
                yield layer

    def _show_resampled(self, case: Case, frame: Frame, sequences: Sequence[str]) -> None:
        """Add, hidden, the sequences that were resampled onto the case's grid."""
        self._stack.remove(*self._resampled.values())
        self._resampled = {}
        for sequence in sequences:
            channel = case.sequences.index(sequence)
            volume = case.data[channel]
            key = self._stack.make(
                "image",
                "resampled",
                frame.reorientation.apply(volume),
                name=f"{sequence} on the grid of {case.sequences[0]}",
                colormap="gray",
                interpolation2d="linear",
                blending="translucent",
                contrast_limits=window_of(volume, case.backgrounds[channel]),
                visible=False,
                known={"affine": case.affine},
                **frame.placement(),
            )
            self._stack.put_below(key, ABOVE_IMAGES)
            self._resampled[sequence] = key


def _in_sight(layer: Any, shown: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first and last index of a layer, along the shown axes, that is in sight."""
    first, last = np.asarray(layer.corner_pixels)[:, shown].astype(float)
    margin, ends = EDGE * (last - first), np.asarray(layer.data.shape)[shown] - 1
    # Where the images end within the view, nothing is cut off.
    return first + margin * (first > 0), last - margin * (last < ends)
