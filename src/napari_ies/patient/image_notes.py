"""What the intensities of an image tell that a reader must know: plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.patient.background import Background, in_memory_order, inside

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


NORMALISED_MEAN, NORMALISED_DEVIATION = 0.05, 0.05
"""How near mean and standard deviation of the patient's voxels are to 0 and 1 after z-scoring."""


def background_notes(
    volume: NDArray[np.float32], background: Background | None, name: str
) -> tuple[str, ...]:
    """Say what is unusual about the background and the scale of an image.

    Parameters
    ----------
    volume
        Intensities (X, Y, Z).
    background
        What was found in it.
    name
        Of the sequence.
    """
    notes = []
    if background is not None and not background.is_zero:
        share = f"{100 * background.share:.0f} % of the image"
        if background.others:
            every = " and ".join(f"{v:.4g}" for v in (background.value, *background.others))
            notes.append(
                f"The background of {name} has several values ({every}): together they fill "
                f"{share} and are treated as background."
            )
        else:
            value = f"{background.value:.4g}"
            what = f"about {value}, not one value" if background.uneven else f"{value}, not 0"
            notes.append(
                f"The background of {name} is {what}: it fills {share} and is treated as "
                "background."
            )
    volume = in_memory_order(volume)
    values = volume[inside(volume, background)]
    if values.size:
        mean, deviation = values.mean(dtype=float), values.std(dtype=float)
        if abs(mean) <= NORMALISED_MEAN and abs(deviation - 1) <= NORMALISED_DEVIATION:
            notes.append(
                f"{name} is normalised already (mean {values.mean():.2f}, standard deviation "
                f"{values.std():.2f} inside): its intensities are not the scanner's."
            )
    return tuple(notes)
