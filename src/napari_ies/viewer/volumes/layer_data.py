"""LayerData: an image file as what napari calls a layer data tuple, upright and in millimetres."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.colour_maps import window_of
from napari_ies.errors import CaseError
from napari_ies.patient.background import find_background
from napari_ies.viewer.volumes.frame import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.patient.images.volume import Volume

LayerDataTuple = tuple["NDArray[Any]", dict[str, Any], str]

METADATA_KEY = "napari_ies"
"""Key of this package's entry in a layer's metadata: ``path``, ``affine``, ``sha256``; ``result``
for a file that this program wrote as one; ``made`` for a layer that is one; ``named`` for a mask
that was known as one by its name."""

IMAGE_ONLY = ("colormap", "contrast_limits", "interpolation2d")
"""Layer arguments that a Labels layer does not take."""


def read_image(path: str | Path) -> LayerDataTuple:
    """Read an image file as an upright image layer.

    Parameters
    ----------
    path
        A file that :func:`napari_ies.patient.images.volume.read_volume` reads.

    Returns
    -------
    data, arguments, layer type
        float32 view with the axes (inferior, posterior, left), intensities as stored; the
        arguments of an image layer in mm.

    Raises
    ------
    CaseError
        If the file cannot be used, in one sentence that names it.
    """
    from napari_ies.patient.images.volume import read_volume

    # A mask with no lesion is a constant volume and still a reference.
    return layer_of(read_volume(path, constant_is_error=False))


def layer_of(volume: Volume, name: str | None = None) -> LayerDataTuple:
    """Return a file that was read as :func:`read_image` does, under its name or another one."""
    from napari_ies.patient.images.volume import stem_of
    from napari_ies.patient.patient_files import is_result

    path = str(volume.path)
    known: dict[str, Any] = {"path": path, "affine": volume.affine, "sha256": volume.sha256}
    if volume.path is not None and is_result(volume.path):
        known["result"] = True
    frame = Frame.of_grid(volume.affine, volume.grid.shape)
    arguments = {
        **frame.placement(),
        "name": name or stem_of(path),
        "colormap": "gray",
        "interpolation2d": "linear",
        "contrast_limits": window_of(volume.data, find_background(volume.data, volume.step)),
        "metadata": {METADATA_KEY: known},
    }
    return frame.reorientation.apply(volume.data), arguments, "image"


def read_mask(path: str | Path) -> LayerDataTuple:
    """Read a mask or a label map as a hidden Labels layer; labels keep their numbers.

    Raises
    ------
    CaseError
        If the file cannot be used, in one sentence that names it.
    """
    data, arguments, _ = read_image(path)
    kept = {k: v for k, v in arguments.items() if k not in IMAGE_ONLY}
    shown = labels_shown(data, Path(path).name)
    return shown, {**kept, "opacity": 0.4, "visible": False}, "labels"


def labels_shown(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Return a mask's or label map's values as a Labels layer shows them.

    Parameters
    ----------
    values
        (X, Y, Z), of any type; labels keep their numbers, and what is no part of the mask is 0.
    name
        What they are called in sentences.

    Raises
    ------
    CaseError
        If they are no mask.
    """
    from napari_ies.patient.mask_values import WHOLE, mask_of

    mask, _ = mask_of(values, name)
    whole = np.rint(values)
    if np.abs(values - whole).max() > WHOLE or whole.max() <= 1:
        return mask.astype(np.uint8)
    small = whole.max() <= np.iinfo(np.int32).max
    return np.where(mask, whole, 0).astype(np.int32 if small else np.int64)


def read_as_named(path: str | Path) -> LayerDataTuple:
    """Read a file as an image or, where its name is that of a mask of lesions, as Labels on show.

    Raises
    ------
    CaseError
        As :func:`read_image` does.
    """
    from napari_ies.patient.images.volume import stem_of
    from napari_ies.patient.sequence_names import telling_of_lesions

    if telling_of_lesions(stem_of(path)):
        with suppress(CaseError):  # an image after all, or none: said by the other way
            data, arguments, kind = read_mask(path)
            arguments["metadata"][METADATA_KEY]["named"] = True
            return data, {**arguments, "visible": True}, kind
    return read_image(path)


def made_here(layer: Any) -> bool:
    """Whether a layer is a result of this program: made in a window, copied, or from a file."""
    known = layer.metadata.get(METADATA_KEY)
    return isinstance(known, dict) and bool(known.get("result") or known.get("made"))


def sha256_of_file(layer: Any) -> str:
    """Return the SHA-256 of the file that a layer was opened from here, or an empty text."""
    known = layer.metadata.get(METADATA_KEY)
    return str(known.get("sha256", "")) if isinstance(known, dict) else ""


def file_of(layer: Any) -> str | None:
    """Return the path of the file that a layer was opened from here, or None."""
    known = layer.metadata.get(METADATA_KEY)
    path = known.get("path") if isinstance(known, dict) else None
    return None if path is None else str(path)
