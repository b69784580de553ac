"""Contexts as tables: a row per lesion and step, and the columns of the paper's script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from napari_ies.cohort.context.perilesional import Context

KEYS = ("lesion", "background")
"""What a context is about: the lesion, and the sequences that became background."""
COLUMNS: dict[str, dict[str, object]] = {
    "lesion": {"Description": "Label of the lesion, or the name of the region"},
    "background": {
        "Description": "The sequences that are background outside the grown lesion; all, or names"
    },
    "match": {
        "Description": "Match of the lesion with the reference mask: TP, FP, FN; n/a without one"
    },
    "voxels": {"Description": "Number of voxels of the lesion", "Units": "1"},
    "volume_mm3": {"Description": "Volume of the lesion", "Units": "mm3"},
    "step": {"Description": "Number of the step; 0 is the lesion alone", "Units": "1"},
    "distance_mm": {
        "Description": "How far around the lesion's border the images are kept at least (of a "
        "dilation, along the axis with the smallest voxels; between the axes it reaches up to "
        "1.42 times as far)",
        "Units": "mm",
    },
    "kept_voxels": {"Description": "Voxels that are kept, the lesion's included", "Units": "1"},
    "mean_probability": {
        "Description": "Mean of the network's probability over the lesion's voxels",
        "Units": "1",
    },
    "voxels_above": {
        "Description": "Voxels of the lesion that are marked: with a probability above the "
        "threshold, or as the network's own tool decides (see the notes)",
        "Units": "1",
    },
    "detected": {"Description": "1 if there is such a voxel, else 0", "Units": "1"},
    "whole_probability": {
        "Description": "mean_probability for the images as they are",
        "Units": "1",
    },
    "whole_above": {"Description": "voxels_above for the images as they are", "Units": "1"},
}
"""What each column is, as BIDS describes columns."""


def context_rows(
    context: Context, lesion: str, match: str | None, voxel_mm3: float
) -> pd.DataFrame:
    """Return a context as a row per step, with the :data:`COLUMNS`."""
    steps = np.arange(len(context.distance_mm))
    return pd.DataFrame(
        {
            "lesion": lesion,
            "background": context.request.title,
            "match": match,
            "voxels": context.voxels,
            "volume_mm3": context.voxels * voxel_mm3,
            "step": steps,
            "distance_mm": context.distance_mm,
            "kept_voxels": context.kept_voxels,
            "mean_probability": context.mean_probability,
            "voxels_above": context.voxels_above,
            "detected": context.detected.astype(int),
            "whole_probability": context.whole_probability,
            "whole_above": context.whole_above,
        },
        columns=list(COLUMNS),
    )


def paper_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return lesions with the columns of the paper's script, a row per dilation.

    They are those of ``contextual_info_nets_csv.py``: ``distance_mm``, ``average_score`` and
    ``std_dev`` (mean and standard deviation over the lesions of the mean probability inside),
    ``n_predictions`` (how many are detected), and ``score_0``, ``score_1``, … for the lesions in
    their order. Only the distance differs: the script writes 34 numbers spaced evenly from 1 to 35
    for dilations that reach 1 to 34 voxels; here it is how far the dilation reaches.

    Parameters
    ----------
    rows
        Rows of one network, one background and one growth, in order: of each lesion one per step.
        Step 0 is left out, as the script has none.
    """
    whose = [name for name in ("subject", "visit", "lesion") if name in rows]
    lesions = [group for _, group in rows.groupby(whose, sort=False, dropna=False)]
    found = {
        name: np.stack([lesion[name].to_numpy() for lesion in lesions])
        for name in ("distance_mm", "mean_probability", "detected")
    }
    every = found["mean_probability"]
    table = {
        "distance_mm": found["distance_mm"].mean(axis=0),
        "average_score": every.mean(axis=0),
        "std_dev": every.std(axis=0),
        "n_predictions": found["detected"].sum(axis=0),
        **{f"score_{number}": score for number, score in enumerate(every)},
    }
    return pd.DataFrame(table).iloc[1:].reset_index(drop=True)


def curve(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over lesions at each step, with ``distance_mm``, ``mean``, ``deviation``
    (standard deviation over the lesions), ``detected`` and ``lesions`` (how many there are).
    """
    steps = rows.groupby("step")
    return pd.DataFrame(
        {
            "distance_mm": steps["distance_mm"].mean(),
            "mean": steps["mean_probability"].mean(),
            "deviation": steps["mean_probability"].std(ddof=0),
            "detected": steps["detected"].sum(),
            "lesions": steps.size(),
        }
    )
