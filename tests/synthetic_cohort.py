"""Twelve small cases as the original scripts lay them, and a network that finds their lesions.

Among them one that cannot be read, one without lesions, one whose images lie on other grids, and
two visits of one patient.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (24, 24, 24)
AFFINE = np.diag([-1.0, 1.2, 1.5, 1.0])
PREFIXES = ("flair.nii.gz", "t1.nii.gz")
TARGET = "lesions.nii.gz"
UNREADABLE, HEALTHY, OTHER_GRID = "P03/ses1", "P05/ses1", "P07/ses1"
PLACES = ("P01/ses1", "P01/ses2", *(f"P{number:02d}/ses1" for number in range(2, 12)))


@dataclass(frozen=True)
class SyntheticCohort:
    """Where its files lie: not to be changed, copies of it may be."""

    root: Path
    checkpoint: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    def arguments(self, *places: str) -> list[str]:
        """The options of the original scripts, in their spelling."""
        return [
            *("--model_checkpoint", str(self.checkpoint)),
            *("--input_val_paths", str(self.data), str(self.data)),
            *("--input_prefixes", *PREFIXES),
            *("--target_val_path", str(self.data), "--target_prefix", TARGET),
        ]


def patient(seed, blobs, shape=SHAPE, affine=AFFINE):
    """Return FLAIR, T1 and lesions: bright balls in a head of noise."""
    generator = np.random.default_rng(seed)
    grid = np.moveaxis(np.indices(shape), 0, -1) * np.abs(np.diag(affine)[:3])
    extent = np.array(shape) * np.abs(np.diag(affine)[:3])
    head = np.linalg.norm((grid - extent / 2) / (0.47 * extent), axis=-1) < 1
    lesions = np.zeros(shape, dtype=bool)
    for centre, radius in blobs:
        lesions |= np.linalg.norm(grid - centre, axis=-1) < radius
    images = []
    for contrast in (1.8, 0.6):
        values = 100 * np.where(lesions, contrast, 1) + generator.normal(0, 4, shape)
        images.append(np.where(head, values, 0).astype(np.float32))
    return (*images, lesions)


def blobs_of(number):
    """Return centres in mm and radii of two balls."""
    generator = np.random.default_rng(100 + number)
    first, second = (
        generator.uniform((6, 8, 9), (9, 20, 27)),
        generator.uniform((14, 8, 9), (18, 20, 27)),
    )
    return [(first, 2.3), (second, 2.9)]


def write_cohort(root):
    """Write images, references and network."""
    checkpoint = write_network(root / "unet.pth")
    for number, place in enumerate(PLACES):
        folder = root / "data" / place
        folder.mkdir(parents=True)
        blobs = [] if place == HEALTHY else blobs_of(number)
        if place == OTHER_GRID:
            fine, coarse = np.diag([-0.9, 1.3, 1.5, 1]), AFFINE
            flair, _, lesions = patient(number, blobs, (26, 22, 24), fine)
            _, t1, _ = patient(number, blobs)
            images = ((flair, fine), (t1, coarse), (lesions, fine))
        else:
            images = ((image, AFFINE) for image in patient(number, blobs))
        for (values, affine), name in zip(images, (*PREFIXES, TARGET), strict=True):
            kind = np.uint8 if values.dtype == bool else np.float32
            nib.save(nib.Nifti1Image(values.astype(kind), affine), folder / name)
    # What the expert saw there, the network does not, and the other way round.
    reference = nib.load(root / "data" / "P02/ses1" / TARGET)
    values = np.asarray(reference.dataobj).copy()
    values[values > 0] = 0
    values[11:14, 4:6, 10:13] = 1
    nib.save(nib.Nifti1Image(values, reference.affine), root / "data" / "P02/ses1" / TARGET)
    broken = root / "data" / UNREADABLE / PREFIXES[0]
    broken.write_bytes(broken.read_bytes()[:2000])
    return SyntheticCohort(root, checkpoint)


def write_network(checkpoint):
    """Train a small UNet for a moment to mark bright balls."""
    import torch
    from monai.networks.nets import UNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet(
            spatial_dims=3, in_channels=2, out_channels=2,
            channels=(4, 8), strides=(2,), norm="batch", num_res_units=0,
        )  # fmt: skip
        batches = []
        for number in range(2):
            flair, t1, lesions = patient(50 + number, blobs_of(number))
            image = np.stack([flair, t1])
            for channel in image:
                inside = channel > 0
                channel[inside] = (channel[inside] - channel[inside].mean()) / channel[inside].std()
            batches.append((torch.from_numpy(image), torch.from_numpy(lesions).long()))
        images, targets = (torch.stack(parts) for parts in zip(*batches, strict=True))
        weights = torch.tensor([1.0, 10.0])
        # Adam by hand: torch.optim loads Triton, which a window that is open may not survive.
        weighed = list(network.parameters())
        first, second = ([torch.zeros_like(one) for one in weighed] for _ in range(2))
        for step in range(1, 41):
            loss = torch.nn.functional.cross_entropy(network(images), targets, weights)
            slopes = torch.autograd.grad(loss, weighed)
            with torch.no_grad():
                for one, slope, m, v in zip(weighed, slopes, first, second, strict=True):
                    m.lerp_(slope, 0.1)
                    v.lerp_(slope**2, 0.001)
                    scale = (v / (1 - 0.999**step)).sqrt() + 1e-8
                    one -= 0.03 * m / (1 - 0.9**step) / scale
    torch.save(network.state_dict(), checkpoint)
    profile = {"sequences": ["FLAIR", "T1"], "window": 16, "threshold": 0.5}
    checkpoint.with_suffix(".profile.json").write_text(json.dumps(profile))
    return checkpoint
