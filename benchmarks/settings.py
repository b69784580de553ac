"""How much is measured, and what is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.report import Target

if TYPE_CHECKING:
    import torch

N = 50
"""Noise samples of a map, for which times are given."""


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Parameters
    ----------
    repetitions
        How often ours and the loop are measured in turn; medians are taken.
    passes
        Timed passes of the literal loop per repetition, after one to warm up.
    max_samples, samples
        Noise samples of ours that are run of a max map and of a mean map.
    window_voxels
        Voxels of the lesion for networks that need whole windows.
    window_repetitions
        Repetitions for these networks, each of which takes minutes on a CPU.
    overlays
        Repetitions of the first overlay.
    rows
        Rows of the confluent lesion that are run.
    precision_rows
        Voxels of the lesion for the max map in other precisions.
    product
        Size of the matrices whose product gives the machine's peak.
    small
        Whether networks that need whole windows are small ones on small windows.
    """

    repetitions: int = 3
    passes: int = 3
    max_samples: int = 1
    samples: int = 3
    window_voxels: int = 3
    window_repetitions: int = 1
    overlays: int = 5
    rows: int = 192
    precision_rows: int = 8
    product: int = 2048
    small: bool = False

    def quick(self) -> Settings:
        """Return the least that still gives every number."""
        return replace(
            self,
            repetitions=1,
            passes=1,
            samples=1,
            window_voxels=1,
            overlays=2,
            rows=24,
            precision_rows=2,
        )

    def smoke(self) -> Settings:
        """Return what says that every number can be had, and nothing about any."""
        return replace(self.quick(), max_samples=1, product=64, small=True)

    def for_device(self, device: torch.device) -> Settings:
        """Return what a graphics card is asked for: all samples of a map.

        There a sample takes milliseconds, and several run together.
        """
        if device.type == "cpu":
            return self
        return replace(self, passes=10, max_samples=N, samples=N, window_voxels=3)


def max_target(device: torch.device, voxels: int, forward: str) -> Target | None:
    """Return what a max map should gain on the literal loop."""
    if device.type == "cpu":
        return Target(60, aim=100) if forward == "whole-volume" else None
    if forward == "sliding-window":
        return Target(100, aim=300)
    return Target(10, aim=30) if voxels < FEW else Target(50, aim=150)


def mean_target(device: torch.device) -> Target:
    """Return what a mean map should gain on the literal loop and on Captum."""
    return Target(5, aim=10) if device.type == "cpu" else Target(3, aim=8)


def overlay_target(device: torch.device) -> Target:
    """Return how many passes through one window the first map may take."""
    if device.type == "cpu":
        return Target(1.5, at_least=False)
    return Target(6, aim=2, at_least=False)


def segmentation_target(device: torch.device) -> Target:
    """Return how fast a segmentation should be against MONAI's inferer."""
    return Target(1) if device.type == "cpu" else Target(1, aim=1.5)


def windows_target(device: torch.device) -> Target:
    """Return what networks that need whole windows should gain."""
    return Target(5) if device.type == "cpu" else Target(9, aim=20)


FEW = 50
"""Voxels below which a lesion's rows do not fill a card."""
