"""Render the pictures of the help: true maps of the demo's patient and network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from napari_ies import explain, load_checkpoint, segment
from napari_ies.colour_maps import OUTLINE_SELECTED, colour_limit, overlay_colours, window_of
from napari_ies.demo import demo_checkpoint
from napari_ies.demo.patient import synthetic_patient
from napari_ies.geometry.orientation import Reorientation
from napari_ies.geometry.outline import outline_segments
from napari_ies.patient.case import Case

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.saliency.saliency import Saliency

PAGES = Path(__file__).parents[1] / "src" / "napari_ies" / "viewer" / "help"
REACH_VOXELS = 14
"""How far around the lesion's centre a picture goes."""


@dataclass(frozen=True)
class Pattern:
    """A picture: the lesion nearest to a volume in mm³, one sequence, one map."""

    name: str
    volume_mm3: float
    sequence: int
    settings: dict[str, Any] = field(default_factory=dict)


PATTERNS = (
    Pattern("flair", 1100, 0, {"n_samples": 16}),
    Pattern("t1", 1100, 1, {"aggregation": "max", "n_samples": 4}),
    Pattern("context", 213, 0, {"aggregation": "max", "n_samples": 4}),
    Pattern("grid", 665, 0, {"n_samples": 16}),
    Pattern("gradcam", 1100, 0, {"method": "gradcam++"}),
)


def main() -> None:
    patient = synthetic_patient()
    case = Case(("FLAIR", "T1"), np.stack([patient.flair, patient.t1]), patient.affine)
    model = load_checkpoint(demo_checkpoint(), device="cpu")
    segmentation = segment(model, case)
    for pattern in PATTERNS:
        difference = (segmentation.lesions["volume_mm3"] - pattern.volume_mm3).abs()
        mask = segmentation.labels == difference.idxmin()
        draw(pattern, case, explain(model, case, mask, **pattern.settings), mask)


def draw(pattern: Pattern, case: Case, saliency: Saliency, mask: NDArray[np.bool_]) -> None:
    """Draw the axial slice through the lesion, without and with its map."""
    turn = Reorientation.for_display(case.affine, case.shape)
    shown = turn.apply(mask)
    plane, row, column = np.argwhere(shown).mean(axis=0).round().astype(int)
    figure = Figure(figsize=(4.2, 2.1), dpi=110, facecolor="black")
    for number, axes in enumerate(figure.subplots(1, 2)):
        volume = case.data[pattern.sequence]
        low, high = window_of(volume)
        axes.imshow(turn.apply(volume)[plane], cmap="gray", vmin=low, vmax=high)
        if number:
            _draw_map(axes, pattern, saliency, turn, plane)
        segments = [s for s in outline_segments(shown, (1, 2)) if s[0, 0] == plane]
        lines = [ends[:, :0:-1] for ends in segments]
        axes.add_collection(LineCollection(lines, colors=[OUTLINE_SELECTED], linewidths=0.8))
        axes.set_xlim(column - REACH_VOXELS, column + REACH_VOXELS)
        axes.set_ylim(row + REACH_VOXELS, row - REACH_VOXELS)
        axes.set_axis_off()
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.99, 0.02)
    FigureCanvasAgg(figure).print_png(PAGES / f"pattern_{pattern.name}.png", metadata={})


def _draw_map(
    axes: Any, pattern: Pattern, saliency: Saliency, turn: Reorientation, plane: int
) -> None:
    signed = saliency.request.method == "smoothgrad"
    limit = colour_limit(saliency)
    name = "RdBu_r" if signed else "inferno"
    colours = overlay_colours(mpl.colormaps[name], signed=signed, threshold=0.1)
    values = turn.apply(saliency.maps[pattern.sequence if signed else 0])[plane] / limit
    fraction = (values + 1) / 2 if signed else values
    index = np.clip(fraction * (len(colours) - 1), 0, len(colours) - 1).round().astype(int)
    axes.imshow(np.asarray(colours)[index])


if __name__ == "__main__":
    main()
