"""What the tab "Context" says of a curve, besides its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.printable import joined
from napari_ies.viewer.state.titles import capitalised

if TYPE_CHECKING:
    from napari_ies.cohort.context.growth import Growth
    from napari_ies.cohort.context.perilesional import Context
    from napari_ies.viewer.state.curves import Curve, CurveKey

NONE_SELECTED = "Select a lesion to see how much of its surroundings the network needs to find it."
HEADINGS = {
    "Kept": "How far around the lesion's border the images are kept; the rest is background.",
    "Probability": "Mean of the network's probability over the lesion's voxels.",
    "Detected": "Whether a voxel of the lesion is marked, as the segmentation marks it.",
    "Voxels above": "How many of the lesion's voxels are marked: above the threshold, or where an "
    "nnU-Net of several classes decides so.",
}
"""The columns of the table, and what they are."""


def growth_words(growth: Growth) -> str:
    """Say how a lesion is grown."""
    if growth.dilations:
        return f"{growth.dilations} dilations"
    return f"steps of {growth.step_mm:g} mm to {growth.steps * growth.step_mm:g} mm"


def background_words(sequences: tuple[str, ...]) -> str:
    """Say what becomes background."""
    return f"{joined(sequences)} to background" if sequences else "all sequences to background"


def curve_line(curve: Curve) -> str:
    """Say which curve it is: subject, settings, threshold, network."""
    request = curve.context.request
    parts = [
        capitalised(curve.subject.called),
        background_words(request.sequences),
        growth_words(request.growth),
        f"threshold {request.threshold:g}",
        curve.model_name,
    ]
    return " · ".join(parts)


def outdated(curve: Curve, asked: CurveKey | None, threshold: float | None) -> str:
    """Say in what a curve is not what would be computed now; empty where it is.

    Parameters
    ----------
    curve
        The one on screen.
    asked
        Of the one that the form asks for, with the network that is loaded; None if there is none.
    threshold
        What the segmentation's form says now; None if that is not known.
    """
    said = []
    own = curve.context.request
    if asked is not None and curve.model_key != asked[2]:
        said.append(f"another network is loaded now than {curve.model_name}")
    if asked is not None and (own.sequences, own.growth) != (asked[1].sequences, asked[1].growth):
        said.append("the form asks for other steps or sequences")
    told = f"Outdated: {joined(said)}; compute it again for that." if said else ""
    # A form shows two digits.
    if threshold is not None and abs(threshold - own.threshold) > 0.006:
        told += (
            f" The threshold says {threshold:g} now, this curve was read at {own.threshold:g}: "
            "segment again for lesions and curves at the new one."
        )
    return told.strip()


def rows(context: Context) -> list[tuple[str, ...]]:
    """Return the values of a curve as the table shows them: the whole image, then a row a step."""
    found = [
        (
            f"{distance:g} mm" if step else "lesion alone",
            f"{mean:.3f}",
            "yes" if above else "no",
            str(above),
        )
        for step, (distance, mean, above) in enumerate(
            zip(context.distance_mm, context.mean_probability, context.voxels_above, strict=True)
        )
    ]
    above = context.whole_above
    whole = "whole image", f"{context.whole_probability:.3f}", "yes" if above else "no", str(above)
    return [whole, *found]


def nearest_step(context: Context, share: float) -> int | None:
    """Return the step nearest to a place along the plot's axis; None where none is known.

    Parameters
    ----------
    context
        The curve.
    share
        0 at the axis's left end, 1 at its right one, see
        :func:`~napari_ies.cohort.context.one_curve.draw_context`.
    """
    from napari_ies.cohort.context.one_curve import ends

    known = len(context.distance_mm)
    if not known or not 0 <= share <= 1:
        return None
    low, high = ends(context)
    apart = abs(context.distance_mm - (low + share * (high - low)))
    return int(apart.argmin())
