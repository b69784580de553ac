"""A logistic model with an L1 penalty, and what it says of patients that it never saw.

Whatever is learned, medians in place of missing values, means and scales, coefficients and the
strength of the penalty, is learned from the training patients of a fold alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.cohort.qa.features import INSTALL
from napari_ies.cohort.qa.folds import patient_folds
from napari_ies.errors import CohortError
from napari_ies.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FEWEST_PATIENTS = 5
"""With lesions of either kind: each fold then tests patients of both, and two of each are left for
choosing the penalty."""
FEWEST_LESIONS = 10
"""Of either kind."""
STRENGTHS = np.logspace(0, 3, 7)
"""Values of C that are tried, in the largest one with which no feature is chosen."""
_MOST_STEPS = 10_000


@dataclass(frozen=True, eq=False)
class Training:
    """Lesions whose kind is known, with the features of their maps."""

    features: NDArray[np.float64]
    """(L, F); NaN where there is no such number."""
    errors: NDArray[np.bool_]
    """(L,): whether it is a false positive."""
    patients: NDArray[np.str_]
    """(L,): whose it is."""

    def at(self, chosen: NDArray[np.bool_]) -> Training:
        """Return some of the lesions."""
        return Training(self.features[chosen], self.errors[chosen], self.patients[chosen])

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Numbers of lesions and of their patients of each kind."""
        groups = {"TP": ~self.errors, "FP": self.errors}
        return {name: (int(of.sum()), len({*self.patients[of]})) for name, of in groups.items()}


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What models say of the lesions of patients that each of them never saw."""

    probabilities: NDArray[np.float64]
    """(L,): that it is a false positive."""
    folds: NDArray[np.int64]
    """(L,): in which it was tested."""
    strengths: list[float]
    """The C of each fold's model."""


def check_enough(training: Training) -> None:
    """Refuse lesions of which nothing can be learned that holds for others.

    Raises
    ------
    CohortError
        That says how many there are and how many are needed.
    """
    counts = training.counts
    if all(n >= FEWEST_LESIONS and p >= FEWEST_PATIENTS for n, p in counts.values()):
        return
    found = " and ".join(
        f"{lesions} {name} of {patients} patient{'' if patients == 1 else 's'}"
        for name, (lesions, patients) in counts.items()
    )
    raise CohortError(
        f"There are too few lesions for a model of errors: {found}, and at least {FEWEST_LESIONS} "
        f"of {FEWEST_PATIENTS} patients of either kind are needed; explain more patients with a "
        "reference, or give more folders."
    )


def fitted(training: Training, seed: int = 0) -> Any:
    """Fit a model, its penalty chosen by the log loss of patients it was not fitted on.

    Returns
    -------
    scikit-learn's Pipeline of the steps ``fill``, ``scale`` and ``logistic``.

    Raises
    ------
    CohortError
        If scikit-learn is not installed, or no feature varies.
    """
    pipeline = unfitted(seed)
    candidates = strengths(training, pipeline)
    folds = patient_folds(training.errors, training.patients, seed)
    losses = [_losses(training, folds == fold, pipeline, candidates) for fold in np.unique(folds)]
    pipeline.set_params(logistic__C=candidates[np.mean(losses, axis=0).argmin()])
    return pipeline.fit(training.features, training.errors)


def _losses(
    training: Training,
    tested: NDArray[np.bool_],
    pipeline: Any,
    candidates: NDArray[np.float64],
) -> list[float]:
    """Return the log loss of the tested with each strength, learned from all others.

    What GridSearchCV finds, which fills and scales anew for each strength, and checks and copies
    it all: that takes several times as long as the models.
    """
    from sklearn.base import clone
    from sklearn.metrics import log_loss

    inside, outside = training.at(~tested), training.at(tested)
    prepare = clone(pipeline[:-1])
    known, unseen = prepare.fit_transform(inside.features), prepare.transform(outside.features)
    losses = []
    for strength in candidates:
        logistic = clone(pipeline[-1]).set_params(C=strength).fit(known, inside.errors)
        said = logistic.predict_proba(unseen)
        losses.append(float(log_loss(outside.errors, said, labels=logistic.classes_)))
    return losses


def strengths(training: Training, pipeline: Any) -> NDArray[np.float64]:
    """Return values of C to try, the smallest of which lets no feature in.

    A coefficient stays 0 as long as C times the slope of the loss at 0 is at most 1 (Friedman,
    Hastie & Tibshirani, *J. Stat. Softw.* 33 (2010), section 2.5).
    """
    scaled = pipeline[:-1].fit_transform(training.features)
    slopes = scaled.T @ (training.errors - training.errors.mean())
    steepest = float(np.abs(slopes).max())
    if steepest < 1e-9:
        raise CohortError(
            "No feature of the maps varies between these lesions, so that nothing can be learned; "
            "give other maps."
        )
    return np.asarray(STRENGTHS / steepest)


def cross_validating(training: Training, seed: int = 0) -> Iterator[Progress[OutOfFold]]:
    """Test on the patients of each fold a model fitted on all others.

    Yields
    ------
    A report per fold; the last one holds what the models say.
    """
    folds = patient_folds(training.errors, training.patients, seed)
    count = int(folds.max()) + 1
    found = OutOfFold(np.full(len(folds), np.nan), folds, [])
    for fold in range(count):
        yield Progress("Cross-validating", fold, count + 1, "folds")
        tested = folds == fold
        model = fitted(training.at(~tested), seed)
        found.probabilities[tested] = model.predict_proba(training.features[tested])[:, 1]
        found.strengths.append(float(model[-1].C))
    yield Progress("Cross-validating", count + 1, count + 1, "folds", found)


def unfitted(seed: int = 0) -> Any:
    """Return the pipeline of a model that has learned nothing yet.

    Raises
    ------
    CohortError
        If scikit-learn is not installed.
    """
    try:
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise CohortError(f"A model of errors is fitted by scikit-learn; {INSTALL}.") from error
    logistic = LogisticRegression(
        l1_ratio=1.0,
        solver="liblinear",
        # liblinear penalises the intercept, too: less by this factor.
        intercept_scaling=100.0,
        tol=1e-6,
        max_iter=_MOST_STEPS,
        random_state=seed,
    )
    return Pipeline(
        [
            ("fill", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("scale", StandardScaler()),
            ("logistic", logistic),
        ]
    )
