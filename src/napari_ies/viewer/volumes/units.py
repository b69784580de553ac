"""Units: how long the units of viewer layers are, and where the viewer's world meets millimetres.

Everything here computes in millimetres. napari shows each layer in the layer's own units and counts
world positions, such as the sliders' and the mouse's, in the smallest unit of all layers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MM = ("mm", "mm", "mm")


def mm_per(unit: Any) -> float | None:
    """Return how many millimetres a unit is, or None for one that is no length (``"pixel"``).

    Parameters
    ----------
    unit
        A name that pint knows, or a unit of pint's.
    """
    return _mm_per(str(unit))


@lru_cache(maxsize=64)
def _mm_per(name: str) -> float | None:
    import pint  # napari's own units are pint's, of the application's registry

    registry: Any = pint.get_application_registry()  # type: ignore[no-untyped-call]
    try:
        return float(registry.Quantity(1.0, name).to("millimeter").magnitude)
    except (pint.errors.DimensionalityError, pint.errors.UndefinedUnitError):
        return None


def mm_of_axes(units: Sequence[Any]) -> NDArray[np.float64]:
    """Return how many millimetres 1 is along each axis; 1 where the unit is no length."""
    lengths = [mm_per(unit) for unit in units]
    return np.array([1.0 if length is None else length for length in lengths])


def mm_of_world(model: Any, units: Sequence[Any]) -> NDArray[np.float64]:
    """Return how many millimetres 1 is along the last three axes of a viewer's world.

    Parameters
    ----------
    model
        The viewer, or a viewer model.
    units
        What to go by where the layers' units contradict each other: napari then draws every layer
        by its bare numbers.
    """
    world = model.layers.extent.units if len(model.layers) else None
    if world is None or len(world) < len(units):
        world = units
    return mm_of_axes(world[-3:])


def share_world_units(model: Any, viewer: Any) -> None:
    """Let a viewer model count its world as a viewer does, whichever of its layers it shows.

    What it shows may lack the layer with the smallest unit; positions would then mean something
    else in the two.
    """
    world = viewer.layers.extent.units if len(viewer.layers) else None
    own = model.layers.extent.units if len(model.layers) else None
    if world is None or own is None or len(world) != len(own) or tuple(world) == tuple(own):
        return
    if all(mm_per(unit) is not None for unit in (*world, *own)):
        model.layers.units = tuple(world)
