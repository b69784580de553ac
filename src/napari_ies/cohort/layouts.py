"""Results under the names that the original scripts gave them, for what reads those.

https://github.com/federicospagnolo/IES: ``attention_maps/TP/PATIENT-VISIT/`` holds ``pred_…``, the
voxels above the threshold, ``group_…``, the lesions of the kind, numbered from 1 in scan order,
and the maps of each. ``ies.py`` tells no kinds and has no folder for them.
"""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.cohort.row.explaining import names_of
from napari_ies.results import anat_folder, prepare
from napari_ies.results.storage.images import image_writer
from napari_ies.results.storage.writing import write
from napari_ies.saliency.case_explanations import completed
from napari_ies.segmentation.subject import Lesion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.settings import CohortSettings
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.results.storage.writing import Writer
    from napari_ies.segmentation.segmentation import Segmentation

SCRIPTS_SEQUENCES = ("flair", "mprage")
"""What the scripts call the network's two inputs."""
_MORE_THAN = 5
"""Voxels of the smallest lesion that the scripts take, missed ones too."""


def write_as_scripts(
    folder: Path,
    model: SegmentationModel,
    planned: CohortCase,
    case: Case,
    segmentation: Segmentation,
    explained: Sequence[int],
    settings: CohortSettings,
) -> list[Path]:
    """Write a case's results once more, under the scripts' names; return the paths.

    Parameters
    ----------
    folder
        The folder of results, in which the maps lie already.
    model, planned, case, segmentation
        The network, the case, and its lesions.
    explained
        Labels of the lesions that have maps: only these are numbered.
    settings
        The maps, and the name of the scripts' folder.
    """
    patient = (planned.place or planned.name).replace("/", "-").replace(" ", "-")
    marked = segmentation.marked_at(segmentation.threshold).astype(np.float32)
    voxels = segmentation.lesions["voxels"]
    chosen = [label for label in explained if voxels[label] > _MORE_THAN]
    groups = {"": chosen}
    if "match" in segmentation.lesions:
        match = segmentation.lesions["match"]
        kinds = settings.selection.kinds or ("TP", "FP", "FN")
        groups = {kind: [label for label in chosen if match[label] == kind] for kind in kinds}
    written: list[Path] = []
    for group, labels in groups.items():
        files: dict[str, Writer] = {
            f"pred_{patient}.nii.gz": image_writer(marked, case),
            f"group_{patient}.nii.gz": image_writer(_numbered(segmentation.labels, labels), case),
        }
        for number, label in enumerate(labels, start=1):
            for source, name in _maps(folder, model, case, label, number, patient, settings):
                files[name] = partial(shutil.copyfile, source)
        place = folder / settings.scripts_folder / group / patient
        written += write(prepare(place, files, overwrite=True), files)
    return written


def _numbered(labels: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """Return the chosen lesions numbered 1, 2, … in their order, int32."""
    lookup = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.int32)
    lookup[list(chosen)] = np.arange(1, len(chosen) + 1)
    numbered: np.ndarray = lookup[labels]
    return numbered


def _maps(
    folder: Path,
    model: SegmentationModel,
    case: Case,
    label: int,
    number: int,
    patient: str,
    settings: CohortSettings,
) -> list[tuple[Path, str]]:
    """Return each map of a lesion as it lies in the results, and what the scripts call it."""
    found = []
    for request in settings.requests:
        names = names_of(case, request, Lesion(label))["maps"]
        sources = [anat_folder(folder, case) / name for name in names]
        if request.is_smoothgrad:
            called = _sequences(case)
            new = [f"{one}_smooth_saliency_les_{number}_{patient}.nii.gz" for one in called]
        else:
            # The scripts wrap the network in DataParallel, which puts a word before its layers.
            layer = completed(request, model).layer
            new = [f"GradCAM_lesion{number}_layer_module.{layer}_{patient}.nii.gz"]
        found += list(zip(sources, new, strict=True))
    return found


def _sequences(case: Case) -> list[str]:
    if len(case.sequences) == len(SCRIPTS_SEQUENCES):
        return [*SCRIPTS_SEQUENCES]
    return [name.lower() for name in case.sequences]
