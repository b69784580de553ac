"""Changed images as nnU-Net sees them: cropped and scaled as those that they were before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import SegmentationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ZSCORE, TO_UNIT = "ZScoreNormalization", "RescaleTo01Normalization"
"""Normalisations by numbers of the image itself, which are those of the original here."""
FIXED = ("CTNormalization", "NoNormalization", "RGBTo01Normalization")
"""Normalisations that are the same for every image."""
_LEAST = 1e-8
"""What nnU-Net divides by at the least."""


def preprocessed(
    changed: NDArray[np.float32],
    original: NDArray[np.float32],
    box: Sequence[Sequence[int]],
    shape: Sequence[int],
    spacing: Sequence[float],
    plans: Any,
    configuration: Any,
) -> NDArray[np.float32]:
    """Preprocess changed images with nnU-Net's own functions.

    Its preprocessor would crop them to what is not 0 in them, and scale them by their own mean, so
    that every voxel changes where one did. The crop, the means and the standard deviations are
    those of the original, all else is as it does it; what is outside of the patient, where
    nnU-Net scales within him only, is where the changed images are 0.

    Parameters
    ----------
    changed, original
        float32 (C, x, y, z), with the network's axes.
    box
        What the original was cropped to, of each axis the first voxel and the one behind the last.
    shape
        The network's, (x', y', z').
    spacing
        Voxel size in mm along these axes.
    plans, configuration
        nnU-Net's own.

    Returns
    -------
    float32 (C, x', y', z').

    Raises
    ------
    SegmentationError
        If the plans name a normalisation of which it is not known what it takes from an image.
    """
    from acvl_utils.cropping_and_padding.bounding_boxes import bounding_box_to_slice
    from nnunetv2.preprocessing.cropping.cropping import create_nonzero_mask

    schemes = configuration.normalization_schemes
    if unknown := [name for name in schemes if name not in (ZSCORE, TO_UNIT, *FIXED)]:
        raise SegmentationError(
            f"Changed images (what-if, context) are not computed with nnU-Net's {unknown[0]}: it "
            "may scale them anew, so that every voxel changes; choose another network for them."
        )
    crop = bounding_box_to_slice(box)
    inside, patient = (create_nonzero_mask(one)[crop] for one in (changed, original))
    values, before = (one[(slice(None), *crop)].astype(np.float32) for one in (changed, original))
    preprocessor = configuration.preprocessor_class(verbose=False)
    known = plans.foreground_intensity_properties_per_channel
    seg = np.where(inside, np.int8(0), np.int8(-1))[None]
    found = preprocessor._normalize(values.copy(), seg, configuration, known)
    for channel, scheme in enumerate(schemes):
        within = bool(configuration.use_mask_for_norm[channel]) and scheme == ZSCORE
        was = before[channel][patient] if within else before[channel]
        if scheme in FIXED:
            continue
        first = was.mean() if scheme == ZSCORE else was.min()
        size = max(was.std() if scheme == ZSCORE else (was - first).max(), _LEAST)
        scaled = (values[channel] - first) / size
        found[channel] = np.where(inside, scaled, values[channel]) if within else scaled
    moved = configuration.resampling_fn_data(found, shape, spacing, configuration.spacing)
    return np.asarray(moved, dtype=np.float32)
