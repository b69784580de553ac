"""How good probabilities of being an error are: ranking, thresholds, calibration.

Intervals are bootstrap intervals by patient (:mod:`napari_ies.cohort.statistics.bootstrap`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from napari_ies.cohort.statistics.bootstrap import (
    Draws,
    cliffs_deltas,
    dominance,
    interval,
    means,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.cohort.qa.fitting import Training

THRESHOLDS = np.linspace(0, 1, 101).round(2)
MOST_BINS, FEWEST_IN_BIN = 10, 10
"""Of the calibration."""


class Estimate(NamedTuple):
    """A number with its 95 % interval; NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What is known of probabilities of lesions whose kind is known."""

    auc: Estimate
    """Chance that a false positive gets a larger probability than a true positive."""
    auc_network: Estimate | None
    """The same of the network's own mean probability, turned round; None where it is not known."""
    auc_gain: Estimate | None
    """How much larger the first is than the second."""
    brier: float
    """Mean squared difference of probability and truth."""
    brier_constant: float
    """The same of one probability for all lesions: the share of false positives."""
    thresholds: pd.DataFrame
    """See :func:`threshold_table`."""
    calibration: pd.DataFrame
    """See :func:`calibration_table`."""


def evaluate(
    training: Training,
    probabilities: NDArray[np.float64],
    network: NDArray[np.float64],
    draws: Draws,
) -> Evaluation:
    """Evaluate probabilities of being a false positive.

    Parameters
    ----------
    training
        The lesions.
    probabilities
        (L,): of models that never saw the patient.
    network
        (L,): the network's own mean probability of each lesion; NaN where it is not known.
    draws
        Of all patients.
    """
    wrong = training.errors
    auc, drawn = _auc(probabilities, training, draws)
    own, gain = None, None
    if np.isfinite(network).all():
        own, own_drawn = _auc(-network, training, draws)
        gain = _estimate(auc.value - own.value, drawn - own_drawn, training)
    return Evaluation(
        auc=auc,
        auc_network=own,
        auc_gain=gain,
        brier=float(((probabilities - wrong) ** 2).mean()),
        brier_constant=float(wrong.mean() * (1 - wrong.mean())),
        thresholds=threshold_table(training, probabilities, draws),
        calibration=calibration_table(training, probabilities, draws),
    )


def threshold_table(
    training: Training, probabilities: NDArray[np.float64], draws: Draws
) -> pd.DataFrame:
    """Return what is lost and gained by leaving out lesions from a probability on.

    Returns
    -------
    A row per threshold of 0, 0.01, …, 1: ``threshold``; ``fp_removed`` and ``tp_lost``, the
    numbers of false and true positives whose probability is at least that; their shares of all of
    their kind, ``…_share``, with ``…_low`` and ``…_high``, the 95 % interval by patient.
    """
    found: list[dict[str, Any]] = []
    for threshold in THRESHOLDS:
        row: dict[str, Any] = {"threshold": float(threshold)}
        for name, kind in (("fp_removed", training.errors), ("tp_lost", ~training.errors)):
            out = (probabilities[kind] >= threshold).astype(np.float64)
            whose = training.patients[kind].tolist()
            drawn = means(out, draws.number(whose), draws)
            low, high = interval(drawn, len({*whose}))
            row |= {
                name: int(out.sum()),
                f"{name}_share": float(out.mean()),
                f"{name}_low": low,
                f"{name}_high": high,
            }
        found.append(row)
    return pd.DataFrame(found)


def calibration_table(
    training: Training, probabilities: NDArray[np.float64], draws: Draws
) -> pd.DataFrame:
    """Compare probabilities with how often they came true.

    Returns
    -------
    A row per bin of about as many lesions, in the order of their probability: ``lesions``,
    ``patients``, ``predicted`` (mean probability), ``observed`` (share of false positives) with
    ``observed_low`` and ``observed_high``, the 95 % interval by patient.
    """
    count = int(np.clip(len(probabilities) // FEWEST_IN_BIN, 1, MOST_BINS))
    # Inner borders; equal probabilities are never put apart.
    edges = np.unique(np.quantile(probabilities, np.arange(1, count) / count))
    bins = np.searchsorted(edges, probabilities, side="right")
    found = []
    for number in np.unique(bins):
        its = bins == number
        whose = training.patients[its].tolist()
        observed = training.errors[its].astype(np.float64)
        low, high = interval(means(observed, draws.number(whose), draws), len({*whose}))
        found.append(
            {
                "lesions": int(its.sum()),
                "patients": len({*whose}),
                "predicted": float(probabilities[its].mean()),
                "observed": float(observed.mean()),
                "observed_low": low,
                "observed_high": high,
            }
        )
    return pd.DataFrame(found)


def _auc(
    scores: NDArray[np.float64], training: Training, draws: Draws
) -> tuple[Estimate, NDArray[np.float64]]:
    """Return the area under the ROC curve, and in each draw: (Cliff's delta + 1) / 2."""
    wrong = training.errors
    numbers = draws.number(training.patients.tolist())
    whose = numbers[wrong], numbers[~wrong]
    table = dominance(scores[wrong], scores[~wrong], whose, len(draws.patients))
    value = (table.sum() / (wrong.sum() * (~wrong).sum()) + 1) / 2
    drawn = (cliffs_deltas(table, whose, draws) + 1) / 2
    return _estimate(float(value), drawn, training), drawn


def _estimate(value: float, drawn: NDArray[np.float64], training: Training) -> Estimate:
    fewest = min(patients for _, patients in training.counts.values())
    return Estimate(value, *interval(drawn, fewest))
