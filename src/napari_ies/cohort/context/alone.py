"""A context in a file of its own, as a session keeps it and a person exports it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.cohort.context.files import provenance, read_contexts
from napari_ies.cohort.context.growth import Growth
from napari_ies.cohort.context.perilesional import Context, ContextRequest
from napari_ies.cohort.context.table import COLUMNS, context_rows
from napari_ies.cohort.row.targets import Target
from napari_ies.errors import NapariIESError, ResultsError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.segmentation.subject import Subject

FORWARDS = ("sliding-window", "whole-volume")


@dataclass(frozen=True, eq=False)
class WrittenContext:
    """A context as its files hold it.

    Parameters
    ----------
    table
        A row per step, with the columns of a table of contexts; the lesion is the index.
    content
        What the sidecar says.
    """

    table: pd.DataFrame
    content: dict[str, Any]


def written(
    context: Context,
    subject: Subject,
    match: str | None,
    model: SegmentationModel,
    case: Case,
) -> WrittenContext:
    """Return a context as its files are to hold it.

    Parameters
    ----------
    context
        All of it.
    subject
        The lesion or the region.
    match
        ``"TP"``, ``"FP"`` or ``"FN"``; None without a reference.
    model, case
        What it was computed from.
    """
    lesion = Target(subject, ()).name
    rows = context_rows(context, lesion, match, case.grid.voxel_mm3)
    made_from = provenance(model, case, context.request)
    notes = list(dict.fromkeys([*made_from["Notes"], *context.notes]))
    names = list(context.request.sequences)
    own: dict[str, Any] = {"Lesion": lesion, "Background": names, "Notes": notes}
    if context.by_tool:
        own["DecidedByTool"] = True
    return WrittenContext(rows.set_index("lesion"), COLUMNS | made_from | own)


def read_context(path: Path) -> Context:
    """Read a context that is alone in its file, as it was written.

    Raises
    ------
    ResultsError
        If it is not there as it was written.
    """
    content, table = read_contexts(path)
    try:
        return _context(content, table)
    except (NapariIESError, LookupError, TypeError, ValueError) as error:
        raise ResultsError(f"{path} does not hold one context; compute it again.") from error


def _context(content: dict[str, Any], table: pd.DataFrame) -> Context:
    growth = Growth(**content["Growth"])
    names, forward = content["Background"], content["Forward"]
    if forward not in FORWARDS or not all(isinstance(name, str) for name in names):
        raise ValueError("no settings of a context")
    request = ContextRequest(tuple(names), growth, content["Threshold"], forward)
    numbers = {name: table[name].to_numpy(dtype=np.float64) for name in COLUMNS if name in _NUMBERS}
    whole = {name: values.astype(np.int64) for name, values in numbers.items() if name in _COUNTS}
    probabilities = numbers["mean_probability"], numbers["whole_probability"]
    fits = (
        np.array_equal(whole["step"], np.arange(growth.steps + 1))
        and all(((values >= 0) & (values <= 1)).all() for values in probabilities)
        and all((whole[name] == numbers[name]).all() and (whole[name] >= 0).all() for name in whole)
        and np.isfinite(numbers["distance_mm"]).all()
        and len(set(whole["voxels"])) == 1
    )
    if not fits:
        raise ValueError("no rows of a context")
    return Context(
        request=request,
        distance_mm=numbers["distance_mm"],
        kept_voxels=whole["kept_voxels"],
        mean_probability=numbers["mean_probability"],
        voxels_above=whole["voxels_above"],
        voxels=int(whole["voxels"][0]),
        whole_probability=float(numbers["whole_probability"][0]),
        whole_above=int(whole["whole_above"][0]),
        notes=tuple(str(note) for note in content.get("Notes") or ()),
        by_tool=content.get("DecidedByTool") is True,
    )


_COUNTS = ("step", "voxels", "kept_voxels", "voxels_above", "whole_above")
_NUMBERS = (*_COUNTS, "distance_mm", "mean_probability", "whole_probability")
