"""A segmentation on disk: lesion labels, probabilities and the lesion table."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic.alias_generators import to_pascal

from napari_ies.errors import ResultsError
from napari_ies.geometry.grid import Grid
from napari_ies.results.belonging import told_apart
from napari_ies.results.dataset import source_uris, write_result
from napari_ies.results.lesion_table import read_lesion_table
from napari_ies.results.names import stem
from napari_ies.results.provenance import (
    case_provenance,
    checkpoint_provenance,
    file_record,
    other_images,
)
from napari_ies.results.sidecars import AgreementContent, SegmentationContent, read_content
from napari_ies.results.storage.images import (
    image_writer,
    read_changed_labels,
)
from napari_ies.results.storage.json_files import finishing, sidecar_of
from napari_ies.results.storage.tables import table_writer
from napari_ies.segmentation.lesions import COLUMNS
from napari_ies.segmentation.verdicts import COLUMNS as VERDICT_COLUMNS
from napari_ies.segmentation.verdicts import with_verdicts
from napari_ies.versions import versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from napari_ies.network.guesses.agreement import Agreement
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.segmentation.segmentation import Decision, Segmentation


def segmentation_files(subject: str, visit: str = "") -> dict[str, str]:
    """Name the files of a segmentation, by the labels of patient and visit.

    Nothing is written. They are ``"labels"``, ``"probability"`` and ``"lesions"`` (the table).
    """
    labels = stem("dseg", subject, visit, desc="lesions")
    return {
        "labels": f"{labels}.nii.gz",
        "probability": f"{stem('probseg', subject, visit, desc='lesions')}.nii.gz",
        "lesions": f"{labels}.tsv",
    }


def save_segmentation(
    folder: str | Path,
    segmentation: Segmentation,
    *,
    case: Case,
    model: SegmentationModel,
    overwrite: bool = False,
    flat: bool = False,
    reference: Mapping[str, str | None] | None = None,
    verdicts: Mapping[Any, str] | None = None,
    notes: Mapping[Any, str] | None = None,
    regions: pd.DataFrame | None = None,
) -> list[Path]:
    """Write a segmentation to a folder, with the case's affine.

    Parameters
    ----------
    folder, overwrite, flat
        See :func:`~napari_ies.results.saliency.save_saliency`.
    segmentation
        Its labels are written as int32, its probability as float32, its lesions as a table
        (``dseg.tsv``, first columns ``index`` and ``name``, ``n/a`` where a value is missing);
        the JSON beside them says what each column is.
    case, model
        What it was made from; the JSON beside each image says so.
    reference
        Record of the reference's file, see
        :func:`~napari_ies.results.provenance.file_record`; None without one.
    verdicts, notes
        What a person says of lesions, by label: ``"agree"``, ``"reject"`` or ``"unsure"``, and
        texts. Each becomes a column of the table where there is any.
    regions
        Regions that are no lesions and what a person says of them, a row each, the index their
        names; written as a table of their own, ``regions.tsv``. None for none: what was written of
        them before goes.

    Returns
    -------
    The paths of labels, probability and table, and that of the regions' table if there is one.

    Raises
    ------
    ResultsError
        If a file is there and `overwrite` is not set, the case is another one, or the disk
        refuses. No file is half written then.
    """
    if segmentation.labels.shape != case.shape:
        raise ResultsError(
            f"The segmentation has the size {segmentation.labels.shape}, the case {case.shape}; "
            "give the case that was segmented."
        )
    root = None if flat else Path(folder).expanduser()
    if root is not None:
        case, _ = told_apart(root, case)
    names = segmentation_files(case.subject, case.visit)
    common = _description(segmentation, case, model, root) | {"Files": names}
    if reference is not None:
        common["Reference"] = dict(reference)
    lesions = with_verdicts(segmentation.lesions, verdicts or {}, notes or {})
    labels = segmentation.labels.astype(np.int32, copy=False)
    probability = segmentation.probability.astype(np.float32, copy=False)
    files = {
        names["labels"]: image_writer(labels, case),
        names["probability"]: image_writer(probability, case),
        names["lesions"]: table_writer(_lookup_table(lesions)),
    }
    sidecars = {
        # Image and table share a stem, so this is the sidecar of both.
        names["labels"]: {"Description": "Lesion instances, 0 is background"}
        | common
        | _LOOKUP_COLUMNS
        | {name: _TABLE_COLUMNS[name] for name in lesions if name in _TABLE_COLUMNS},
        names["probability"]: {"Description": "Probability of the explained class", "Units": "1"}
        | common,
    }
    of_regions = f"{stem('regions', case.subject, case.visit, desc='judged')}.tsv"
    if regions is not None:
        files[of_regions] = table_writer(regions.rename_axis("name"))
        columns = {name: _TABLE_COLUMNS[name] for name in regions if name in _TABLE_COLUMNS}
        named = {"name": {"Description": "What a person calls the region, which is no lesion"}}
        common = {**common, "Files": {"regions": of_regions}}
        sidecars[of_regions] = (
            {"Description": "Regions that were judged"} | common | named | columns
        )
    obsolete = [] if regions is not None else [of_regions]
    return write_result(
        folder, case, files, sidecars, overwrite=overwrite, flat=flat, obsolete=obsolete
    )


def load_segmentation(
    path: str | Path, case: Case | None = None, *, changed_too: bool = False
) -> Segmentation:
    """Read back what :func:`save_segmentation` wrote.

    Parameters
    ----------
    path
        Any one of its files.
    case
        The case that it must belong to, if that is to be checked.
    changed_too
        Whether files are read that were changed since they were written, such as labels corrected
        by hand, as they are now.

    Raises
    ------
    ResultsError
        If a file of it is missing, damaged, changed, not written by napari-ies, or lies on another
        grid than the case or was made from other images.
    """
    read = read_segmentation(path, case, changed_too=changed_too)
    if case is not None and (others := other_images(case, read.content.get("Images") or ())):
        raise ResultsError(
            f"{Path(path).name} was made from other images ({', '.join(others)}: another SHA-256) "
            "than those of the case; give the case that was segmented."
        )
    return read.segmentation


@dataclass(frozen=True, eq=False)
class SavedSegmentation:
    """A segmentation on disk, and what its files say about it."""

    segmentation: Segmentation
    """Read back."""
    content: Mapping[str, Any]
    """All that its sidecar says."""
    labels: Mapping[str, str | None]
    """Record of the file of its labels, see :func:`~napari_ies.results.provenance.file_record`."""


def read_segmentation(
    path: str | Path, case: Case | None = None, *, changed_too: bool = False
) -> SavedSegmentation:
    """Read a segmentation with what its files say; see :func:`load_segmentation`."""
    path = Path(path).expanduser()
    return finishing(path.parent, lambda: _read(path, case, changed_too))


def _read(path: Path, case: Case | None, changed_too: bool) -> SavedSegmentation:
    # Here, because it brings PyTorch along, for which whoever only writes need not wait.
    from napari_ies.segmentation.segmentation import Segmentation

    sidecar = sidecar_of(path)
    content, whole = read_content(sidecar, SegmentationContent)
    names, grid = content.files, Grid.of(content.grid.size, content.grid.matrix)
    if case is not None and not case.grid.same_as(grid):
        raise ResultsError(
            f"{path.name} (size {grid.shape}) does not lie on the grid of the images (size "
            f"{case.shape}); give the images that were segmented, the same one first."
        )
    labels_path = path.with_name(names.labels)
    if changed_too:
        labels, digest = read_changed_labels(labels_path, grid)
    else:
        labels, digest = content.image(labels_path, np.int32)
    probability, _ = content.image(
        path.with_name(names.probability), np.float32, changed_too=changed_too
    )
    if labels.min() < 0 or not np.isfinite(probability).all():
        raise ResultsError(
            f"{names.labels} or {names.probability} holds values that no segmentation has; compute "
            "the result again."
        )
    table_digest = "" if changed_too else content.digest(names.lesions)
    lesions = read_lesion_table(path.with_name(names.lesions), labels, table_digest)
    segmentation = Segmentation(
        probability=probability,
        labels=labels,
        lesions=lesions,
        threshold=content.threshold,
        forward=content.forward,
        device=content.device,
        notes=tuple(content.segmentation_notes),
        smallest=content.smallest_lesion,
        # Earlier versions did not write what they had tested.
        agreements=tuple(map(_agreement, content.agreements)),
        decision=_decision(content, labels, lesions),
    )
    return SavedSegmentation(segmentation, whole, file_record(names.labels, digest))


_TABLE_COLUMNS = COLUMNS | VERDICT_COLUMNS

_LOOKUP_COLUMNS = {
    "index": {"Description": "Label of the lesion in the image of labels", "Format": "integer"},
    "name": {"Description": "Name of the lesion"},
}
"""Of the table, before those of :data:`~napari_ies.segmentation.lesions.COLUMNS`: BIDS asks for
them.
"""


def _lookup_table(lesions: pd.DataFrame) -> pd.DataFrame:
    """Return the table of lesions as BIDS has the table of an image of labels."""
    table = lesions.rename_axis("index")
    table.insert(0, "name", [f"lesion {label}" for label in table.index])
    return table


def _description(
    segmentation: Segmentation, case: Case, model: SegmentationModel, root: Path | None
) -> dict[str, Any]:
    """Return what the sidecars of labels and probability say alike."""
    sources = source_uris(case, root)
    return {
        "Sources": sources,
        # The grid is that of the first image; "orig" is BIDS's word for an image's own space.
        "SpatialReference": "orig" if case.paths[0] is None else sources[0],
        "Lesions": len(segmentation.lesions),
        "Threshold": segmentation.threshold,
        **_decision_said(segmentation),
        "Forward": segmentation.forward,
        "Device": segmentation.device,
        **({} if segmentation.smallest is None else {"SmallestLesion": segmentation.smallest}),
        "SegmentationNotes": list(segmentation.notes),
        # JSON has no infinity: a score that is none is null there.
        "Agreements": [
            {to_pascal(key): value for key, value in asdict(one).items()}
            for one in segmentation.agreements
        ],
        "Class": {
            "Index": model.profile.explained_class,
            "Name": model.profile.classes[model.profile.explained_class],
        },
        **checkpoint_provenance(model),
        **case_provenance(case),
        "Versions": versions(),
        "Grid": {"Shape": list(case.shape), "Affine": case.affine.tolist()},
    }


def _decision_said(segmentation: Segmentation) -> dict[str, Any]:
    """Return what is stored of a decision of the network's own tool: nothing, if it makes none."""
    decision = segmentation.decision
    if decision is None:
        return {}
    decided = math.isclose(segmentation.threshold, decision.threshold)
    return {"Decision": {"Threshold": decision.threshold, "Decided": decided}}


def _decision(
    content: SegmentationContent, labels: NDArray[np.int32], lesions: pd.DataFrame
) -> Decision | None:
    """Return a decision that was stored; what it marked are the lesions, if none is left out."""
    # Here for the same reason as where it is called.
    from napari_ies.segmentation.segmentation import Decision

    stored = content.decision
    if stored is None or not stored.decided or content.smallest_lesion != 1:
        return None if stored is None else Decision(stored.threshold)
    found = labels > 0
    if "match" in lesions:
        found &= ~np.isin(labels, lesions.index[lesions["match"] == "FN"])
    return Decision(stored.threshold, found)


def _agreement(content: AgreementContent) -> Agreement:
    # Here for the same reason as where it is called.
    from napari_ies.network.guesses.agreement import Agreement

    scores = {name: math.inf if score is None else score for name, score in content.scores.items()}
    return Agreement(**content.model_dump() | {"scores": scores})
