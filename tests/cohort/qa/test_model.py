"""A model in a file says what the fitted pipeline does; other files are refused in a sentence."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from napari_ies.cohort.qa.features import feature_names
from napari_ies.cohort.qa.fitting import Training, fitted
from napari_ies.cohort.qa.map_kind import MapKind
from napari_ies.cohort.qa.model import error_model, read_model
from napari_ies.errors import CohortError
from napari_ies.results.storage.writing import json_writer
from napari_ies.saliency.request import SaliencyRequest

pytest.importorskip("sklearn")
NAMES = feature_names(("FLAIR",))


@pytest.fixture(scope="module")
def known():
    """A pipeline, the values it was fitted on, and the model that is written down."""
    generator = np.random.default_rng(0)
    values = generator.normal(3, 20, (80, len(NAMES)))
    errors = generator.random(80) < 1 / (1 + np.exp(-values[:, 0] / 10 + values[:, 2] / 20))
    patients = np.repeat([f"P{n}" for n in range(10)], 8).astype(np.str_)
    values[generator.random(80) < 0.1, 0] = np.nan
    values[:, 1] = np.nan  # such as the share of a map without any value
    values[:, 4] = 1.0
    pipeline = fitted(Training(values, errors, patients))
    provenance = {"checkpoint": {"name": "a.pth", "sha256": "ab" * 32, "window": (96, 96, 96)}}
    model = error_model(
        pipeline,
        MapKind.of(SaliencyRequest(aggregation="max"), ("FLAIR",), provenance),
        pd.DataFrame(values, columns=NAMES),
        cases=["0" * 16],
        settings={},
        performance={},
        notes=[],
        provenance={},
    )
    return pipeline, values, model


@pytest.fixture(scope="module")
def file(known, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.json"
    json_writer(known[2].model_dump(by_alias=True))(path)
    return path


def test_a_file_gives_the_probabilities_of_the_pipeline(known, file):
    pipeline, values, model = known
    read, _ = read_model(file)
    assert read == model
    assert sum(one.coefficient != 0 for one in read.features) >= 2
    values = np.vstack([values, 1e6 * values[:3], np.full((1, len(NAMES)), np.nan)])
    expected = pipeline.predict_proba(values)[:, 1]
    guesses = [read.guess(dict(zip(NAMES, row, strict=True))) for row in values]
    np.testing.assert_allclose([one.probability for one in guesses], expected, rtol=0, atol=1e-12)
    used = [one.name for one in read.features if one.coefficient]
    for row, guess in zip(values, guesses, strict=True):
        given = dict(zip(NAMES, row, strict=True))
        assert guess.filled == [name for name in used if np.isnan(given[name])]
        column = {name: known[1][:, NAMES.index(name)] for name in used}
        assert guess.beyond == [
            name for name in used
            if given[name] < np.nanmin(column[name]) or given[name] > np.nanmax(column[name])
        ]  # fmt: skip


def changed(content, path, value):
    *way, last = path
    place = content
    for key in way:
        place = place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return content


HOSTILE = [
    (["Format"], "something else"),
    (["FormatVersion"], 2),
    (["FormatVersion"], "1"),
    (["Intercept"], "0.5"),
    (["Intercept"], None),
    (["Intercept"], True),
    (["Intercept"], float("nan")),
    (["Intercept"], float("inf")),
    (["Intercept"], 10**400),
    (["Intercept"], KeyError),
    (["Features"], []),
    (["Features"], {}),
    (["Features", 0, "Scale"], 0),
    (["Features", 0, "Scale"], -1.0),
    (["Features", 0, "Mean"], 1e300),
    (["Features", 0, "Coefficient"], [1.0]),
    (["Features", 0, "Coefficient"], -1e10),
    (["Features", 0, "Name"], "FLAIR size"),
    (["Features", 0, "Name"], "x" * 10_000),
    (["Features", 0], None),
    (["Features", 0, "Code"], "import os"),
    (["FeatureDefinition"], 2),
    (["FittedFor", "Sequences"], ["T1"]),
    (["FittedFor", "Network"], "../../etc/passwd"),
    (["FittedFor", "Settings"], {"noise": [1]}),
    (["FittedFor"], KeyError),
    (["Cases"], ["\x1b[31m"]),
    (["Notes"], [1]),
    (["More"], 1),
]


@pytest.mark.parametrize(("path", "value"), HOSTILE, ids=lambda one: str(one)[:30])
def test_other_contents_are_refused_in_a_sentence(file, tmp_path, path, value):
    other = tmp_path / "model.json"
    other.write_text(json.dumps(changed(json.loads(file.read_text()), path, value)))
    with pytest.raises(CohortError) as caught:
        read_model(other)
    sentence = str(caught.value)
    assert "is no model of errors (" in sentence
    assert len(sentence) < 600
    assert sentence.isprintable()


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\x80\x04K\x01.", b"[" * 100_000, b"{}"])
def test_other_files_are_refused_in_a_sentence(tmp_path, raw):
    other = tmp_path / "model.json"
    other.write_bytes(raw)
    with pytest.raises(CohortError) as caught:
        read_model(other)
    assert "\n" not in str(caught.value)
    with pytest.raises(CohortError, match="expected a model that napari-ies qa fit wrote"):
        read_model(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("request_of", "sequences", "network", "said"),
    [
        ({"aggregation": "mean"}, ("FLAIR",), "ab", "method SmoothGrad max, and this one has Smoo"),
        ({"method": "gradcam++"}, ("all",), "ab", "this one has Grad-CAM++"),
        ({}, ("FLAIR", "T1"), "ab", "sequences FLAIR, and this one has FLAIR and T1"),
        ({}, ("FLAIR",), "cd", "this one has SHA-256 cdcdcdcdcdcd"),
        ({}, ("FLAIR",), "", "it is not known which network"),
        ({"forward": "whole-volume"}, ("FLAIR",), "ab", "whole-volume"),
        ({"n_samples": 20}, ("FLAIR",), "ab", "noise samples 50, and this one has 20"),
        ({"noise": 0.1}, ("FLAIR",), "ab", "noise 0.05, and this one has 0.1"),
        ({"precision": "bf16"}, ("FLAIR",), "ab", "precision float32, and this one has bf16"),
    ],
)
def test_maps_of_another_kind_are_told(known, request_of, sequences, network, said):
    asked = SaliencyRequest(**{"aggregation": "max", **request_of})
    found = {"name": "b.pth", "sha256": network * 32, "window": [96, 96, 96], "guessed": ["a"]}
    kind = MapKind.of(asked, sequences, {"checkpoint": found})
    assert said in known[2].why_not(kind)


def test_seed_and_name_of_the_network_do_not_count_and_its_use_does(known):
    found = {"name": "b.pth", "sha256": "ab" * 32, "window": [96, 96, 96]}
    asked = SaliencyRequest(aggregation="max", seed=7)
    assert known[2].why_not(MapKind.of(asked, ("FLAIR",), {"checkpoint": found})) == ""
    found["window"] = [64, 64, 64]
    assert "window" in known[2].why_not(MapKind.of(asked, ("FLAIR",), {"checkpoint": found}))
