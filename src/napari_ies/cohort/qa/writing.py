"""``qa fit``: a model of errors with its report, as files that appear in one step."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.cohort.chart import chart_writer
from napari_ies.cohort.qa.applying import FOLDER
from napari_ies.cohort.qa.evaluation import evaluate
from napari_ies.cohort.qa.features import haralick_texture
from napari_ies.cohort.qa.fitting import (
    Training,
    check_enough,
    cross_validating,
    fitted,
    unfitted,
)
from napari_ies.cohort.qa.lesions import (
    check_each_once,
    found_maps,
    measuring,
    one_kind,
    with_matches,
)
from napari_ies.cohort.qa.model import error_model
from napari_ies.cohort.qa.plots import calibration_figure, threshold_figure
from napari_ies.cohort.qa.report import notes_on, report_text
from napari_ies.cohort.statistics.bootstrap import DRAWS, Draws
from napari_ies.errors import CohortError
from napari_ies.progress import Progress, to_its_end
from napari_ies.results.storage.writing import json_writer, prepare, text_writer, write
from napari_ies.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from napari_ies.cohort.qa.evaluation import Evaluation
    from napari_ies.cohort.qa.lesions import FoundMap, MeasuredLesions
    from napari_ies.cohort.qa.model import ErrorModel
    from napari_ies.results.storage.writing import Writer

logger = logging.getLogger("napari_ies")

MODEL, TEXT = "model.json", "report.md"
TABLES = ("lesions.csv", "coefficients.csv", "thresholds.csv", "calibration.csv")
PLOTS = ("thresholds.png", "calibration.png")
KINDS = ("TP", "FP")


def fit_progressively(
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    method: str | None = None,
    aggregation: str | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    overwrite: bool = False,
) -> Iterator[Progress[list[Path]]]:
    """Fit a model that tells false from true positives by their maps, and write it.

    Parameters
    ----------
    folders
        Of results, computed with a reference. A patient of the same name in two of them counts as
        one.
    out
        Folder for the files; ``qa`` in the first folder by default.
    method, aggregation
        Of the maps, where the folders hold several kinds.
    draws, seed
        Of the bootstrap; the seed is that of the folds, too.
    overwrite
        Whether a model that is there is replaced.

    Yields
    ------
    A report per map and fold; the last one holds the paths of ``model.json``, ``report.md``,
    ``lesions.csv``, ``coefficients.csv``, ``thresholds.csv``, ``calibration.csv``,
    ``thresholds.png`` and ``calibration.png``.

    Raises
    ------
    CohortError
        If nothing can be learned from these maps: too few lesions or patients, lesions of one kind
        alone, maps of several kinds. Nothing is written then.
    ResultsError
        If a file is not as it was written, or the disk refuses.
    """
    place = folders[0] / FOLDER if out is None else out
    names = [MODEL, TEXT, *TABLES, *PLOTS]
    yield Progress("Reading the maps' tables", 0, 0, "")
    found = [one for folder in folders for one in with_matches(folder, found_maps(folder))]
    kind = one_kind(found, method, aggregation)
    if not kind.network:
        raise CohortError(
            "It is not known which network the maps are of, so that a model of them could not tell "
            "to which others it applies; explain with a checkpoint's file."
        )
    known = [one for one in found if one.kind == kind and one.who["match"] in KINDS]
    check_each_once(known)
    check_enough(_known_kinds(known))
    haralick_texture(), unfitted()  # said before hours of work, and before a folder is made
    prepare(place, names, overwrite=overwrite)
    measured = None
    for report in measuring(known):
        yield report.with_result(None)
        measured = report.result
    assert measured is not None  # noqa: S101 - the last report has it
    rows, features = measured.rows, measured.features
    training = Training(
        features.to_numpy(),
        (rows["match"] == "FP").to_numpy(),
        rows["subject"].astype(str).to_numpy(dtype=np.str_),
    )
    unseen = None
    for validated in cross_validating(training, seed):
        yield validated.with_result(None)
        unseen = validated.result
    assert unseen is not None  # noqa: S101 - as above
    yield Progress("Fitting", 0, 2, "steps")
    pipeline = fitted(training, seed)
    drawn = Draws.of(training.patients.tolist(), draws, seed)
    network = rows["mean_probability"].to_numpy(dtype=np.float64)
    evaluation = evaluate(training, unseen.probabilities, network, drawn)
    logistic = pipeline[-1]
    left_out = len([one for one in found if one.kind == kind]) - len(known)
    notes = notes_on(training, features, evaluation, bool(logistic.coef_.any()), left_out)
    model = error_model(
        pipeline,
        kind,
        features,
        cases=sorted({case for case in rows["case"] if case}),
        settings={
            "C": float(logistic.C),
            "Seed": seed,
            "Folds": int(unseen.folds.max()) + 1,
            "FoldC": unseen.strengths,
            "Draws": draws,
        },
        performance=_performance(training, evaluation),
        notes=notes,
        provenance={"Versions": {**versions(), **_learned_with()}},
    )
    yield Progress("Fitting", 1, 2, "steps")
    content = model.model_dump(by_alias=True)
    tables = (
        _lesions(measured, unseen.probabilities, unseen.folds),
        _coefficients(model),
        evaluation.thresholds,
        evaluation.calibration,
    )
    figures = (threshold_figure, calibration_figure)
    title = f"Errors told from {kind.called} maps"
    files: dict[str, Any] = {
        MODEL: json_writer(content),
        TEXT: text_writer(report_text(model, training, evaluation)),
        **{name: _csv(table) for name, table in zip(TABLES, tables, strict=True)},
        **{
            name: chart_writer(partial(draw, evaluation), title)
            for name, draw in zip(PLOTS, figures, strict=True)
        },
    }
    paths = write(place, files)
    for note in notes:
        logger.info("%s", note)
    yield Progress("Fitting", 2, 2, "steps", paths)


fit = to_its_end("fit", fit_progressively)


def _known_kinds(known: Sequence[FoundMap]) -> Training:
    """Return which lesions there are, before their features are measured."""
    kinds = np.array([one.who["match"] == "FP" for one in known], dtype=bool)
    whose = np.array([str(one.who["subject"]) for one in known], dtype=np.str_)
    return Training(np.empty((len(known), 0)), kinds, whose)


def _performance(training: Training, evaluation: Evaluation) -> dict[str, Any]:
    auc, own = evaluation.auc, evaluation.auc_network
    (right, _), (wrong, _) = training.counts.values()
    return {
        "Of": "patients that the model of a fold never saw",
        "Patients": len({*training.patients}),
        "TP": right,
        "FP": wrong,
        "AUC": auc.value,
        "AUCInterval": [auc.low, auc.high],
        "AUCOfTheNetworksProbability": None if own is None else own.value,
        "Brier": evaluation.brier,
        "BrierOfAConstant": evaluation.brier_constant,
    }


def _learned_with() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("scikit-learn", "mahotas")}


def _lesions(
    measured: MeasuredLesions, probabilities: NDArray[np.float64], folds: NDArray[np.int64]
) -> pd.DataFrame:
    """Return the lesions with what a model says of each that never saw its patient."""
    features = measured.features
    about = measured.rows.drop(columns=[*features, "case"])
    about.insert(3, "probability_fp_unseen", probabilities)
    about.insert(4, "fold", folds)
    return about.join(features)


def _coefficients(model: ErrorModel) -> pd.DataFrame:
    import pandas as pd

    rows = [one.model_dump() for one in model.features]
    order = sorted(rows, key=lambda row: -abs(row["coefficient"]))
    return pd.DataFrame(order)


def _csv(table: pd.DataFrame) -> Writer:
    return text_writer(table.to_csv(index=False, lineterminator="\n"))
