"""Reader: a NIfTI file opens upright in the viewer, in millimetres.

napari calls :func:`napari_get_reader`; the widget calls :func:`read_image` in the background.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ies.colour_maps import window_of
from napari_ies.viewer.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

LayerDataTuple = tuple["NDArray[Any]", dict[str, Any], str]

METADATA_KEY = "napari_ies"
"""Key of this package's entry in a layer's metadata: ``path``, ``affine`` and ``shape``."""

SUFFIXES = (".nii", ".nii.gz")


def napari_get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[LayerDataTuple]] | None:
    """Return a function that reads NIfTI files as layers, or None for other files."""
    paths = [path] if isinstance(path, str) else list(path)
    if paths and all(str(one).lower().endswith(SUFFIXES) for one in paths):
        return read_images
    return None


def read_images(path: str | Sequence[str]) -> list[LayerDataTuple]:
    """Read one or several NIfTI files as layers.

    Raises
    ------
    CaseError
        If a file cannot be used, in one sentence that names it.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return [read_image(one) for one in paths]


def read_image(path: str | Path) -> LayerDataTuple:
    """Read a NIfTI file as an upright image layer.

    Parameters
    ----------
    path
        ``.nii`` or ``.nii.gz``.

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
    from napari_ies.case import read_volume

    path = Path(path).expanduser()
    # A mask with no lesion is a constant volume and still a reference.
    volume, affine = read_volume(path, constant_is_error=False)
    x, y, z = volume.shape
    frame = Frame.of_grid(affine, (x, y, z))
    arguments = {
        **frame.placement(),
        "name": sequence_file_name(path),
        "colormap": "gray",
        "interpolation2d": "linear",
        "contrast_limits": window_of(volume),
        "metadata": {METADATA_KEY: {"path": str(path), "affine": affine}},
    }
    return frame.reorientation.apply(volume), arguments, "image"


def sequence_file_name(path: Path) -> str:
    """Return the name of a file without its NIfTI suffix."""
    name = path.name
    for suffix in reversed(SUFFIXES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return path.stem
