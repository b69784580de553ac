"""Colours of overlays and outlines: safe for colour-blind readers, clear where the value is 0."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.colour_maps import OUTLINE_SELECTED, overlay_colours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.utils.colormaps import Colormap, DirectLabelColormap
    from numpy.typing import NDArray

OUTLINE = (1.0, 0.85, 0.25, 0.9)
"""Outline of a lesion the network marked: amber."""
OUTLINE_MISSED = (0.80, 0.55, 1.0, 0.9)
"""Outline of a reference lesion the network missed: lilac."""

_ONLY_BACKWARDS = ("managua_r",)
_CLEAR = (0.0, 0.0, 0.0, 0.0)


def lesion_fill(missed: Sequence[int], selected: int | None = None) -> DirectLabelColormap:
    """Return the colours of the lesions' Labels layer: those of their outlines.

    Parameters
    ----------
    missed
        Reference lesions that the network missed.
    selected
        The selected lesion.
    """
    from napari.utils.colormaps import DirectLabelColormap

    table: dict[int | None, tuple[float, ...]] = {None: (*OUTLINE[:3], 1.0), 0: _CLEAR}
    table.update(dict.fromkeys(missed, (*OUTLINE_MISSED[:3], 1.0)))
    if selected is not None:
        table[selected] = OUTLINE_SELECTED
    return DirectLabelColormap(color_dict=table)


@lru_cache
def _colormap(name: str, threshold: int, *, signed: bool) -> Colormap:
    """Return the colours of maps, by a diverging or sequential colour map that napari knows.

    They are clear up to the threshold, a magnitude in percent of the limit.
    """
    from napari.utils.colormaps import Colormap, ensure_colormap

    def colours_at(position: NDArray[np.float64]) -> NDArray[Any]:
        # napari ships most maps in both directions, but not all.
        backwards = name in _ONLY_BACKWARDS
        shipped = ensure_colormap(name.removesuffix("_r") if backwards else name)
        return np.asarray(shipped.map(1 - position if backwards else position))

    colours = overlay_colours(colours_at, signed=signed, threshold=threshold / 100)
    # napari keeps every colour map it meets under its name, so equal ones are named equally.
    return Colormap(colours.astype(np.float32), name=f"{name} from {threshold} %")


diverging = partial(_colormap, signed=True)
"""The colours of signed maps: clear around 0, opacity grows with the magnitude."""
sequential = partial(_colormap, signed=False)
"""The colours of maps without negative values: clear at 0, then more and more opaque."""
