"""One patient's images as people really have them: the same intensities, written otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Kind:
    """A way to write an image.

    Parameters
    ----------
    write
        Writes values (0 in the background) and affine to a folder under a name.
    said
        What a note must hold, or an empty string where nothing is to be said.
    atol
        How far the network's input may be from that of the image as it was: half a rounding step.
    """

    write: Callable[[np.ndarray, np.ndarray, Path, str], Path]
    said: str = ""
    atol: float = 1e-4


def _save(image: Any, path: Path) -> Path:
    nib.save(image, path)
    return path


def _int16(values, affine, folder, name):
    """As nibabel's ``set_data_dtype(np.int16)`` does, with an offset at which 0 is never exact."""
    step = float(np.ptp(values)) / 60000
    offset = float(values.min()) + 30000.37 * step
    stored = np.rint((values - offset) / step).astype(np.int16)
    image = nib.Nifti1Image(stored, affine)
    image.header.set_slope_inter(step, offset)
    return _save(image, folder / f"{name}.nii.gz")


def _zscored(values, affine, folder, name):
    scaled = (values - values.mean()) / values.std()
    return _save(nib.Nifti1Image(scaled.astype(np.float32), affine), folder / f"{name}.nii.gz")


def _minus_1000(values, affine, folder, name):
    moved = np.where(values == 0, -1000, values).astype(np.float32)
    return _save(nib.Nifti1Image(moved, affine), folder / f"{name}.nii.gz")


def _sagittal(values, affine, folder, name):
    image = nib.Nifti1Image(values, affine)
    wanted = nib.orientations.axcodes2ornt("PSR")
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), wanted)
    return _save(image.as_reoriented(turn), folder / f"{name}.nii.gz")


def _micrometres(values, affine, folder, name):
    image = nib.Nifti1Image(values, np.diag([1000.0, 1000, 1000, 1]) @ affine)
    image.header.set_xyzt_units("micron")
    return _save(image, folder / f"{name}.nii.gz")


def _mgz(values, affine, folder, name):
    return _save(nib.MGHImage(values, affine), folder / f"{name}.mgz")


KINDS = {
    "int16": Kind(_int16, ", not 0: it fills", atol=2e-3),
    "z-scored": Kind(_zscored, ", not 0: it fills"),
    "-1000": Kind(_minus_1000, "is -1000, not 0: it fills"),
    "PSR": Kind(_sagittal, "stored PSR, not along R/L, A/P and S/I"),
    "micron": Kind(_micrometres, "in micrometres; they were converted to mm"),
    "mgz": Kind(_mgz),
}


def rewrite(kind: str, images: dict[str, Path], folder: Path) -> dict[str, Path]:
    """Write images of one patient again, in another way."""
    folder.mkdir(exist_ok=True)
    written = {}
    for name, path in images.items():
        image = nib.load(path)
        values = np.asarray(image.dataobj, dtype=np.float32)
        written[name] = KINDS[kind].write(values, image.affine, folder, name)
    return written
