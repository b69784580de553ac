"""A folder of results of several patients, written without a network: random maps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from cases import random_case

from napari_ies.regular_files import file_sha256
from napari_ies.results import save_saliency, save_segmentation
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency
from napari_ies.segmentation.lesions import lesion_table
from napari_ies.segmentation.segmentation import Segmentation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case

SHAPE = (14, 13, 12)
CORNERS = ((4, 3, 3), (9, 3, 4), (4, 9, 8))
"""Where the lesions, two voxels wide, begin: the first TP, the second FP, the third FN."""
MATCH = {1: "TP", 2: "FP", 3: "FN"}


def image_files(data: Path) -> Callable[[Case], dict[str, Any]]:
    """Return what writes a case's images below a folder, for `write_cohort`."""

    def with_files(case):
        paths = []
        for name, values in zip(case.sequences, case.data, strict=True):
            path = data / case.subject / f"{name}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(values, case.affine), path)
            paths.append(path)
        return {"paths": tuple(paths), "sha256": tuple(map(file_sha256, paths))}

    return with_files


def write_cohort(
    folder: Path,
    model: SegmentationModel,
    patients: int = 3,
    requests: tuple[SaliencyRequest, ...] = (SaliencyRequest(n_samples=3, aggregation="max"),),
    *,
    with_files: Callable[[Case], dict[str, Any]] = lambda _: {},
    lifted: Mapping[int, float] = {},
) -> dict[tuple[str, int, str, str], Saliency]:
    """Write patients P0, P1, …; return the maps by patient, lesion, method and aggregation.

    `with_files` may write a case's images, and gives its fields that say where they are; `lifted`
    is added to the map inside the lesion of a label.
    """
    written = {}
    for patient in range(patients):
        case = random_case(SHAPE, seed=patient, affine=np.diag([-1.0, 1, 1, 1]))
        case = replace(case, subject=f"P{patient}")
        case = replace(case, **with_files(case))
        generator = np.random.default_rng(patient)
        labels = np.zeros(SHAPE, dtype=np.int32)
        for label, corner in enumerate(CORNERS, 1):
            labels[tuple(slice(at, at + 2) for at in corner)] = label
        probability = generator.random(SHAPE, dtype=np.float32)
        segmentation = Segmentation(
            probability=probability,
            labels=labels,
            lesions=lesion_table(labels, probability, case, MATCH),
            threshold=0.5,
            forward="sliding-window",
            device="CPU",
            smallest=1,
        )
        save_segmentation(folder, segmentation, case=case, model=model)
        for label in MATCH:
            for request in requests:
                saliency = _map(case, labels == label, request, generator)
                saliency.cropped[:, labels == label] += lifted.get(label, 0)
                save_saliency(folder, saliency, case=case, model=model, lesion=label)
                key = (case.subject, label, request.method, request.aggregation)
                written[key] = saliency
    return written


def _map(case, mask, request, generator) -> Saliency:
    sequences = request.maps_of(case.sequences)
    values = generator.normal(mask.sum() / 8, 1, (len(sequences), *SHAPE)).astype(np.float32)
    return Saliency(
        request=request,
        sequences=sequences,
        shape=case.shape,
        affine=case.affine,
        box=tuple(slice(0, size) for size in SHAPE),
        cropped=values,
        cropped_standard_error=np.abs(values) / 10 if request.is_smoothgrad else None,
        footprint=mask,
        n_used=request.n_samples,
        provenance={
            "images": [
                {"sequence": name, "file": "" if path is None else path.name, "sha256": digest}
                for name, path, digest in zip(case.sequences, case.paths, case.sha256, strict=True)
            ]
        },
    )
