"""What a map was made from and how, in plain values that JSON holds.

It goes wherever the map goes: files of results write it as it is, and nothing else of the kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.network.assumptions import notes_on
from napari_ies.network.device import device_label
from napari_ies.network.network_grid import map_notes, network_case
from napari_ies.versions import versions

if TYPE_CHECKING:
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case


def provenance(model: SegmentationModel, case: Case, precision: str) -> dict[str, object]:
    """Say what a map of a case is made from.

    Names of files come without their folders, which tend to hold what identifies a patient.

    Parameters
    ----------
    model, case
        The network and the patient.
    precision
        What was asked for; TF32 is there on CUDA only, and elsewhere float32 is noted.
    """
    notes = [*notes_on(model, case), *map_notes(model, case)]
    if precision == "tf32" and model.device.type != "cuda":
        notes.append("TF32 is there on CUDA only: the map was computed in float32.")
        precision = "float32"
    return {
        "device": device_label(model.device),
        "precision": precision,
        "checkpoint": network_provenance(model),
        "images": [
            {"sequence": name, "file": "" if path is None else path.name, "sha256": digest}
            for name, path, digest in zip(case.sequences, case.paths, case.sha256, strict=True)
        ],
        "network_grid": _network_grid(model, case),
        "notes": notes,
        "versions": versions(),
    }


def _network_grid(model: SegmentationModel, case: Case) -> dict[str, object] | None:
    """Return the voxels that the network ran on where they are not the images'."""
    seen = network_case(model, case)
    if seen is case:
        return None
    return {"shape": list(seen.shape), "affine": seen.affine.tolist(), "interpolation": "linear"}


def network_provenance(model: SegmentationModel) -> dict[str, object]:
    """Say which network it is, how its input is made, what its classes are and what was guessed."""
    profile = model.profile
    # Earlier versions knew no other blending, and said nothing of it.
    blending = {} if profile.blending == "gaussian" else {"blending": profile.blending}
    return {
        "name": profile.name if model.path is None else model.path.name,
        "sha256": model.sha256,
        "format": model.format,
        "architecture": profile.architecture,
        "arguments": dict(profile.arguments),
        "weights": profile.weights,
        "normalisation": profile.normalisation,
        "brain_extracted": profile.brain_extracted,
        "orientation": profile.orientation,
        "spacing": None if profile.spacing is None else list(profile.spacing),
        "resample": profile.resample,
        "window": list(profile.window),
        "overlap": profile.overlap,
        **blending,
        "activation": profile.activation,
        "class": list(profile.classes),
        "guessed": list(profile.guessed),
    }
