"""Colours of overlays and outlines: safe for colour-blind readers, clear where the value is 0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.colour_maps import OUTLINE_SELECTED, overlay_colours

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.utils.colormaps import Colormap, DirectLabelColormap
    from numpy.typing import NDArray

AMBER, ORANGE, LILAC = (1.0, 0.85, 0.25, 0.9), (0.92, 0.33, 0.05, 0.95), (0.80, 0.55, 1.0, 0.9)


@dataclass(frozen=True)
class Outline:
    """How the borders of lesions of one kind are drawn."""

    colour: tuple[float, float, float, float]
    dashes: tuple[int, int] = (1, 0)
    """How many voxels' edges a dash and a gap are long: colour is not all that tells them apart."""


UNMATCHED = Outline(AMBER)
"""Of a lesion the network marked, without a reference."""
OUTLINES = {"TP": UNMATCHED, "FP": Outline(ORANGE, (3, 1)), "FN": Outline(LILAC, (1, 1))}
"""Of lesions by their match with the reference."""

_ONLY_BACKWARDS = ("managua_r",)
_CLEAR = (0.0, 0.0, 0.0, 0.0)


def lesion_fill(matches: Mapping[int, str], selected: int | None = None) -> DirectLabelColormap:
    """Return the colours of the lesions' Labels layer: those of their outlines.

    Parameters
    ----------
    matches
        ``"TP"``, ``"FP"`` or ``"FN"`` by label; empty without a reference.
    selected
        The selected lesion.
    """
    from napari.utils.colormaps import DirectLabelColormap

    table: dict[int | None, tuple[float, ...]] = {None: (*AMBER[:3], 1.0), 0: _CLEAR}
    table.update({label: (*OUTLINES[match].colour[:3], 1.0) for label, match in matches.items()})
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
