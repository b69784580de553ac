"""The synthetic patient as layers, for napari's File > Open Sample; napari is not imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.demo.patient import SyntheticPatient
    from napari_ies.geometry.orientation import Reorientation

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
    found = _labels_layer(patient, "reference lesions", instances(patient.lesions))
    return [*_images(patient), found]


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
    found = _labels_layer(patient, "lesions found by the demo network", segmentation.labels)
    return [*_images(patient), found]


def _images(patient: SyntheticPatient) -> list[LayerDataTuple]:
    # FLAIR lies above T1.
    return [_image_layer(patient, "T1", patient.t1), _image_layer(patient, "FLAIR", patient.flair)]


def _image_layer(
    patient: SyntheticPatient, sequence: str, volume: NDArray[np.float32]
) -> LayerDataTuple:
    # The brightest few voxels would leave the rest dark.
    brightest = float(np.percentile(volume[volume > 0], 99.98))
    options = {
        **_geometry(patient, sequence),
        "name": sequence,
        "colormap": "gray",
        "contrast_limits": (0.0, brightest),
    }
    return _display(patient).apply(volume), options, "image"


def _labels_layer(
    patient: SyntheticPatient, name: str, instances: NDArray[np.int32]
) -> LayerDataTuple:
    shown = _display(patient).apply(instances.astype(np.int32))
    return shown, {**_geometry(patient, "lesions"), "name": name, "opacity": 0.5}, "labels"


def _geometry(patient: SyntheticPatient, sequence: str) -> dict[str, Any]:
    from napari_ies.geometry.grid import Grid

    spacing = Grid.of(patient.lesions.shape, patient.affine).spacing
    return {
        "scale": _display(patient).displayed_spacing(spacing),
        "units": ("mm", "mm", "mm"),
        "metadata": {"napari_ies": {"sequence": sequence, "affine": patient.affine}},
    }


def _display(patient: SyntheticPatient) -> Reorientation:
    from napari_ies.geometry.orientation import Reorientation

    x, y, z = patient.lesions.shape
    return Reorientation.for_display(patient.affine, (x, y, z))
