"""What is known of one voxel, in words for a person whose mouse rests there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.viewer.state.scaled import number, scaled_unit, with_error

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_ies.viewer.state.answers import Answer
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.volumes.frame import Voxel


def said_at(
    reading: Reading,
    answer: Answer | None,
    visible: Collection[str],
    voxel: Voxel,
    power: int = 0,
) -> tuple[str, ...]:
    """Say which lesion a voxel is of, its probability, and the saliency that is on show there.

    Parameters
    ----------
    reading
        The patient.
    answer
        The map on screen, or None.
    visible
        The sequences whose map is visible.
    voxel
        A stored voxel of the case's grid.
    power
        Saliency is told in units of ten to this power, as by the colour bar.

    Returns
    -------
    Lines such as ``"Lesion 6 · probability 0.83"`` and ``"FLAIR saliency 12 ± 2 · 10⁻³"``.
    """
    segmentation = reading.segmentation
    parts = [f"probability {float(segmentation.probability[voxel]):.2f}"]
    label = int(segmentation.labels[voxel])
    if label:
        parts.insert(0, f"Lesion {label}{', missed' if _is_missed(reading, label) else ''}")
    lines = [" · ".join(parts)]
    if answer is not None:
        saliency = answer.saliency
        start, stop = saliency.box.start, saliency.box.stop
        inside = all(a <= i < b for i, a, b in zip(voxel, start, stop, strict=True))
        x, y, z = (i - a for i, a in zip(voxel, start, strict=True))
        errors, spreads = saliency.cropped_standard_error, saliency.cropped_spread
        times = f" · {scaled_unit('', power).strip()}" if power else ""
        for channel, name in enumerate(saliency.sequences):
            if name not in visible:
                continue
            value = float(saliency.cropped[channel, x, y, z]) if inside else 0.0
            error = float(errors[channel, x, y, z]) if inside and errors is not None else 0.0
            whose = "" if name == "all" else f"{name} "
            text = with_error(value, error, power) if error > 0 else number(value, power, digits=2)
            if inside and spreads is not None:
                apart = number(float(spreads[channel, x, y, z]), power, digits=2)
                text += f" (members ± {apart})"
            lines.append(f"{whose}saliency {text}{times}")
    return tuple(lines)


def _is_missed(reading: Reading, label: int) -> bool:
    table = reading.segmentation.lesions
    return "match" in table.columns and table["match"].get(label) == "FN"
