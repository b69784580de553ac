"""What a result was made from, in the words of its sidecar."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_ies.case import Case
    from napari_ies.checkpoints.model import SegmentationModel
    from napari_ies.saliency.request import SaliencyRequest

PACKAGES = ("napari-ies", "torch", "monai", "numpy", "scipy", "nibabel")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages whose code made the result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a source tree that was never installed
            continue
    return found


def case_provenance(case: Case) -> dict[str, Any]:
    """Return names and SHA-256 of a case's images, and what was done to them on loading.

    Names alone: folders tend to hold what identifies a patient.
    """
    return {
        "Images": [
            {
                "Sequence": sequence,
                "Name": None if path is None else path.name,
                "SHA256": digest or None,
            }
            for sequence, path, digest in zip(case.sequences, case.paths, case.sha256, strict=True)
        ],
        "Notes": list(case.notes),
    }


def checkpoint_provenance(model: SegmentationModel) -> dict[str, Any]:
    """Return name, SHA-256 and architecture of a checkpoint, and how its input is made."""
    profile = model.profile
    return {
        "Checkpoint": {
            "Name": profile.name if model.path is None else model.path.name,
            "SHA256": model.sha256 or None,
            "Architecture": profile.architecture,
        },
        "Normalisation": profile.normalisation,
    }


def request_provenance(
    request: SaliencyRequest, model: SegmentationModel | None, provenance: Mapping[str, object]
) -> dict[str, Any]:
    """Return the settings of a saliency that take part in its method, and its network.

    Parameters
    ----------
    request
        What was asked for.
    model
        The network, if it is known.
    provenance
        The saliency's own: what the request left open, such as the default layer.
    """
    smoothgrad = request.method == "smoothgrad"
    index = request.class_index
    name = None
    if model is not None:
        index = model.profile.explained_class if index is None else index
        name = model.profile.classes[index] if index < len(model.profile.classes) else None
    return {
        "Method": request.method,
        "Aggregation": request.aggregation if smoothgrad else None,
        "SamplesAsked": request.n_samples if smoothgrad else None,
        "Noise": request.noise if smoothgrad else None,
        "Seed": request.seed if smoothgrad else None,
        "Layer": None if smoothgrad else (request.layer or provenance.get("layer")),
        "Forward": request.forward,
        "Class": {"Index": index, "Name": name},
        "Device": provenance.get("device"),
        "Precision": provenance.get("precision", "float32"),
        **({} if model is None else checkpoint_provenance(model)),
    }
