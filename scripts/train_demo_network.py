"""Train the demo's network on synthetic patients and write it into the package.

    python scripts/train_demo_network.py [--real FOLDER_OF_PATIENTS]

It ends within ten minutes on two cores. The checkpoint (a bare state dict) and its profile are
written to ``src/napari_ies/demo``; the Dice on patients the network has not seen is logged, and
with ``--real`` also that on real patients: a folder of folders, each with ``FLAIR.nii.gz``,
``T1.nii.gz`` and ``consensus_lesions.nii.gz``, which are resampled to the demo's voxel size.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from nibabel.processing import resample_from_to, resample_to_output
from scipy import ndimage

from napari_ies.demo.patient import SPACING_MM, synthetic_patient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

logger = logging.getLogger("train_demo_network")

DEMO = Path(__file__).resolve().parents[1] / "src" / "napari_ies" / "demo"
TRAINING_SEEDS = range(1000, 1032)
HELD_OUT_SEEDS = range(5)
WINDOW = 64
ARGUMENTS: dict[str, Any] = {
    "spatial_dims": 3,
    "in_channels": 2,
    "out_channels": 2,
    "channels": [24, 32, 64, 128],
    "strides": [2, 2, 2],
    "norm": "batch",
    "num_res_units": 0,
}
PROFILE: dict[str, Any] = {
    "name": "demo U-Net",
    "architecture": "UNet",
    "arguments": ARGUMENTS,
    "sequences": ["FLAIR", "T1"],
    "classes": ["background", "lesion"],
    "explained_class": 1,
    "normalisation": "zscore-nonzero",
    "spacing": [SPACING_MM, SPACING_MM, SPACING_MM],
    "orientation": "RAS",
    "window": [WINDOW, WINDOW, WINDOW],
    "overlap": 0.25,
    "threshold": 0.5,
    "smallest_lesion": 6,
}


@dataclass(frozen=True, eq=False)
class Example:
    """One patient, normalised: images (2, X, Y, Z) and mask (X, Y, Z).

    The voxels of each lesion and those of the brain are rows of indices, (voxels, 3).
    """

    images: torch.Tensor
    lesions: torch.Tensor
    lesion_voxels: list[torch.Tensor]
    brain_voxels: torch.Tensor


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    started = time.monotonic()
    examples = [_example(seed) for seed in TRAINING_SEEDS]
    logger.info("%d patients made in %.0f s", len(examples), time.monotonic() - started)
    network = UNet(**ARGUMENTS)
    _train(network, examples, options.steps)
    logger.info("trained after %.0f s", time.monotonic() - started)
    _write(network)
    for seed in HELD_OUT_SEEDS:
        patient = synthetic_patient(seed)
        probability = _segment(network, _normalised(patient.flair, patient.t1))
        _report(f"synthetic patient {seed}", probability, patient.lesions)
    if options.real:
        for folder in sorted(path for path in options.real.iterdir() if path.is_dir()):
            _evaluate_real(network, folder)
    logger.info("done after %.0f s", time.monotonic() - started)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, help="folder of real patients to evaluate on")
    parser.add_argument("--steps", type=int, default=450, help="optimisation steps")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    return parser.parse_args()


def _normalised(*sequences: NDArray[np.float32]) -> torch.Tensor:
    """Z-score each sequence over its nonzero voxels; return (C, X, Y, Z)."""
    channels = []
    for sequence in sequences:
        brain = sequence != 0
        values = sequence[brain]
        channels.append(np.where(brain, (sequence - values.mean()) / values.std(), 0.0))
    return torch.from_numpy(np.stack(channels).astype(np.float32))


def _example(seed: int) -> Example:
    patient = synthetic_patient(seed)
    instances, count = ndimage.label(patient.lesions, ndimage.generate_binary_structure(3, 2))
    return Example(
        _normalised(patient.flair, patient.t1),
        torch.from_numpy(patient.lesions),
        [torch.from_numpy(np.argwhere(instances == label)) for label in range(1, count + 1)],
        torch.from_numpy(np.argwhere(patient.flair > 0)),
    )


def _windows(examples: list[Example], batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Draw batches of windows for ever: three of four are centred near a lesion."""
    generator = torch.Generator().manual_seed(0)

    def integer(high: int) -> int:
        return int(torch.randint(high, (1,), generator=generator))

    while True:
        images, targets = [], []
        for _ in range(batch):
            example = examples[integer(len(examples))]
            # By lesion, not by voxel: small lesions are to be learned as well as large ones.
            lesion = example.lesion_voxels[integer(len(example.lesion_voxels))]
            voxels = lesion if integer(4) else example.brain_voxels
            centre = voxels[integer(len(voxels))] + torch.randint(
                -16, 17, (3,), generator=generator
            )
            low = [
                max(0, min(int(c) - WINDOW // 2, n - WINDOW))
                for c, n in zip(centre, example.lesions.shape, strict=True)
            ]
            box = tuple(slice(start, start + WINDOW) for start in low)
            image, target = example.images[(slice(None), *box)], example.lesions[box]
            flips = [axis for axis in (0, 1, 2) if integer(2)]
            image = _other_scanner(image, generator)
            images.append(image.flip([axis + 1 for axis in flips]))
            targets.append(target.flip(flips))
        yield torch.stack(images), torch.stack(targets)[:, None].float()


def _other_scanner(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Vary contrast, brightness and noise of each sequence; the background stays 0."""
    gain = 1.0 + 0.15 * torch.randn(2, 1, 1, 1, generator=generator)
    shift = 0.15 * torch.randn(2, 1, 1, 1, generator=generator)
    level = 0.08 * torch.rand(2, 1, 1, 1, generator=generator)
    noise = level * torch.randn(image.shape, generator=generator)
    return torch.where(image != 0, image * gain + shift + noise, image)


def _train(network: UNet, examples: list[Example], steps: int) -> None:
    loss_function = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False, batch=True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    network.train()
    mean_loss = math.nan
    for step, (images, targets) in zip(range(steps), _windows(examples, batch=4), strict=False):
        loss = loss_function(network(images), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        mean_loss = loss.item() if step == 0 else 0.95 * mean_loss + 0.05 * loss.item()
        if step % 50 == 49:
            logger.info("step %d of %d: loss %.3f", step + 1, steps, mean_loss)
    network.eval()


def _segment(network: UNet, images: torch.Tensor) -> NDArray[np.float32]:
    """Return the probability of lesion, (X, Y, Z)."""
    with torch.inference_mode():
        logits = sliding_window_inference(
            images[None], PROFILE["window"], 4, network, overlap=PROFILE["overlap"], mode="gaussian"
        )
    return np.asarray(torch.softmax(logits, dim=1)[0, 1].numpy())


def _report(name: str, probability: NDArray[np.float32], reference: NDArray[np.bool_]) -> None:
    values = []
    for threshold in (0.3, 0.5, 0.7):
        found = probability > threshold
        overlap = 2.0 * (found & reference).sum() / max(1, found.sum() + reference.sum())
        values.append(f"{overlap:.3f} at {threshold}")
    logger.info("%s: Dice %s", name, ", ".join(values))


def _evaluate_real(network: UNet, folder: Path) -> None:
    """Segment a real patient at the demo's voxel size and report the Dice on its own grid."""
    names = ("FLAIR", "T1", "consensus_lesions")
    files = [nibabel.load(folder / f"{name}.nii.gz") for name in names]
    reference = np.asarray(files[2].dataobj) > 0.5
    grid = resample_to_output(files[0], PROFILE["spacing"], order=1)
    flair, t1 = (
        np.asarray(resample_from_to(file, grid, order=1).dataobj, dtype=np.float32)
        for file in files[:2]
    )
    brain = np.asarray(resample_from_to(_support(files[0]), grid, order=0).dataobj) > 0
    images = _normalised(np.where(brain, flair, 0), np.where(brain, t1, 0))
    probability = nibabel.Nifti1Image(_segment(network, images), grid.affine)
    back = resample_from_to(probability, files[2], order=1)
    _report(f"real patient {folder.name}", np.asarray(back.dataobj), reference)


def _support(image: nibabel.Nifti1Image) -> nibabel.Nifti1Image:
    nonzero = (np.asarray(image.dataobj) != 0).astype(np.uint8)
    return nibabel.Nifti1Image(nonzero, image.affine)


def _write(network: UNet) -> None:
    torch.save(network.state_dict(), DEMO / "demo_unet.pth")
    text = json.dumps(PROFILE, indent=2) + "\n"
    (DEMO / "demo_unet.profile.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
