"""Models learn from training patients alone, and are what their definition says."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ies.cohort.qa.fitting import (
    STRENGTHS,
    Training,
    check_enough,
    cross_validating,
    fitted,
    strengths,
)
from napari_ies.cohort.qa.folds import patient_folds
from napari_ies.errors import CohortError
from napari_ies.progress import finish

linear_model = pytest.importorskip("sklearn.linear_model")


def lesions(seed=0, patients=12, features=5, slope=1.5):
    """Lesions of patients of several sizes; one patient's values are far from all others'."""
    generator = np.random.default_rng(seed)
    whose = np.repeat([f"P{n:02d}" for n in range(patients)], generator.integers(4, 9, patients))
    values = generator.normal(0, 1, (len(whose), features)) * 10.0 ** np.arange(-2, features - 2)
    errors = generator.random(len(whose)) < 1 / (1 + np.exp(-slope * values[:, 0] * 100))
    values[whose == "P03"] *= 6
    values[generator.random(len(whose)) < 0.2, 1] = np.nan
    values[:, 2] = 3.0
    return Training(values, errors, whose.astype(np.str_))


def naive_scaled(train, test):
    """Fill and scale both by what the first says, column by column."""
    columns = []
    for known, unseen in zip(train.T, test.T, strict=True):
        there = sorted(x for x in known if x == x)
        half = len(there) // 2
        middle = there[half] if len(there) % 2 else (there[half - 1] + there[half]) / 2
        known, unseen = ([middle if x != x else x for x in part] for part in (known, unseen))
        mean = sum(known) / len(known)
        deviation = (sum((x - mean) ** 2 for x in known) / len(known)) ** 0.5
        deviation = deviation if deviation > 1e-12 * abs(mean) else 1.0
        columns.append([[(x - mean) / deviation for x in part] for part in (known, unseen)])
    return [np.array([column[part] for column in columns]).T for part in (0, 1)]


def naive_probabilities(known, kinds, tested, strength):
    logistic = linear_model.LogisticRegression(
        l1_ratio=1.0, solver="liblinear", C=strength, intercept_scaling=100.0, tol=1e-6,
        max_iter=10_000, random_state=0,
    )  # fmt: skip
    return logistic.fit(known, kinds).predict_proba(tested)[:, 1]


def naive_out_of_fold(training, scaled=naive_scaled):
    found = np.empty(len(training.errors))
    outer = patient_folds(training.errors, training.patients)
    for fold in set(outer):
        inside, tested = training.at(outer != fold), training.features[outer == fold]
        known, unseen = scaled(inside.features, tested)
        largest = max(abs(column @ (inside.errors - inside.errors.mean())) for column in known.T)
        inner = patient_folds(inside.errors, inside.patients)
        losses = []
        for strength in STRENGTHS / largest:
            loss = []
            for part in set(inner):
                own, others = naive_scaled(inside.features[inner != part],
                                           inside.features[inner == part])  # fmt: skip
                p = naive_probabilities(own, inside.errors[inner != part], others, strength)
                true = inside.errors[inner == part]
                loss.append(-np.mean(np.log(np.where(true, p, 1 - p))))
            losses.append(sum(loss) / len(loss))
        best = STRENGTHS[int(np.argmin(losses))] / largest
        found[outer == fold] = naive_probabilities(known, inside.errors, unseen, best)
    return found


@pytest.fixture(scope="module")
def unseen():
    return finish(cross_validating(lesions()))


@pytest.mark.slow
def test_nothing_is_learned_from_the_patients_that_are_tested(unseen):
    training = lesions()
    np.testing.assert_allclose(unseen.probabilities, naive_out_of_fold(training), atol=1e-9)
    whole = np.vstack([training.features])

    def leaking(train, test):
        scaled = naive_scaled(whole, np.vstack([train, test]))[1]
        return scaled[: len(train)], scaled[len(train) :]

    # Scaled by all patients, the same loops say something else: this test would see it.
    assert np.abs(naive_out_of_fold(training, leaking) - unseen.probabilities).max() > 1e-3


def test_a_model_minimises_the_penalised_loss():
    training = lesions(seed=2)
    pipeline = fitted(training)
    scaled, _ = naive_scaled(training.features, training.features)
    logistic = pipeline[-1]
    weights, strength = logistic.coef_[0], logistic.C
    p = 1 / (1 + np.exp(-(scaled @ weights + logistic.intercept_[0])))
    slopes = strength * (scaled.T @ (p - training.errors))
    assert weights.any()
    assert (weights == 0).any()
    np.testing.assert_allclose(slopes[weights != 0], -np.sign(weights[weights != 0]), atol=1e-3)
    assert (np.abs(slopes[weights == 0]) <= 1 + 1e-3).all()
    assert p.mean() == pytest.approx(training.errors.mean(), abs=1e-3)


@pytest.mark.slow
def test_the_order_of_lesions_changes_nothing(unseen):
    training, first = lesions(), unseen.probabilities
    order = np.random.default_rng(0).permutation(len(first))
    mixed = Training(training.features[order], training.errors[order], training.patients[order])
    again = finish(cross_validating(mixed)).probabilities
    np.testing.assert_allclose(again, first[order], atol=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_each_fold_has_both_kinds_and_no_patient_is_in_two(seed):
    generator = np.random.default_rng(seed)
    patients = np.array([f"P{n}" for n in generator.integers(0, 30, 200)], dtype=np.str_)
    # Errors of a few patients alone, some of whom have nothing else.
    few = [f"P{n}" for n in generator.choice(30, 5 + seed % 4, replace=False)]
    errors = np.isin(patients, few) & (generator.random(200) < (0.6 if seed % 2 else 1))
    counts = Training(np.empty((200, 0)), errors, patients).counts
    if min(p for _, p in counts.values()) < 5:
        errors = generator.random(200) < 0.3
    folds = patient_folds(errors, patients, seed)
    assert len({*zip(patients, folds, strict=True)}) == len({*patients})
    assert len({*folds}) == 5
    for fold in range(5):
        for kind in (True, False):
            assert (errors[folds == fold] == kind).any()
            left = {*patients[(folds != fold) & (errors == kind)]}
            assert len(left) >= 2  # for folds within


def test_too_few_lesions_or_patients_are_counted_in_one_sentence():
    enough = lesions(patients=20)
    check_enough(enough)
    one_patient = enough.at(enough.patients == "P03")
    for lacking, said in (
        (one_patient, "of 1 patient"),
        (enough.at(enough.errors), "0 TP of 0 patients"),
        (enough.at(~enough.errors), "0 FP of 0 patients"),
    ):
        with pytest.raises(CohortError, match=said) as caught:
            check_enough(lacking)
        assert "at least 10 of 5 patients of either kind are needed" in str(caught.value)


def test_separable_lesions_give_finite_numbers_and_constant_ones_a_sentence():
    training = lesions(seed=5)
    values = np.where(training.errors, 1.0, -1.0)[:, None] * np.array([[1, 0, 2.0]])
    pipeline = fitted(Training(values, training.errors, training.patients))
    assert np.isfinite(pipeline[-1].coef_).all()
    constant = Training(np.ones((len(values), 2)), training.errors, training.patients)
    with pytest.raises(CohortError, match="No feature of the maps varies"):
        fitted(constant)


def test_the_smallest_strength_lets_no_feature_in():
    training = lesions(seed=6)
    pipeline = fitted(training)
    least = strengths(training, pipeline)[0]
    for factor, count in ((0.98, 0), (1.1, 1)):
        pipeline.set_params(logistic__C=factor * least).fit(training.features, training.errors)
        assert np.count_nonzero(pipeline[-1].coef_) == count
