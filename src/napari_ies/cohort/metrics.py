"""How well a network's lesions match an expert's, in the counts and formulas of MONAI's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.metrics import compute_confusion_matrix_metric

from napari_ies.geometry.components import instances

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

LOAD = 0.001
"""Share of a volume that lesions take in the mean, to which the normalised Dice refers."""


def match_metrics(
    labels: NDArray[np.int32], lesions: pd.DataFrame, reference: NDArray[np.bool_]
) -> dict[str, float]:
    """Compare a case's lesions with a reference.

    Parameters
    ----------
    labels
        int32 (X, Y, Z): those the network marked, and those it missed.
    lesions
        A row per lesion, with its ``match``.
    reference
        bool (X, Y, Z).

    Returns
    -------
    ``dice``; ``normalised_dice``, in which false positive voxels weigh as they would were `LOAD` of
    the volume lesion (Raina et al. 2023, arXiv:2302.05432; the normalised Dice of
    the original scripts); ``lesion_precision``, the share of TP among the lesions marked;
    ``lesion_sensitivity``, the share of the reference's lesions that a marked one touches; and
    ``lesion_f1`` = 2 TP / (2 TP + FP + FN). Each is NaN where it is 0 / 0, but for the two Dice,
    which are 1 where neither has a voxel.
    """
    counts = {kind: int((lesions["match"] == kind).sum()) for kind in ("TP", "FP", "FN")}
    missed = lesions.index[lesions["match"] == "FN"]
    marked = (labels > 0) & ~np.isin(labels, missed)
    expected = int(instances(reference).max(initial=0))
    both, voxels = int(np.count_nonzero(marked & reference)), int(np.count_nonzero(reference))
    false = int(np.count_nonzero(marked)) - both
    healthy = reference.size - voxels
    scale = (1 - LOAD) * voxels / (LOAD * healthy) if voxels and healthy else 1.0
    nothing = not (voxels or false)
    return {
        "dice": 1.0 if nothing else _metric("f1 score", both, false, voxels - both),
        "normalised_dice": 1.0
        if nothing
        else _metric("f1 score", both, scale * false, voxels - both),
        "lesion_f1": _metric("f1 score", counts["TP"], counts["FP"], counts["FN"]),
        "lesion_sensitivity": _metric("sensitivity", expected - counts["FN"], 0, counts["FN"]),
        "lesion_precision": _metric("precision", counts["TP"], counts["FP"], 0),
    }


def _metric(name: str, true: float, false: float, missed: float) -> float:
    matrix = torch.tensor([true, false, 0, missed], dtype=torch.float64)
    return float(compute_confusion_matrix_metric(name, matrix))
