"""A synthetic patient: FLAIR and T1 of a brain with white-matter lesions, made from a seed.

The brain is the MNI152 template (Fonov et al., NeuroImage 2011,
doi:10.1016/j.neuroimage.2010.07.033) that the nilearn package carries, bent for each patient.
Intensities follow what brain-extracted FLAIR and T1 of patients with multiple sclerosis show:
lesions are brighter than white matter on FLAIR, and moderately darker on T1. Some bright spots on
FLAIR are no lesions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_ies.demo.anatomy import Anatomy, draw_anatomy, smooth_field
from napari_ies.demo.lesion_shapes import Lesions, draw_lesions
from napari_ies.errors import CaseError

if TYPE_CHECKING:
    from numpy.typing import NDArray


SPACING_MM = 1.5
"""Voxel size of the demo: fine enough for the eye, coarse enough for a laptop."""

SPACING_RANGE_MM = (1.0, 2.0)
"""The template has voxels of 1 mm; above 2 mm the small lesions are lost."""


@dataclass(frozen=True, eq=False)
class SyntheticPatient:
    """Images of one synthetic patient, all on one grid.

    Parameters
    ----------
    flair, t1
        Intensities, float32 (X, Y, Z): exactly 0 outside the brain, positive inside.
    lesions
        The true lesions, bool (X, Y, Z).
    affine
        Voxel indices to mm in MNI space, RAS, (4, 4).
    """

    flair: NDArray[np.float32]
    t1: NDArray[np.float32]
    lesions: NDArray[np.bool_]
    affine: NDArray[np.float64]


def synthetic_patient(seed: int = 0, *, spacing: float = SPACING_MM) -> SyntheticPatient:
    """Make a patient: the same for the same seed and spacing.

    Parameters
    ----------
    seed
        Which patient.
    spacing
        Edge of a voxel in mm, from 1 to 2.

    Raises
    ------
    CaseError
        If the spacing is out of range, or nilearn, which brings the brain template, is not
        installed.
    """
    low, high = SPACING_RANGE_MM
    if not low <= spacing <= high:
        raise CaseError(
            f"The voxel size of {spacing:g} mm is not possible for a synthetic patient: choose one "
            f"from {low:g} to {high:g} mm."
        )
    generator = np.random.default_rng(seed)
    anatomy = draw_anatomy(generator, spacing)
    lesions = draw_lesions(generator, anatomy)
    flair = _acquire(generator, _flair_signal(generator, anatomy, lesions), anatomy, scale=110.0)
    t1 = _acquire(generator, _t1_signal(generator, anatomy, lesions), anatomy, scale=350.0)
    return SyntheticPatient(flair, t1, lesions.mask, anatomy.affine)


def write_synthetic_patient(folder: str | Path, seed: int = 0) -> dict[str, Path]:
    """Write a patient as ``FLAIR.nii.gz``, ``T1.nii.gz`` and ``lesions.nii.gz``.

    Parameters
    ----------
    folder
        Where to; made if it is not there. Files of these names are replaced.
    seed
        Which patient.

    Returns
    -------
    The three files, by the names ``"FLAIR"``, ``"T1"`` and ``"lesions"``.

    Raises
    ------
    CaseError
        If nilearn is not installed, or the folder cannot be written.
    """
    patient = synthetic_patient(seed)
    images: dict[str, NDArray[Any]] = {
        "FLAIR": patient.flair,
        "T1": patient.t1,
        "lesions": patient.lesions.astype(np.uint8),
    }
    files = {name: Path(folder) / f"{name}.nii.gz" for name in images}
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name, array in images.items():
            _write(array, patient.affine, files[name])
    except OSError as error:
        raise CaseError(
            f"The synthetic patient cannot be written to {folder} ({error.strerror}): "
            "choose a folder that can be written."
        ) from error
    return files


def _write(array: NDArray[Any], affine: NDArray[np.float64], file: Path) -> None:
    import nibabel

    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code="mni")
    image.set_sform(affine, code="mni")
    # Renaming is one step: nobody meets a half-written file.
    unfinished = file.with_name(f".{file.name.removesuffix('.nii.gz')}.part.nii.gz")
    nibabel.save(image, unfinished)
    unfinished.replace(file)


def _flair_signal(
    generator: np.random.Generator, anatomy: Anatomy, lesions: Lesions
) -> NDArray[np.float32]:
    """Return the noise-free FLAIR, 1 being about the brightest lesion; float32 (X, Y, Z)."""
    grey = generator.uniform(0.75, 0.83)
    white = generator.uniform(0.66, 0.70)
    fluid = generator.uniform(0.08, 0.20)
    shape, spacing = anatomy.brain.shape, anatomy.spacing
    signal = fluid * anatomy.csf + grey * anatomy.grey + white * anatomy.white
    signal *= 1.0 + 0.014 * smooth_field(generator, shape, spacing, 14.0)
    # Bright without being lesions: patches of cortex, the lining of the ventricles, the white
    # matter next to them, and the choroid plexus inside them.
    patches = np.clip(smooth_field(generator, shape, spacing, 16.0) - 1.4, 0.0, 2.0)
    signal += 0.07 * patches * anatomy.grey * anatomy.bulk_grey
    lining = np.exp(-((anatomy.from_ventricles / 1.5) ** 2)) + 0.4 * np.exp(
        -((anatomy.from_ventricles / 6.0) ** 2)
    )
    lining = lining * (1.0 + 0.3 * smooth_field(generator, shape, spacing, 10.0)).clip(0.0)
    signal += generator.uniform(0.03, 0.08) * lining * (1.0 - anatomy.csf)
    plexus = _choroid_plexus(generator, anatomy)
    signal = signal * (1.0 - plexus) + generator.uniform(0.65, 0.85) * plexus
    rise = generator.uniform(0.22, 0.32) * lesions.contrast
    texture = 1.0 + 0.07 * smooth_field(generator, shape, spacing, 4.0)
    lesion = np.maximum(white + rise * texture, white + 0.12)
    signal = signal * (1.0 - lesions.membership) + lesion * lesions.membership
    return np.asarray(signal, dtype=np.float32)


def _t1_signal(
    generator: np.random.Generator, anatomy: Anatomy, lesions: Lesions
) -> NDArray[np.float32]:
    """Return the noise-free T1, white matter being 1; float32 (X, Y, Z)."""
    grey = generator.uniform(0.70, 0.78)
    fluid = generator.uniform(0.15, 0.25)
    shape, spacing = anatomy.brain.shape, anatomy.spacing
    signal: NDArray[Any] = fluid * anatomy.csf + grey * anatomy.grey + anatomy.white
    signal *= 1.0 + 0.012 * smooth_field(generator, shape, spacing, 14.0)
    texture = 1.0 + 0.11 * smooth_field(generator, shape, spacing, 4.0)
    fall = (generator.uniform(0.20, 0.32) * lesions.contrast * texture).clip(0.08, 0.5)
    signal = signal * (1.0 - lesions.membership) + (1.0 - fall) * lesions.membership
    return np.asarray(signal, dtype=np.float32)


def _choroid_plexus(generator: np.random.Generator, anatomy: Anatomy) -> NDArray[np.float32]:
    """Return how much of each voxel is choroid plexus: clumps inside the ventricles' atria."""
    shape, spacing = anatomy.brain.shape, anatomy.spacing
    y = anatomy.affine[1, 3] + spacing * np.arange(shape[1])
    atria = anatomy.ventricles & (y < -20.0)[:, None]
    clumps = smooth_field(generator, shape, spacing, 4.0) > 0.9
    return np.asarray(ndimage.gaussian_filter((atria & clumps).astype(np.float32), 0.6 / spacing))


def _acquire(
    generator: np.random.Generator, signal: NDArray[np.float32], anatomy: Anatomy, scale: float
) -> NDArray[np.float32]:
    """Image a signal: blur, coil bias, noise, and the brain cut out."""
    spacing = anatomy.spacing
    blurred = ndimage.gaussian_filter(signal, 0.6 / spacing)
    bias = 1.0 + 0.025 * smooth_field(generator, signal.shape, spacing, 70.0).clip(-2.5, 2.5)
    # The magnitude of a complex signal has Rician noise (Gudbjartsson & Patz, 1995).
    level = generator.uniform(0.018, 0.03)
    real = blurred * bias + level * generator.standard_normal(signal.shape, dtype=np.float32)
    imaginary = level * generator.standard_normal(signal.shape, dtype=np.float32)
    gain = scale * generator.uniform(0.8, 1.2)
    magnitude = gain * np.hypot(real, imaginary)
    return np.where(anatomy.brain, np.maximum(magnitude, 1e-3), 0.0).astype(np.float32)
