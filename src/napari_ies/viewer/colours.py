"""Colours of overlays and outlines: safe for colour-blind readers, clear where the value is 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.utils.colormaps import Colormap, DirectLabelColormap
    from numpy.typing import NDArray

FILL_OPACITY = 0.18
"""How much a lesion is tinted in a slice."""
OUTLINE = (1.0, 0.85, 0.25, 0.9)
"""Outline of a lesion the network marked: amber."""
OUTLINE_MISSED = (0.80, 0.55, 1.0, 0.9)
"""Outline of a reference lesion the network missed: lilac."""
OUTLINE_SELECTED = (0.25, 1.0, 0.75, 1.0)
"""Outline of the selected lesion: green of high luminance."""

_NEGATIVE = np.array([[0.03, 0.19, 0.60], [0.13, 0.45, 0.95], [0.55, 0.76, 1.0], [0.85, 0.93, 1.0]])
_POSITIVE = np.array([[1.0, 0.90, 0.86], [1.0, 0.66, 0.55], [0.94, 0.27, 0.20], [0.62, 0.02, 0.08]])
_INFERNO = np.array(
    [
        [0.0, 0.0, 0.02],
        [0.34, 0.06, 0.43],
        [0.73, 0.21, 0.33],
        [0.98, 0.55, 0.04],
        [0.99, 1.0, 0.64],
    ]
)
_STEPS = 128
_CLEAR = (0.0, 0.0, 0.0, 0.0)


def diverging() -> Colormap:
    """Blue (negative) through clear to red (positive); opacity grows with the magnitude."""
    magnitude = np.linspace(0, 1, _STEPS)
    negative = _ramp(_NEGATIVE, 1 - magnitude[::-1])
    positive = _ramp(_POSITIVE, magnitude)
    alpha = _opacity(magnitude)
    colours = np.concatenate(
        [np.column_stack([negative, alpha[::-1]]), np.column_stack([positive, alpha])[1:]]
    )
    return _colormap(colours, "ies-blue-white-red")


def sequential() -> Colormap:
    """Clear at 0, through purple and orange to pale yellow, lightness rising evenly (inferno)."""
    magnitude = np.linspace(0, 1, _STEPS)
    colours = np.column_stack([_ramp(_INFERNO, magnitude), _opacity(magnitude)])
    return _colormap(colours, "ies-inferno")


def lesion_fill(
    missed: Sequence[int], selected: int | None = None, *, filled: bool = False
) -> DirectLabelColormap:
    """Return the colours of the lesions' Labels layer.

    Parameters
    ----------
    missed
        Reference lesions that the network missed.
    selected
        The selected lesion.
    filled
        Whether the lesions are coloured in full, as in 3-d; in slices they are tinted faintly,
        and the selected one is clear so that its saliency shows: outlines say where they are.
    """
    from napari.utils.colormaps import DirectLabelColormap

    alpha = 1.0 if filled else FILL_OPACITY
    table: dict[int | None, tuple[float, ...]] = {None: (*OUTLINE[:3], alpha), 0: _CLEAR}
    table.update(dict.fromkeys(missed, (*OUTLINE_MISSED[:3], alpha)))
    if selected is not None:
        table[selected] = OUTLINE_SELECTED if filled else _CLEAR
    return DirectLabelColormap(color_dict=table)


def _opacity(magnitude: NDArray[np.float64]) -> NDArray[np.float64]:
    # Below a tenth of the limit the anatomy stays untouched, above two thirds it hardly shows.
    return np.asarray(np.clip((magnitude - 0.1) / 0.55, 0, 1) * 0.9)


def _ramp(anchors: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    positions = np.linspace(0, 1, len(anchors))
    return np.column_stack([np.interp(at, positions, channel) for channel in anchors.T])


def _colormap(colours: NDArray[np.float64], name: str) -> Colormap:
    from napari.utils.colormaps import Colormap

    return Colormap(colours.astype(np.float32), name=name)
