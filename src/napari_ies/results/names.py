"""File names as BIDS derivatives: ``sub-07_ses-1_seq-FLAIR_lesion-003_…_saliency.nii.gz``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.errors import ResultsError
from napari_ies.patient.bids_label import bids_label

if TYPE_CHECKING:
    from typing import Any

    from napari_ies.patient.case import Case
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.segmentation.subject import Subject

METHOD_LABELS = {"smoothgrad": "smoothgrad", "gradcam++": "gradcampp"}
EXTENSIONS = (".nii.gz", ".json", ".tsv")
LONGEST_NAME = 255
"""Bytes of a name that file systems take."""


def label(text: str) -> str:
    """Reduce a text to the value of a BIDS entity, see
    :func:`~napari_ies.patient.bids_label.bids_label`.

    Raises
    ------
    ResultsError
        If nothing is left.
    """
    letters = bids_label(text)
    if not letters:
        raise ResultsError(
            f"{text!r} holds no letter or digit, so no file can be named after it; give a name "
            "such as FLAIR."
        )
    return letters


def stem(suffix: str, subject: str, visit: str = "", **entities: str | int | None) -> str:
    """Name one file of a patient, without extension: entities and suffix joined by underscores.

    Parameters
    ----------
    suffix
        What it is, such as ``"dseg"`` (lesion labels and their table), ``"mask"``, ``"image"``.
    subject, visit
        Labels of the patient and of the visit, if there is one.
    entities
        What else sets it apart, in this order; those that are None are left out.
    """
    every = {"sub": subject, "ses": visit or None} | entities
    parts = [f"{key}-{label(str(value))}" for key, value in every.items() if value is not None]
    return "_".join([*parts, suffix])


def saliency_stem(
    case: Case,
    request: SaliencyRequest,
    *,
    suffix: str = "saliency",
    sequence: str | None = None,
    lesion: int | None = None,
    region: str | None = None,
    run: int | None = None,
    desc: str | None = None,
) -> str:
    """Name one file of a saliency, without its extension, as :func:`stem` does.

    Parameters
    ----------
    case, request
        Give patient and visit; and method and, for SmoothGrad, aggregation.
    suffix
        What kind of file it is.
    sequence
        The map's sequence; left out for Grad-CAM++, whose map belongs to all of them.
    lesion, region
        The lesion's label, or the name of a region that is no lesion.
    run
        Tells maps apart that differ in settings no other entity names, such as the seed.
    desc
        What sets the file apart from the map itself: ``"standarderror"``, ``"footprint"``.
    """
    smoothgrad = request.is_smoothgrad
    return stem(
        suffix,
        case.subject,
        case.visit,
        seq=sequence if smoothgrad else None,
        lesion=None if lesion is None else f"{lesion:03d}",
        region=region,
        method=METHOD_LABELS[request.method],
        agg=request.aggregation if smoothgrad else None,
        run=run,
        desc=desc,
    )


def whose(subject: Subject) -> dict[str, Any]:
    """Return what a map is about as arguments of :func:`saliency_stem`: ``{"lesion": 3}``."""
    return {"lesion" if isinstance(subject, int) else "region": subject}


def sidecar_name(name: str) -> str:
    """Return the name of the JSON beside a file ``….nii.gz`` or ``….tsv`` (or of that JSON)."""
    for extension in EXTENSIONS:
        name = name.removesuffix(extension)
    return f"{name}.json"


def is_plain_name(name: str) -> bool:
    """Whether a name is that of a file in the same folder, and no path that leads out of it."""
    return (
        name not in ("", ".", "..")
        and not set(name) & {"/", "\\", ":", "\0"}
        and len(name.encode("utf-8", "surrogatepass")) <= LONGEST_NAME
    )
