"""A segmentation on disk: lesion labels, probabilities and the lesion table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_ies.errors import ResultsError
from napari_ies.geometry.grid import Grid
from napari_ies.lesions import COLUMNS
from napari_ies.results.names import segmentation_stem, sidecar_name
from napari_ies.results.provenance import case_provenance, checkpoint_provenance
from napari_ies.results.storage import (
    dataset_description,
    expected_content,
    image_writer,
    json_writer,
    prepare,
    read_image,
    read_sidecar,
    space_code,
    write,
)
from napari_ies.results.tables import table_writer
from napari_ies.versions import versions

if TYPE_CHECKING:
    from napari_ies.case import Case
    from napari_ies.checkpoints.model import SegmentationModel
    from napari_ies.segmentation import Segmentation


def segmentation_files(subject: str) -> dict[str, str]:
    """Name the files of a segmentation, without writing anything.

    Returns
    -------
    The names for ``"labels"``, ``"probability"`` and ``"lesions"`` (the table).
    """
    labels = segmentation_stem(subject, "dseg")
    return {
        "labels": f"{labels}.nii.gz",
        "probability": f"{segmentation_stem(subject, 'probseg')}.nii.gz",
        "lesions": f"{labels}.tsv",
    }


def save_segmentation(
    folder: str | Path,
    segmentation: Segmentation,
    *,
    case: Case,
    model: SegmentationModel,
    overwrite: bool = False,
) -> list[Path]:
    """Write a segmentation to a folder, with the case's affine.

    Parameters
    ----------
    folder
        Made if it is not there.
    segmentation
        Its labels are written as int32, its probability as float32, its lesions as a table
        (``dseg.tsv``, first column ``label``, ``n/a`` where a value is missing); the JSON beside
        them says what each column is.
    case, model
        What it was made from; the JSON beside each image says so.
    overwrite
        Whether files of the same names are replaced.

    Returns
    -------
    The paths of labels, probability and table.

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
    names = segmentation_files(case.subject)
    common = _description(segmentation, case, model) | {"Files": names}
    space = space_code(case)
    labels = segmentation.labels.astype(np.int32, copy=False)
    probability = segmentation.probability.astype(np.float32, copy=False)
    files = {
        names["labels"]: image_writer(labels, case.affine, space),
        names["probability"]: image_writer(probability, case.affine, space),
        names["lesions"]: table_writer(segmentation.lesions.rename_axis("label")),
    }
    sidecars = {
        sidecar_name(names["labels"]): json_writer(
            {"Description": "Lesion instances, 0 is background"}
            | common
            # Image and table share a stem, so this is the sidecar of both.
            | {name: COLUMNS[str(name)] for name in segmentation.lesions if name in COLUMNS}
        ),
        sidecar_name(names["probability"]): json_writer(
            {"Description": "Probability of the explained class", "Units": "1"} | common
        ),
    }
    folder = prepare(folder, [*files, *sidecars], overwrite=overwrite)
    return write(folder, files | sidecars | dataset_description(folder))[: len(files)]


def load_segmentation(path: str | Path, case: Case | None = None) -> Segmentation:
    """Read back what :func:`save_segmentation` wrote.

    Parameters
    ----------
    path
        Any one of its files.
    case
        The case that it must belong to, if that is to be checked.

    Returns
    -------
    The same segmentation.

    Raises
    ------
    ResultsError
        If a file of it is missing, damaged, not written by napari-ies, or lies on another grid
        than the case.
    """
    # Here, because it brings PyTorch along, for which whoever only writes need not wait.
    from napari_ies.segmentation import Segmentation

    path = Path(path).expanduser()
    sidecar = path.with_name(sidecar_name(path.name))
    content = read_sidecar(sidecar)
    with expected_content(sidecar):
        names, grid = content["Files"], content["Grid"]
        labels, probability, table = (
            path.with_name(names[key]) for key in ("labels", "probability", "lesions")
        )
        shape = tuple(int(size) for size in grid["Shape"])
        affine = np.array(grid["Affine"], dtype=np.float64).reshape(4, 4)
        settings: dict[str, Any] = {
            "threshold": float(content["Threshold"]),
            "forward": str(content["Forward"]),
            "device": str(content["Device"]),
            "notes": tuple(str(note) for note in content["SegmentationNotes"]),
            "smallest": int(content["SmallestLesion"]) if "SmallestLesion" in content else None,
        }
    if case is not None and not case.grid.same_as(Grid.of(shape, affine)):
        raise ResultsError(
            f"{path.name} (size {shape}) does not lie on the grid of the images (size "
            f"{case.shape}); give the images that were segmented, the same one first."
        )
    return Segmentation(
        probability=read_image(probability, np.float32, shape),
        labels=read_image(labels, np.int32, shape),
        lesions=_read_table(table),
        **settings,
    )


def _description(
    segmentation: Segmentation, case: Case, model: SegmentationModel
) -> dict[str, Any]:
    """Return what the sidecars of labels and probability say alike."""
    return {
        "Sources": [path.name for path in case.paths if path is not None],
        "Lesions": len(segmentation.lesions),
        "Threshold": segmentation.threshold,
        "Forward": segmentation.forward,
        "Device": segmentation.device,
        **({} if segmentation.smallest is None else {"SmallestLesion": segmentation.smallest}),
        "SegmentationNotes": list(segmentation.notes),
        "Class": {
            "Index": model.profile.explained_class,
            "Name": model.profile.classes[model.profile.explained_class],
        },
        **checkpoint_provenance(model),
        **case_provenance(case),
        "Versions": versions(),
        "Grid": {"Shape": list(case.shape), "Affine": case.affine.tolist()},
    }


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", index_col="label", na_values=["n/a"])
    except FileNotFoundError as error:
        raise ResultsError(
            f"{path} is missing; the files of one result belong together, so copy them all."
        ) from error
    except (OSError, ValueError) as error:
        raise ResultsError(
            f"{path} cannot be read as the table of lesions; copy or compute it again."
        ) from error
