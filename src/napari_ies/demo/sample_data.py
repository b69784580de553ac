"""The synthetic patient as layers, for napari's File > Open Sample; napari is not imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.demo.patient import SyntheticPatient

LayerDataTuple = tuple["NDArray[Any]", dict[str, Any], str]


def synthetic_patient_layers() -> list[LayerDataTuple]:
    """Return FLAIR and T1 of the synthetic patient with its true lesions on top.

    Returns
    -------
    Data, keyword arguments and type of each layer: two images and the labels of the lesions. The
    data are views with the axes (inferior, posterior, left); ``metadata["napari_ies"]`` holds the
    name of the sequence and the affine of the array as stored.

    Raises
    ------
    CaseError
        If nilearn is not installed.
    """
    from napari_ies.demo.patient import synthetic_patient
    from napari_ies.geometry.components import instances

    patient = synthetic_patient()
    return _layers(patient, "reference lesions", instances(patient.lesions))


def segmented_patient_layers() -> list[LayerDataTuple]:
    """Return FLAIR and T1 of the synthetic patient with what the demo's network marks in it.

    The network computes on the processor, which takes some seconds.

    Returns
    -------
    As `synthetic_patient_layers`, with the lesions that the network found in place of the true
    ones.

    Raises
    ------
    CaseError
        If nilearn is not installed.
    """
    from napari_ies.checkpoints import load_checkpoint
    from napari_ies.demo import demo_checkpoint
    from napari_ies.demo.patient import synthetic_patient
    from napari_ies.patient.case import Case
    from napari_ies.segmentation.segmentation import segment

    patient = synthetic_patient()
    case = Case(("FLAIR", "T1"), np.stack([patient.flair, patient.t1]), patient.affine)
    segmentation = segment(load_checkpoint(demo_checkpoint(), device="cpu"), case)
    return _layers(patient, "lesions found by the demo network", segmentation.labels)


def _layers(
    patient: SyntheticPatient, name: str, labels: NDArray[np.int32]
) -> list[LayerDataTuple]:
    from napari_ies.geometry.grid import Grid
    from napari_ies.geometry.orientation import Reorientation

    grid = Grid.of(patient.lesions.shape, patient.affine)
    turn = Reorientation.for_display(grid.affine, grid.shape)

    def layer(values: NDArray[Any], sequence: str, kind: str, **options: Any) -> LayerDataTuple:
        options |= {
            "scale": turn.displayed_spacing(grid.spacing),
            "units": ("mm", "mm", "mm"),
            "metadata": {"napari_ies": {"sequence": sequence, "affine": patient.affine}},
        }
        return turn.apply(values), options, kind

    def image(sequence: str, volume: NDArray[np.float32]) -> LayerDataTuple:
        # The brightest few voxels would leave the rest dark.
        limits = 0.0, float(np.percentile(volume[volume > 0], 99.98))
        shown = {"name": sequence, "colormap": "gray", "contrast_limits": limits}
        return layer(volume, sequence, "image", **shown)

    found = layer(labels.astype(np.int32), "lesions", "labels", name=name, opacity=0.5)
    # FLAIR lies above T1.
    return [image("T1", patient.t1), image("FLAIR", patient.flair), found]
