"""Probability map to lesion instances, their table, and their match with a reference mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import ndimage

from napari_ies.geometry.box import Box
from napari_ies.geometry.components import instances
from napari_ies.patient.mask_values import MOST_LABELS
from napari_ies.patient.midline import Midline, hemispheres
from napari_ies.printable import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.geometry.grid import Grid
    from napari_ies.patient.case import Case

COLUMNS: dict[str, dict[str, object]] = {
    "voxels": {"Description": "Number of voxels of the images' own grid"},
    "volume_mm3": {"Description": "Volume", "Units": "mm^3"},
    "mean_probability": {
        "Description": "Mean probability over the lesion's voxels, by the network",
        "Units": "1",
    },
    "max_probability": {
        "Description": "Highest probability in the lesion, by the network",
        "Units": "1",
    },
    **{
        f"centre_{axis}_mm": {
            "Description": f"Centre of mass along {axis} of the scanner's RAS+ axes",
            "Units": "mm",
        }
        for axis in "xyz"
    },
    "hemisphere": {
        "Description": "Side of the brain's midline plane on which the centre of mass lies",
        "Levels": {
            "left": "the patient's left",
            "right": "the patient's right",
            "midline": "closer to the plane than it is known",
            "unknown": "the images show no plane of symmetry",
        },
    },
    "midline_mm": {
        "Description": "Distance of the centre of mass from the brain's midline plane, which is "
        "the sagittal plane of best mirror symmetry of the images",
        "Units": "mm",
    },
    "match": {
        "Description": "Match with the reference mask",
        "Levels": {
            "TP": "marked by the network, overlaps the reference",
            "FP": "marked by the network alone",
            "FN": "in the reference alone",
        },
    },
}
"""What each column of a lesion table is, as BIDS describes columns."""


def find_lesions(
    probability: NDArray[np.float32], threshold: float, smallest: int = 6
) -> NDArray[np.int32]:
    """Find the lesion instances in a probability map.

    Parameters
    ----------
    probability
        (X, Y, Z).
    threshold
        A voxel belongs to a lesion if its probability is above this.
    smallest
        Smallest number of voxels an instance may have; the paper's "more than 5" is 6.

    Returns
    -------
    int32 (X, Y, Z): 0 background, otherwise the label 1, 2, … of an 18-connected instance, in
    scan order of the stored array.
    """
    return instances(probability > threshold, smallest)


def lesion_boxes(labels: NDArray[np.int32]) -> dict[int, Box]:
    """Find the smallest box that holds each lesion: all of them in one pass over the grid.

    Parameters
    ----------
    labels
        int (X, Y, Z): 0 background.

    Returns
    -------
    The box of each label that there is, in the order of the labels.
    """
    known = range(1, int(labels.max(initial=0)) + 1)
    if len(known) > MOST_LABELS:  # a list of all up to the highest would take memory by that
        known = np.unique(labels[labels > 0]).tolist()
        labels = np.where(labels > 0, np.searchsorted(known, labels) + 1, 0)
    found = zip(known, ndimage.find_objects(labels), strict=True)
    return {label: Box.of(box) for label, box in found if box is not None}


def match_reference(
    labels: NDArray[np.int32], reference: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], dict[int, str]]:
    """Match predicted instances with a reference mask.

    A predicted instance that overlaps the reference is a true positive (TP), else a false
    positive (FP); an 18-connected instance of the reference that no predicted instance touches
    is a false negative (FN).

    Parameters
    ----------
    labels
        Predicted instances, int32 (X, Y, Z).
    reference
        bool (X, Y, Z).

    Returns
    -------
    labels, match
        The predicted instances with the FN instances appended under labels of their own, and
        for each label ``"TP"``, ``"FP"`` or ``"FN"``.
    """
    count = int(labels.max(initial=0))
    overlapping = set(np.unique(labels[reference]).tolist())
    match = {label: "TP" if label in overlapping else "FP" for label in range(1, count + 1)}
    expected = instances(reference)
    touched = np.unique(expected[labels > 0])
    missed = np.setdiff1d(np.unique(expected[expected > 0]), touched)
    lookup = np.zeros(int(expected.max(initial=0)) + 1, dtype=np.int32)
    lookup[missed] = np.arange(count + 1, count + 1 + len(missed))
    match.update(dict.fromkeys(range(count + 1, count + 1 + len(missed)), "FN"))
    return np.where(labels > 0, labels, lookup[expected]), match


def found_words(lesions: pd.DataFrame) -> str:
    """Say what a network found, and what it missed: ``3 found (2 TP, 1 FP), 1 of … missed``.

    Parameters
    ----------
    lesions
        A row per lesion; with ``match`` where there was a reference.
    """
    if "match" not in lesions:
        return f"{counted(len(lesions), 'lesion')} found"
    true, false, missed = ((lesions["match"] == kind).sum() for kind in ("TP", "FP", "FN"))
    found = f"{true + false} found"
    matches = f" ({true} TP, {false} FP)" if true + false else ""
    return f"{found}{matches}, {missed} of the reference missed"


def lesion_table(
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    case: Case,
    match: dict[int, str] | None = None,
) -> pd.DataFrame:
    """Describe each lesion.

    Parameters
    ----------
    labels, probability
        (X, Y, Z) on the case's grid.
    case
        Gives voxel size and position.
    match
        ``"TP"``, ``"FP"`` or ``"FN"`` by label, from :func:`match_reference`.

    Returns
    -------
    A row per lesion, index ``label``, with ``voxels``, ``volume_mm3``, ``mean_probability``,
    ``max_probability``, ``centre_x_mm``, ``centre_y_mm``, ``centre_z_mm`` (centre of mass in the
    scanner's RAS+ millimetres, as every viewer shows them), ``hemisphere`` (``"left"`` and
    ``"right"`` of the patient, ``"midline"``, or ``"unknown"`` where the images show no plane of
    symmetry), ``midline_mm`` (distance of the centre from :attr:`Case.midline`, NaN where that
    is not known) and, with a match, ``match``.
    """
    table = _described(labels, probability, case.grid, case.midline)
    if match is not None:
        table["match"] = [match[int(label)] for label in table.index]
    return table


def region_row(
    mask: NDArray[np.bool_],
    probability: NDArray[np.float32],
    case: Case,
    box: Box,
) -> dict[str, Any]:
    """Describe a region that is no lesion, as a row of :func:`lesion_table` describes lesions.

    Parameters
    ----------
    mask, probability
        (X, Y, Z) on the case's grid.
    case
        Gives voxel size and position.
    box
        A box that holds the region: only this is read.
    """
    labels = np.ascontiguousarray(mask[box]).astype(np.int32)
    table = _described(labels, probability[box], case.grid.part(box), case.midline)
    return {str(name): value for name, value in table.to_dict("records")[0].items()}


def _described(
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    grid: Grid,
    midline: Midline | None,
) -> pd.DataFrame:
    boxes = lesion_boxes(labels)
    voxels = np.zeros(len(boxes), dtype=int)
    means, highest = np.zeros(len(boxes)), np.zeros(len(boxes))
    centres = np.zeros((len(boxes), 3))
    for row, (label, box) in enumerate(boxes.items()):
        places = np.argwhere(labels[box] == label)
        values = probability[box][tuple(places.T)].astype(np.float64)
        voxels[row], means[row], highest[row] = len(places), values.mean(), values.max()
        centres[row] = places.mean(axis=0) + box.start
    centres_mm = grid.to_scanner(centres)
    table = pd.DataFrame(
        {
            "voxels": voxels,
            "volume_mm3": voxels * grid.voxel_mm3,
            "mean_probability": means,
            "max_probability": highest,
            **{f"centre_{axis}_mm": centres_mm[:, n] for n, axis in enumerate("xyz")},
        },
        index=pd.Index(list(boxes), name="label", dtype=int),
    )
    distances = np.full(len(boxes), np.nan)
    if midline is not None:
        distances = midline.signed_distance(centres_mm)
    table["hemisphere"] = hemispheres(distances)
    table["midline_mm"] = np.abs(distances)
    return table
