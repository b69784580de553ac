"""What is said of a model of errors: how well it does, and what must be known before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.cohort.qa.features import FIRST_ORDER, LEVELS, MEASURES, NEAR_MM, TEXTURE
from napari_ies.versions import __version__

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    import pandas as pd

    from napari_ies.cohort.qa.evaluation import Estimate, Evaluation
    from napari_ies.cohort.qa.fitting import Training
    from napari_ies.cohort.qa.model import ErrorModel

FEW = 20
"""Of fewer patients, percentile intervals are too narrow."""
METHOD = (
    "Each lesion's map gives {count} numbers: of each sequence, {measures} measures, {first} "
    f"first-order statistics and {{texture}} of texture (co-occurrences of {LEVELS} grey levels in "
    f"the 13 directions of space; both of the lesion and what lies within {NEAR_MM:g} mm). A "
    "logistic model with an L1 penalty tells false from true positives by them. Its probabilities "
    "below are those of lesions of patients that the model never saw: patients are dealt into "
    "{folds} folds, and for each fold a model is fitted on all others, its medians, scales and "
    "penalty (in folds by patient, again) included. model.json is fitted on all of them. Intervals "
    "are 95 % bootstrap intervals over {draws} draws of patients (seed {seed}); they do not say "
    "how the model would change with others."
)
WHAT_IT_IS_NOT = (
    "Research software, not a medical device. A probability is about lesions like these: of this "
    "network, these scanners, this reference, this share of false positives. It finds no lesion "
    "that the network missed, and no lesion may be left out of a report because of it alone."
)
SHOWN = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Thresholds in the report; all are in thresholds.csv."""


def notes_on(
    training: Training,
    features: pd.DataFrame,
    evaluation: Evaluation,
    uses_any: bool,
    left_out: int,
) -> list[str]:
    """Return what must be known of a model, in plain sentences.

    Parameters
    ----------
    training, features
        What it was fitted on.
    evaluation
        Of patients that it never saw.
    uses_any
        Whether a coefficient of it is not 0.
    left_out
        How many lesions are neither true nor false positives.
    """
    notes = []
    if not uses_any:
        notes.append(
            "The model uses no feature: these maps do not tell false from true positives, and all "
            "lesions get one probability, the share of false positives."
        )
    auc = evaluation.auc
    if auc.low <= 0.5:
        notes.append(
            "The interval of the area under the curve holds 0.5: it is not shown that the model "
            "tells the kinds apart in patients that it never saw."
        )
    if auc.value == 1:
        notes.append(
            "The kinds are told apart without an error here, so that intervals have no width; "
            "with more patients there will be errors."
        )
    patients = len({*training.patients})
    if patients < FEW:
        notes.append(
            f"{patients} patients are few: of fewer than some {FEW}, intervals are too narrow."
        )
    if evaluation.auc_gain is not None and evaluation.auc_gain.low <= 0:
        notes.append(
            "It is not shown that the maps tell more than the network's own mean probability does "
            "(the interval of the gain holds 0)."
        )
    constant = [str(name) for name, count in features.nunique().items() if count < 2]
    if constant:
        notes.append(f"Features that do not vary, and count for nothing: {', '.join(constant)}.")
    missing = {str(name): int(features[name].isna().sum()) for name in features}
    lacking = [f"{name} ({count})" for name, count in missing.items() if count]
    if lacking:
        notes.append(
            "The median stands for features that some lesions do not have (how many): "
            f"{', '.join(lacking)}."
        )
    if left_out:
        notes.append(
            f"Lesions that are no true or false positives (missed ones, or without a reference) "
            f"and are left out: {left_out}."
        )
    return notes


def report_text(model: ErrorModel, training: Training, evaluation: Evaluation) -> str:
    """Return the report as Markdown."""
    kind, settings = model.fitted_for, model.settings
    (right, of_right), (wrong, of_wrong) = training.counts.values()
    own, gain = evaluation.auc_network, evaluation.auc_gain
    method = METHOD.format(
        count=len(model.features),
        measures=len(MEASURES),
        first=len(FIRST_ORDER),
        texture=len(TEXTURE),
        folds=settings["Folds"],
        draws=settings["Draws"],
        seed=settings["Seed"],
    )
    parts = [
        "# False positives told by their maps",
        f"{kind.called} maps of {', '.join(kind.sequences)}, network with SHA-256 {kind.network}. "
        f"{wrong} false positives of {of_wrong} patients, {right} true positives of {of_right}, "
        f"{len({*training.patients})} patients together.",
        method,
        WHAT_IT_IS_NOT,
        "\n".join(f"* {note}" for note in model.notes),
        "## How well the kinds are told apart",
        _table(
            ("of patients never seen", "value (95 %)"),
            [
                ("area under the ROC curve (0.5: by chance)", _cell(evaluation.auc)),
                *(
                    []
                    if own is None or gain is None
                    else [
                        ("the same of the network's own mean probability", _cell(own)),
                        ("gain by the maps", _cell(gain)),
                    ]
                ),
                ("Brier score (smaller is better)", f"{evaluation.brier:.3f}"),
                ("the same of one probability for all", f"{evaluation.brier_constant:.3f}"),
            ],
        ),
        "## What a threshold costs",
        "Were lesions left out whose probability of being a false positive is at least the "
        "threshold:",
        _table(
            ("threshold", "false positives removed (95 %)", "true positives lost (95 %)"),
            [
                (f"{row['threshold']:g}", _removed(row, "fp_removed"), _removed(row, "tp_lost"))
                for row in evaluation.thresholds.to_dict("records")
                if row["threshold"] in SHOWN
            ],
        ),
        "![Shares removed and lost against the threshold](thresholds.png)",
        "## Whether probabilities come true",
        "Lesions in bins of about as many, from the least probable on; on the diagonal, "
        "probabilities are as they should be, below it too large, above it too small.",
        "![Calibration](calibration.png)",
        "## What the model looks at",
        *(
            [
                _table(
                    ("feature", "coefficient per standard deviation"),
                    [
                        (one.name, f"{one.coefficient:+.3f}")
                        for one in sorted(model.features, key=lambda one: -abs(one.coefficient))
                        if one.coefficient
                    ],
                ),
                "A positive coefficient makes a false positive more probable. Features go "
                "together, so that the penalty may have taken one for another.",
            ]
            if model.uses_any
            else ["At nothing."]
        ),
        f"napari-ies {__version__}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _removed(row: dict[Hashable, Any], name: str) -> str:
    value, low, high = (100 * row[f"{name}_{end}"] for end in ("share", "low", "high"))
    between = f", {low:.0f} to {high:.0f} %" if np.isfinite(low) else ""
    return f"{row[name]:.0f} ({value:.0f} %{between})"


def _cell(estimate: Estimate) -> str:
    value, low, high = estimate
    if not np.isfinite(low):
        return f"{value:.3f} (not known)"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    ruled = (heading, ("---",) * len(heading), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in ruled)
