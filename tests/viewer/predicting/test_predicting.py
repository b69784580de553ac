"""A model that is chosen once is asked about each lesion that gets a map."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from napari_ies.cohort.qa.features import DEFINITION, feature_names, map_features
from napari_ies.cohort.qa.map_kind import MapKind
from napari_ies.cohort.qa.model import ErrorModel, ModelFeature
from napari_ies.results.storage.writing import json_writer
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.viewer.lesions.lesion_columns import ERROR
from napari_ies.viewer.predicting.guessing import Guessing
from napari_ies.viewer.state.reading import Reading

pytest.importorskip("mahotas")
WEIGHT, MEAN, SCALE, INTERCEPT = 2.0, 0.1, 0.5, -0.3


def model_file(folder, answer, **changed):
    """Write a model of the maps of an answer that looks at one feature alone."""
    saliency = answer.saliency
    features = [
        ModelFeature(name=name, fill=0.0, mean=MEAN, scale=SCALE, lowest=-1e9, highest=1e9,
                     coefficient=WEIGHT if name == "FLAIR mean_inside" else 0.0)
        for name in feature_names(saliency.sequences)
    ]  # fmt: skip
    model = ErrorModel(
        feature_definition=DEFINITION,
        fitted_for=MapKind.of(saliency.request, saliency.sequences, saliency.provenance),
        features=features, intercept=INTERCEPT, cases=[], settings={}, notes=[], provenance={},
        performance={"AUC": 0.75, "AUCInterval": [0.6, 0.9]},
    )  # fmt: skip
    path = folder / "model.json"
    json_writer(model.model_copy(update=changed).model_dump(by_alias=True))(path)
    return path


def with_a_file(state):
    """Segment the patient with a network that has a file, of which a hash is known."""
    old = state.reading
    model = replace(old.model, sha256="ab" * 32)
    state.take_model(replace(state.model, model=model))
    state.show_reading(Reading.of(model, old.case, old.segmentation, old.frame))


def expected(answer):
    value = map_features(answer.saliency)["FLAIR mean_inside"]
    return 1 / (1 + math.exp(-(INTERCEPT + WEIGHT * (value - MEAN) / SCALE)))


@pytest.fixture
def asked(twin):
    """The twin with a network that has a file, what guesses, and all that was said."""
    state = twin.state
    with_a_file(state)
    twin.work.wait()
    guessing = Guessing(state, twin.work.lane("errors"), twin.tell)
    said = {}

    def hear(subject, probability, words):
        said[subject] = probability, words

    state.error_guessed.connect(hear)
    return twin, guessing, said, hear


@pytest.mark.slow
def test_each_lesion_with_a_map_of_the_models_kind_gets_its_probability(asked, tmp_path):
    twin, guessing, said, _ = asked
    twin.explain(1)
    assert said == {}
    path = model_file(tmp_path, twin.answer(1))
    guessing.choose(str(path))
    twin.work.wait()
    assert twin.tell.text == "model.json fills the column p FP of lesions with a map."
    probability, words = said[1]
    assert probability == pytest.approx(expected(twin.answer(1)), abs=1e-12)
    assert f"by model.json, from its map SmoothGrad mean: {probability:.2f}." in words
    assert "in patients it never saw: 0.75 (95 % 0.60 to 0.90)" in words
    twin.explain(2)
    assert said[2][0] == pytest.approx(expected(twin.answer(2)), abs=1e-12)
    assert said[1][0] != said[2][0]

    # A newer map of another kind does not take the place of the one that fits.
    twin.state.request = SaliencyRequest(n_samples=3, aggregation="max")
    twin.explain(1)
    assert said[1] == (probability, words)

    guessing.choose("")
    assert said == {1: (None, ""), 2: (None, "")}


@pytest.mark.slow
def test_where_no_map_fits_or_the_network_marks_nothing_it_is_said_why(asked, tmp_path):
    twin, guessing, said, _ = asked
    twin.explain(1)
    guessing.choose(str(model_file(tmp_path, twin.answer(1))))
    twin.work.wait()
    twin.state.request = SaliencyRequest(n_samples=3, aggregation="max")
    table = twin.state.reading.segmentation.lesions
    table["match"] = "TP"
    twin.explain(2)
    assert said[2] == (
        None,
        "The model of errors does not fit this map: it was fitted for maps with method SmoothGrad "
        "mean, and this one has SmoothGrad max.",
    )
    table.loc[2, "match"] = "FN"
    twin.state.request = SaliencyRequest(n_samples=3)
    twin.explain(2)
    assert said[2] == (None, "The network does not mark this lesion; a model of errors is about "
                             "those it marks.")  # fmt: skip


def test_another_reading_forgets_and_a_file_that_is_none_is_said(asked, tmp_path):
    twin, guessing, said, _ = asked
    guessing.choose(str(tmp_path / "none.json"))
    twin.work.wait()
    assert "expected a model that napari-ies qa fit wrote" in twin.tell.warnings[-1]
    assert guessing.model is None
    twin.explain(1)
    assert said == {}


def cell(panel, subject):
    rows = panel.features["lesions"].table._rows
    row, column = rows.rows[rows.row_of(subject)], rows.column_of(ERROR.name)
    return None if column is None else (rows.text(row, rows.columns[column]), row.tooltips)


def test_the_table_of_the_panel_shows_it_and_the_choice_is_remembered(
    segmented, tmp_path, monkeypatch
):
    from napari.settings import get_plugin_settings

    from napari_ies.viewer.panel import dialogs

    panel = segmented.panel
    state, feature = panel.state, panel.features["predicting"]
    with_a_file(state)
    panel.explaining.explain(1)
    segmented.finish()
    assert cell(panel, 1) is None
    path = model_file(tmp_path, segmented.answer(1))
    monkeypatch.setattr(dialogs, "choose_file", lambda *_: str(path))
    feature.button.menu().actions()[0].trigger()
    segmented.wait(lambda: cell(panel, 1) is not None)
    text, tips = cell(panel, 1)
    assert text == f"{expected(segmented.answer(1)):.2f}"
    assert "by model.json" in tips[ERROR.name]
    assert cell(panel, 2) == ("", {})
    assert get_plugin_settings("napari-ies").errors.model == str(path)
    assert str(path) in feature.button.toolTip()
    feature.none.trigger()
    segmented.wait(lambda: cell(panel, 1)[0] == "")
    assert get_plugin_settings("napari-ies").errors.model == ""
    assert not feature.none.isEnabled()
