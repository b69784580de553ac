"""Numbers of a cohort equal those of scipy and of a bootstrap that copies the lesions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from napari_ies.cohort.statistics.bootstrap import Draws, interval, means, medians
from napari_ies.cohort.statistics.comparisons import average_profiles, compare, summarise

MEASURES = ("peak_positive", "peak_negative", "mean_inside", "positive_fraction_inside", "share")


def cohort(patients=6, seed=0, groups=("TP", "FP", "FN")):
    """Rows of lesions, several of each kind in each patient, FLAIR and T1."""
    generator = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        for lesion in range(generator.integers(3, 9)):
            match = groups[lesion % len(groups)]
            for sequence in ("FLAIR", "T1"):
                values = generator.normal(patient / 4 + (match == "TP"), 1, len(MEASURES))
                rows.append(
                    {
                        "subject": f"P{patient}",
                        "visit": "",
                        "lesion": lesion + 1,
                        "match": match,
                        "method": "smoothgrad",
                        "aggregation": "max",
                        "sequence": sequence,
                        **dict(zip(MEASURES, values.round(2), strict=True)),
                    }
                )
    return pd.DataFrame(rows)


def of(rows, match, measure, sequence="FLAIR"):
    chosen = rows[(rows["match"] == match) & (rows["sequence"] == sequence)]
    return chosen[measure].to_numpy(), chosen["subject"].to_numpy()


def copies(counts, patients, values, whose):
    """The lesions of a draw, copied as often as their patients are drawn."""
    drawn = [values[whose == name] for name, n in zip(patients, counts, strict=True) for _ in
             range(int(n))]  # fmt: skip
    return np.concatenate(drawn) if drawn else np.empty(0)


def naive_delta(first, second):
    pairs = [np.sign(a - b) for a in first for b in second]
    return sum(pairs) / len(pairs) if pairs else np.nan


def test_the_tests_are_scipys_and_their_p_is_adjusted_over_all_of_them():
    rows = cohort()
    table = compare(rows, Draws.of(rows["subject"], 50))
    assert len(table) == 2 * len(MEASURES) * 3
    for _, row in table.iterrows():
        first = of(rows, row["first"], row["measure"], row["sequence"])[0]
        second = of(rows, row["second"], row["measure"], row["sequence"])[0]
        test = stats.mannwhitneyu(first, second)
        assert (row["u"], row["p"]) == (test.statistic, test.pvalue)
        assert row["cliffs_delta"] == pytest.approx(naive_delta(first, second))
        assert row["median_difference"] == np.median(first) - np.median(second)
    ranked = np.sort(table["p"])
    count = len(ranked)
    adjusted = [min(ranked[k:] * count / np.arange(k + 1, count + 1)) for k in range(count)]
    by_p = table.sort_values("p", kind="stable")["q"]
    np.testing.assert_allclose(by_p, np.minimum(adjusted, 1))


def test_intervals_are_those_of_lesions_copied_with_their_patients():
    rows = cohort(seed=4)
    draws = Draws.of(rows["subject"], 80, seed=3)
    assert (draws.counts.sum(axis=1) == len(draws.patients)).all()
    table = compare(rows, draws)
    row = table[
        (table["measure"] == "mean_inside")
        & (table["sequence"] == "T1")
        & (table["second"] == "FN")
        & (table["first"] == "TP")
    ].iloc[0]
    deltas, differences = [], []
    for counts in draws.counts:
        pair = [
            copies(counts, draws.patients, *of(rows, match, "mean_inside", "T1"))
            for match in ("TP", "FN")
        ]
        if all(side.size for side in pair):
            deltas.append(naive_delta(*pair))
            differences.append(np.median(pair[0]) - np.median(pair[1]))
    expected = np.percentile(deltas, (2.5, 97.5))
    np.testing.assert_allclose((row["cliffs_delta_low"], row["cliffs_delta_high"]), expected)
    expected = np.percentile(differences, (2.5, 97.5))
    found = row["median_difference_low"], row["median_difference_high"]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("number", [1, 2, 7])
def test_medians_and_means_of_draws(number):
    generator = np.random.default_rng(number)
    values = generator.integers(0, 5, number).astype(float)
    patients = [f"P{n % 3}" for n in range(number)]
    draws = Draws.of(["P0", "P1", "P2"], 40)
    whose = draws.number(patients)
    for draw, (median, mean) in enumerate(
        zip(medians(values, whose, draws), means(values, whose, draws), strict=True)
    ):
        own = copies(draws.counts[draw], draws.patients, values, np.array(patients))
        np.testing.assert_equal(median, np.median(own) if own.size else np.nan)
        np.testing.assert_allclose(mean, own.mean() if own.size else np.nan)


def test_portions_of_draws_change_nothing(monkeypatch):
    rows = cohort()
    draws = Draws.of(rows["subject"], 60)
    whole = compare(rows, draws)
    monkeypatch.setattr("napari_ies.cohort.statistics.bootstrap.MOST_AT_ONCE", 7)
    pd.testing.assert_frame_equal(compare(rows, draws), whole)


def test_one_patient_gives_no_interval_and_one_group_no_comparison():
    assert np.isnan(interval(np.array([1.0, 2.0]), 1)).all()
    rows = cohort(patients=1)
    assert compare(rows, Draws.of(rows["subject"], 10))["cliffs_delta_low"].isna().all()
    alone = cohort(groups=("n/a",))
    draws = Draws.of(alone["subject"], 10)
    assert len(compare(alone, draws)) == 0
    summary = summarise(alone, draws)
    assert set(summary["match"]) == {"n/a"}
    expected = np.percentile(of(alone, "n/a", "share")[0], (25, 50, 75))
    row = summary[(summary["measure"] == "share") & (summary["sequence"] == "FLAIR")].iloc[0]
    np.testing.assert_allclose(row[["quartile_1", "median", "quartile_3"]].tolist(), expected)
    assert row["lesions"] == len(alone) / 2


def test_profiles_weigh_lesions_alike_and_leave_empty_bins_out():
    rows = [
        {
            "subject": f"P{lesion}",
            "visit": "",
            "lesion": 1,
            "match": "TP",
            "method": "smoothgrad",
            "aggregation": "mean",
            "sequence": "FLAIR",
            "from_mm": low,
            "to_mm": low + 1.0,
            "voxels": voxels,
            "value": value,
        }
        for lesion, values in enumerate([[(10, 1.0), (3, 4.0)], [(2, 3.0), (0, np.nan)]])
        for low, (voxels, value) in enumerate(values)
    ]
    profiles = pd.DataFrame(rows)
    table = average_profiles(profiles, Draws.of(profiles["subject"], 200))
    assert table["mean"].tolist() == [2.0, 4.0]
    assert table["lesions"].tolist() == [2, 1]
    assert (table["mean_low"][0], table["mean_high"][0]) == (1.0, 3.0)
    assert np.isnan(table["mean_low"][1])
