"""The networks, patients and lesions that are measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_ies.checkpoints import load_checkpoint
from napari_ies.network.device import resolve_device
from napari_ies.network.inference import network_input
from napari_ies.network.model import SegmentationModel
from napari_ies.network.profile import Profile
from napari_ies.patient.case import Case
from napari_ies.patient.loading import load_case
from napari_ies.saliency.footprint import BoxedMask
from napari_ies.saliency.noise import standard_noise
from napari_ies.segmentation.lesions import instances
from napari_ies.segmentation.segmentation import segment

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (182, 218, 182)
NOISE = 0.05
SIZES = (20, 100, 600)
CONFLUENT = 46_683
NETWORKS: dict[str, dict[str, Any]] = {
    "UNet": {
        "channels": (32, 64, 128, 256, 512),
        "strides": (2, 2, 2, 2),
        "norm": "batch",
        "num_res_units": 0,
    },
    "DynUNet": {
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [16, 32, 64],
        "dropout": 0.1,
        "res_block": True,
        "norm_name": "instance",
        "act_name": "leakyrelu",
    },
    "SwinUNETR": {},
}
DIVISORS = {"UNet": 16, "DynUNet": 4, "SwinUNETR": 32}


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion of a patient.

    Parameters
    ----------
    name
        In words, for the table.
    case
        The patient.
    voxels
        int64 (V, 3).
    """

    name: str
    case: Case
    voxels: NDArray[np.int64]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """The lesion on the case's grid."""
        mask = np.zeros(self.case.shape, dtype=bool)
        mask[tuple(self.voxels.T)] = True
        return mask

    @cached_property
    def boxed(self) -> BoxedMask:
        """The same as the viewer has it of a lesion that is clicked."""
        return BoxedMask.of(self.mask)

    def thinned(self, count: int) -> Lesion:
        """Return about `count` voxels, evenly taken from all of the lesion in scan order."""
        picked = np.unique(np.linspace(0, len(self.voxels) - 1, count).round().astype(int))
        return Lesion(f"{len(picked)} voxels of {self.name}", self.case, self.voxels[picked])

    def patches(self, count: int, edge: int = 2) -> Lesion:
        """Return about `count` voxels in small cubes spread over all of the lesion.

        Like the whole lesion, and unlike a thinned one, it holds neighbours, whose rows may share
        work.
        """
        cells, cell = np.unique(self.voxels // edge, axis=0, return_inverse=True)
        wanted = max(round(count * len(cells) / len(self.voxels)), 1)
        picked = np.unique(np.linspace(0, len(cells) - 1, wanted).round().astype(int))
        voxels = self.voxels[np.isin(cell.ravel(), picked)]
        return Lesion(f"{len(voxels)} voxels of {self.name}", self.case, voxels)


@dataclass(frozen=True, eq=False)
class Subjects:
    """What a run measures.

    Parameters
    ----------
    model
        The paper's U-Net.
    lesions
        From small to large.
    confluent
        The confluent lesion.
    origin
        Where they are from, in words.
    """

    model: SegmentationModel
    lesions: tuple[Lesion, ...]
    confluent: Lesion
    origin: str

    def smallest(self, count: int) -> Subjects:
        """Return the same with its smallest lesions only."""
        return replace(self, lesions=self.lesions[:count])

    def among(self, lesions: tuple[Lesion, ...]) -> Subjects:
        """Return the same with other lesions."""
        return replace(self, lesions=lesions)


def real_subjects(folder: Path, device: str) -> Subjects:
    """Load the trained U-Net and two real patients.

    Parameters
    ----------
    folder
        Holds ``checkpoints/unet_flair_t1_epoch_31.pth`` and ``data/open_ms/patient07`` and
        ``patient19``, each with ``FLAIR.nii.gz``, ``T1.nii.gz`` and ``consensus_lesions.nii.gz``.
    device
        Where the network computes.
    """
    import nibabel

    model = load_checkpoint(folder / "checkpoints" / "unet_flair_t1_epoch_31.pth", device=device)
    patients = {}
    for number in ("07", "19"):
        at = folder / "data" / "open_ms" / f"patient{number}"
        patients[number] = load_case({"FLAIR": at / "FLAIR.nii.gz", "T1": at / "T1.nii.gz"})
    reference = folder / "data" / "open_ms" / "patient19" / "consensus_lesions.nii.gz"
    marked = segment(model, patients["07"]).labels
    drawn = instances(np.asarray(nibabel.load(reference).dataobj) > 0)
    lesions = (
        _of_size(marked, 20, patients["07"], "patient07, segmented"),
        _of_size(drawn, 100, patients["19"], "patient19, reference"),
        _of_size(marked, marked.size, patients["07"], "patient07, segmented"),
        _of_size(drawn, 600, patients["19"], "patient19, reference"),
    )
    confluent = _of_size(drawn, drawn.size, patients["19"], "patient19, reference")
    return Subjects(model, lesions, confluent, "real patients, trained U-Net")


def demo_lesions(sizes: tuple[int, ...] = SIZES) -> tuple[Lesion, ...]:
    """Return lesions of about these sizes of the demo's synthetic patient, at 1 mm."""
    from napari_ies.demo import synthetic_patient

    patient = synthetic_patient(0, spacing=1.0)
    data = np.stack([patient.flair, patient.t1])
    case = Case(("FLAIR", "T1"), data, patient.affine, subject="synthetic")
    drawn = instances(patient.lesions)
    return tuple(_of_size(drawn, size, case, "synthetic patient, drawn") for size in sizes)


def synthetic_subjects(
    device: str,
    shape: tuple[int, int, int] = SHAPE,
    sizes: tuple[int, ...] = SIZES,
    confluent: int = CONFLUENT,
) -> Subjects:
    """Make a U-Net with random weights and a patient of random noise with balls for lesions."""
    case = random_case(shape)
    rng = np.random.default_rng(2)
    # A third to two thirds of each axis: inside the head, at any phase of the network's strides.
    centres = [tuple(int(rng.integers(n // 3, 2 * n // 3)) for n in shape) for _ in sizes]
    lesions = tuple(
        Lesion(f"ball of {size} voxels", case, _ball(shape, centre, size))
        for size, centre in zip(sizes, centres, strict=True)
    )
    middle = tuple(n // 2 for n in shape)
    large = Lesion(f"ball of {confluent} voxels", case, _ball(shape, middle, confluent))
    return Subjects(random_model("UNet", device), lesions, large, "synthetic, random weights")


def tiny_subjects(device: str) -> Subjects:
    """Make the smallest that can be measured: a small U-Net, random noise and two lesions."""
    made = synthetic_subjects(device, (22, 20, 18), sizes=(4, 7), confluent=60)
    model = random_model(
        "UNet",
        device,
        arguments={"channels": (4, 6, 8), "strides": (2, 2)},
        divisor=(4, 4, 4),
        window=(16, 16, 16),
    )
    return replace(made, model=model)


def random_case(shape: tuple[int, int, int]) -> Case:
    """Return a patient of random noise in an ellipsoid head, zero around it."""
    grid = np.indices(shape) / np.reshape(shape, (3, 1, 1, 1)) - 0.5
    head = (grid**2).sum(axis=0) < 0.45**2
    data = np.random.default_rng(1).uniform(1, 100, (2, *shape)) * head
    return Case(("FLAIR", "T1"), data.astype(np.float32), np.eye(4), subject="noise")


def random_model(
    architecture: str,
    device: str,
    *,
    arguments: dict[str, Any] | None = None,
    **sizes: tuple[int, int, int],
) -> SegmentationModel:
    """Return a network of the paper with random weights.

    Parameters
    ----------
    architecture
        One of `NETWORKS`.
    device
        Where it computes.
    arguments
        Arguments of the network that differ from the paper's.
    sizes
        Fields of the profile that differ from the paper's: `window`, `divisor`.
    """
    from monai.networks import nets

    settled = NETWORKS[architecture] | (arguments or {})
    if architecture != "SwinUNETR":
        settled = {"spatial_dims": 3, **settled}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = getattr(nets, architecture)(in_channels=2, out_channels=2, **settled)
    profile = Profile(
        name=f"{architecture}, random weights",
        architecture=architecture,
        arguments=settled,
        sequences=("FLAIR", "T1"),
        **{"divisor": (DIVISORS[architecture],) * 3, **sizes},
    )
    return SegmentationModel(network, profile, resolve_device(device))


def noisy_volume(model: SegmentationModel, case: Case, seed: int, sample: int) -> torch.Tensor:
    """Return what the network sees of a case in a noise sample, (C, X, Y, Z) on its device."""
    image = network_input(model, case)
    sigma = NOISE * float(image[0].max() - image[0].min())
    x, y, z = image.shape[1:]
    noise = standard_noise(seed, sample, len(image), (slice(0, x), slice(0, y), slice(0, z)))
    return (image + sigma * torch.from_numpy(noise)).to(model.device)


def _of_size(labels: NDArray[np.int32], size: int, case: Case, origin: str) -> Lesion:
    """Return the instance whose number of voxels is nearest to a size."""
    sizes = np.bincount(labels.ravel())[1:]
    label = int(np.abs(sizes - size).argmin()) + 1
    voxels = np.argwhere(labels == label)
    return Lesion(f"lesion of {len(voxels)} voxels ({origin})", case, voxels)


def _ball(shape: tuple[int, int, int], centre: tuple[int, ...], size: int) -> NDArray[np.int64]:
    """Return the `size` voxels nearest to a centre, in scan order."""
    distance = ((np.indices(shape) - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(axis=0)
    nearest = np.argsort(distance, axis=None, kind="stable")[:size]
    return np.stack(np.unravel_index(np.sort(nearest), shape), axis=1)
