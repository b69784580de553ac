"""What is said of probabilities equals loops over lesions, and a bootstrap that copies them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ies.cohort.qa.evaluation import evaluate
from napari_ies.cohort.qa.fitting import Training
from napari_ies.cohort.statistics.bootstrap import Draws

COUNT = 60


@pytest.fixture(scope="module")
def known():
    generator = np.random.default_rng(1)
    patients = np.array([f"P{n}" for n in generator.integers(0, 8, COUNT)], dtype=np.str_)
    errors = generator.random(COUNT) < 0.4
    probabilities = np.round(np.clip(generator.normal(0.3 + 0.3 * errors, 0.2), 0, 1), 2)
    network = generator.random(COUNT)
    draws = Draws.of(patients.tolist(), 30, seed=3)
    training = Training(np.empty((COUNT, 0)), errors, patients)
    return (
        training,
        probabilities,
        network,
        draws,
        evaluate(training, probabilities, network, draws),
    )


def naive_auc(scores, errors):
    pairs = [(a > b) + (a == b) / 2 for a in scores[errors] for b in scores[~errors]]
    return sum(pairs) / len(pairs) if pairs else np.nan


def bootstrapped(draws, patients, number):
    """Percentiles of a number of lesions that are copied with their patients."""
    values = []
    for counts in draws.counts:
        copied = [np.flatnonzero(patients == name) for name, n in
                  zip(draws.patients, counts, strict=True) for _ in range(int(n))]  # fmt: skip
        values.append(number(np.concatenate(copied)))
    values = [value for value in values if value == value]
    return np.percentile(values, (2.5, 97.5))


@pytest.mark.slow
def test_areas_under_the_curve_and_their_gain(known):
    training, p, network, draws, found = known
    errors, patients = training.errors, training.patients

    def area(scores):
        return lambda at: naive_auc(scores[at], errors[at])

    for estimate, number in (
        (found.auc, area(p)),
        (found.auc_network, area(-network)),
        (found.auc_gain, lambda at: area(p)(at) - area(-network)(at)),
    ):
        assert estimate.value == pytest.approx(number(np.arange(COUNT)), abs=1e-12)
        np.testing.assert_allclose(estimate[1:], bootstrapped(draws, patients, number), atol=1e-12)
    assert found.brier == pytest.approx(sum((p - errors) ** 2) / COUNT)
    assert found.brier_constant == pytest.approx(sum((errors.mean() - errors) ** 2) / COUNT)


def test_what_a_threshold_removes_and_loses(known):
    training, p, _, draws, found = known
    for threshold in (0.0, 0.29, 0.5, 1.0):
        row = found.thresholds[found.thresholds["threshold"] == threshold].iloc[0]
        for name, kind in (("fp_removed", training.errors), ("tp_lost", ~training.errors)):
            assert row[name] == sum(1 for value in p[kind] if value >= threshold)

            def share(at, kind=kind, threshold=threshold):
                its = at[kind[at]]
                return np.mean(p[its] >= threshold) if len(its) else np.nan

            assert row[f"{name}_share"] == pytest.approx(share(np.arange(COUNT)))
            np.testing.assert_allclose(
                row[[f"{name}_low", f"{name}_high"]].astype(float),
                bootstrapped(draws, training.patients, share),
                atol=1e-12,
            )


def test_the_calibration_holds_each_lesion_once_in_order(known):
    training, p, _, draws, found = known
    table = found.calibration
    assert table["lesions"].sum() == COUNT
    assert len(table) == COUNT // 10
    order = np.argsort(p, kind="stable")
    start = 0
    for _, row in table.iterrows():
        its = order[start : start + int(row["lesions"])]
        start += len(its)
        assert start == COUNT or p[order[start - 1]] < p[order[start]]  # equal ones stay together
        assert row["predicted"] == pytest.approx(p[its].mean())
        assert row["observed"] == pytest.approx(training.errors[its].mean())
        chosen = np.isin(np.arange(COUNT), its)

        def share(at, chosen=chosen):
            inside = at[chosen[at]]
            return training.errors[inside].mean() if len(inside) else np.nan

        np.testing.assert_allclose(
            row[["observed_low", "observed_high"]].astype(float),
            bootstrapped(draws, training.patients, share),
            atol=1e-12,
        )


def test_a_network_whose_probability_is_not_known_is_left_out(known):
    training, p, network, draws, _ = known
    found = evaluate(training, p, np.where(np.arange(COUNT) == 4, np.nan, network), draws)
    assert found.auc_network is found.auc_gain is None
