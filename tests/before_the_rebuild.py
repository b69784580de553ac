"""What the last commit before the rebuild wrote, and the images it was made of, made again."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

if TYPE_CHECKING:
    from napari_ies.demo.patient import SyntheticPatient

KEPT = Path(__file__).parent / "data" / "before_the_rebuild"
ANAT = KEPT / "results" / "sub-demo" / "anat"
SESSION = KEPT / "session"

IMAGES = {
    "FLAIR": "8edf9028e6b5d4e6fdf41bf53206c6a5aa30b3d860389c92d50ac593cae09c7e",
    "T1": "6b303030689e233927066a4f35e7da57fd97c4865d396de7cf0db178db186b99",
}
"""SHA-256 of the image of each sequence."""


def write_images(folder: Path, patient: SyntheticPatient) -> dict[str, Path]:
    """Write the part of the demo's patient, seed 0, that everything here was made of.

    It is a part for the size of what is kept. Skips where the bytes are others: another zlib packs
    otherwise, another processor or scipy rounds otherwise, and a session then rightly says that
    its images have changed.
    """
    images = {}
    for name, digest in IMAGES.items():
        images[name] = folder / f"{name}.nii.gz"
        whole = nib.Nifti1Image(getattr(patient, name.lower()), patient.affine)
        whole.header.set_xyzt_units("mm")
        whole.set_qform(patient.affine, code="mni")
        whole.set_sform(patient.affine, code="mni")
        read = nib.Nifti1Image.from_bytes(whole.to_bytes())
        nib.save(read.slicer[20:54, 80:112, 52:80], images[name])
        if hashlib.sha256(images[name].read_bytes()).hexdigest() != digest:
            pytest.skip(f"the demo's {name} has other bytes on this machine than where it was made")
    return images


def lay_session(folder: Path, images: dict[str, Path]) -> Path:
    """Lay images, network and session as they lay to one another; return the session's folder."""
    from napari_ies.demo import demo_checkpoint

    folder.mkdir()
    for file in (demo_checkpoint(), demo_checkpoint().with_suffix(".profile.json")):
        shutil.copy(file, folder.parent)
    for image in images.values():
        shutil.copy(image, folder)
    return Path(shutil.copytree(SESSION, folder / "napari-ies" / "sub-demo"))


def values(file: Path) -> np.ndarray:
    """Read the voxels of an image as any other program does."""
    return np.asarray(nib.load(file).dataobj)
