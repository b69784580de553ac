"""``qa apply``: how probably each lesion of a folder of results is a false positive."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from napari_ies.cohort.qa.features import haralick_texture, map_features
from napari_ies.cohort.qa.lesions import found_maps, images_key, measuring, with_matches
from napari_ies.cohort.qa.map_kind import MapKind
from napari_ies.cohort.qa.model import MEANING, read_model
from napari_ies.errors import CohortError
from napari_ies.progress import Progress, to_its_end
from napari_ies.results.storage.tables import MISSING, read_table
from napari_ies.results.storage.writing import json_writer, prepare, text_writer, write
from napari_ies.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from napari_ies.cohort.qa.model import ErrorModel, Guess
    from napari_ies.saliency.saliency import Saliency

logger = logging.getLogger("napari_ies")

FOLDER = "qa"
"""In the folder of results."""
TABLE, SIDECAR = "errors.tsv", "errors.json"
COLUMNS: dict[str, dict[str, Any]] = {
    "subject": {"Description": "Patient"},
    "visit": {"Description": "Visit, n/a without one"},
    "lesion": {"Description": "Label of the lesion in the image of labels"},
    "match": {"Description": "What the lesion is by the reference; n/a without one"},
    "probability_fp": {
        "Description": f"From 0 to 1: {MEANING}, by the model named below",
        "Units": "1",
    },
    "seen": {
        "Description": "Whether the model was fitted on this patient's images, too: its "
        "probabilities are then better than they will be for others; n/a where the images' hashes "
        "are not known"
    },
    "filled": {
        "Description": "Number of features that the model uses and the map does not have: their "
        "medians stand for them"
    },
    "beyond": {
        "Description": "Number of features that the model uses and that are smaller or larger "
        "than in any lesion that it was fitted on"
    },
    "file": {"Description": "The map's table of measures, as a path in the folder"},
}


def apply_progressively(
    folder: Path, model_file: Path, *, overwrite: bool = False
) -> Iterator[Progress[list[Path]]]:
    """Write how probably each lesion of a folder of results is a false positive.

    Parameters
    ----------
    folder
        Of the results; missed lesions are left out, which the network does not mark.
    model_file
        That ``qa fit`` wrote.
    overwrite
        Whether a table that is there is replaced.

    Yields
    ------
    A report per map; the last one holds the paths of ``qa/errors.tsv`` and the JSON beside it.

    Raises
    ------
    CohortError
        If the file is no model, or it was fitted for other maps.
    ResultsError
        If a map is not as it was written, or the disk refuses.
    """
    model, digest = read_model(model_file)
    yield Progress("Reading the maps' tables", 0, 0, "")
    found = found_maps(folder)
    wanted = model.fitted_for
    alike = [one for one in found if one.kind.called == wanted.called]
    for one in alike or found:
        why = model.why_not(one.kind)
        if why:
            raise CohortError(
                f"The model {model_file} does not fit {one.path}: {why}; fit a model of these "
                "maps, or explain as the model's maps were."
            )
    marked = [one for one in with_matches(folder, alike) if one.who["match"] != "FN"]
    if not marked:
        raise CohortError(
            f"All lesions with maps in {folder} are missed ones (FN); a model of errors is about "
            "those that the network marks."
        )
    haralick_texture()  # said before a folder is made
    place = prepare(folder / FOLDER, [TABLE, SIDECAR], overwrite=overwrite)
    measured = None
    for report in measuring(marked):
        yield report.with_result(None)
        measured = report.result
    assert measured is not None  # noqa: S101 - the last report has it
    lines = ["\t".join(COLUMNS)]
    for row in measured.rows.to_dict("records"):
        named = {str(name): value for name, value in row.items()}
        guess = model.guess(named)
        cells = {**named, **_facts(model, str(named["case"]), guess)}
        lines.append("\t".join(_cell(cells[name]) for name in COLUMNS))
    about = {
        **COLUMNS,
        "Model": {"Name": model_file.name, "SHA256": digest, "FittedFor": wanted.model_dump()},
        "Notes": model.notes,
        "Versions": versions(),
    }
    files = {TABLE: text_writer("\n".join(lines) + "\n"), SIDECAR: json_writer(about)}
    paths = write(place, files)
    for note in model.notes:
        logger.info("%s: %s", model_file.name, note)
    yield Progress("Measuring maps", len(lines), len(lines), "maps", paths)


apply = to_its_end("apply", apply_progressively)


def guess_of(model: ErrorModel, saliency: Saliency) -> tuple[Guess | None, str]:
    """Return what a model says of a map, or why it cannot say anything, in one sentence.

    Raises
    ------
    CohortError
        If mahotas is not installed.
    """
    kind = MapKind.of(saliency.request, saliency.sequences, saliency.provenance)
    why = model.why_not(kind)
    if why:
        return None, f"The model of errors does not fit this map: {why}."
    return model.guess(map_features(saliency)), ""


def saw(model: ErrorModel, saliency: Saliency) -> bool:
    """Whether a model was fitted on the images of a map, too."""
    images = saliency.provenance.get("images")
    known = images if isinstance(images, list) else []
    return images_key(str(one.get("sha256") or "") for one in known) in model.cases


def probabilities_in(folder: Path) -> Mapping[str, float]:
    """Return the probabilities that ``qa apply`` wrote, by the file of the map.

    Raises
    ------
    CohortError
        If they are there and cannot be read.
    """
    path = folder / FOLDER / TABLE
    if not path.exists():
        return {}
    try:
        table = read_table(path)
        return dict(zip(table["file"], table["probability_fp"].astype(float), strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise CohortError(
            f"{path} cannot be read as the table of napari-ies qa apply; remove it, or write it "
            "again with --overwrite."
        ) from error


def _facts(model: ErrorModel, case: str, guess: Guess) -> dict[str, object]:
    return {
        "probability_fp": guess.probability,
        "seen": ("yes" if case in model.cases else "no") if case else "",
        "filled": len(guess.filled),
        "beyond": len(guess.beyond),
    }


def _cell(value: object) -> str:
    if value is None or value == "" or value != value:
        return MISSING
    return repr(value) if isinstance(value, float) else str(value)
