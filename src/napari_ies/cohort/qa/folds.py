"""Patients dealt into folds: each fold has lesions of both kinds, and no patient is in two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 5


def patient_folds(
    errors: NDArray[np.bool_], patients: NDArray[np.str_], seed: int = 0, most: int = MOST
) -> NDArray[np.int64]:
    """Return the fold of each lesion.

    Patients are dealt like cards, those with true positives alone first, then those with both
    kinds, then those with false positives alone, in a random order each. So the patients of either
    kind follow one another and no fold gets many more of them than another; scikit-learn's
    StratifiedGroupKFold balances numbers of lesions and may leave a kind out of a fold.

    Parameters
    ----------
    errors
        bool (L,): whether each lesion is a false positive.
    patients
        (L,): whose it is.
    seed
        Of the order.
    most
        How many folds there are at most: no more than there are patients of either kind.

    Returns
    -------
    int64 (L,), from 0.
    """
    with_kind = [set(patients[errors == kind]) for kind in (False, True)]
    count = min(most, *map(len, with_kind))
    generator = np.random.default_rng(seed)
    right, wrong = with_kind
    dealt: dict[str, int] = {}
    for group in (right - wrong, right & wrong, wrong - right):
        for patient in generator.permutation(sorted(group)):
            dealt[patient] = len(dealt) % count
    return np.array([dealt[patient] for patient in patients], dtype=np.int64)
