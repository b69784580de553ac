"""What the tests of figures show: noise on an oblique grid, and a lesion that is not convex."""

from __future__ import annotations

import dataclasses

import numpy as np
from nibabel.affines import from_matvec
from nibabel.eulerangles import euler2mat

from napari_ies.figures.content import FigureContent
from napari_ies.patient.case import Case
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency

# Stored axes: posterior, superior, right; unequal voxels; turned by some 10 degrees.
TURN = euler2mat(0.1, -0.12, 0.08)
STORED = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
SPACING = (1.2, 3.0, 0.8)
DISPLAYED_SPACING = (3.0, 1.2, 0.8)
AFFINE = from_matvec(TURN @ STORED @ np.diag(SPACING), [-10.0, 22.0, -14.0])
SHAPE = (40, 14, 44)
DISPLAYED_SHAPE = (14, 40, 44)
BOX = (slice(14, 30), slice(3, 11), slice(20, 40))
LESION = [(20, 6, 30), (20, 6, 31), (21, 6, 30), (21, 7, 30), (22, 6, 30), (20, 5, 30), (24, 6, 33)]
CENTRE = (21, 6, 30)
"""The lesion's voxel nearest to its centre of mass, found by hand."""


def content(**changes: object) -> FigureContent:
    """Two images of noise, never 0, and a saliency with a lesion that is not convex."""
    generator = np.random.default_rng(4)
    data = generator.uniform(20, 100, (2, *SHAPE)).astype(np.float32)
    case = Case(("FLAIR", "T1"), data, AFFINE)
    size = tuple(side.stop - side.start for side in BOX)
    footprint = np.zeros(SHAPE, dtype=bool)
    for voxel in LESION:
        footprint[voxel] = True
    values = {
        "request": SaliencyRequest(aggregation="max", n_samples=50),
        "sequences": case.sequences,
        "shape": SHAPE,
        "affine": AFFINE,
        "box": BOX,
        "cropped": np.zeros((2, *size), dtype=np.float32),
        "cropped_standard_error": None,
        "footprint": footprint[BOX],
        "n_used": 50,
        "provenance": {"checkpoint": {"name": "unet.pth"}},
    }
    saliency = Saliency(**(values | changes))  # type: ignore[arg-type]
    return FigureContent(case, saliency, "lesion 3")


def with_values(values: dict[tuple[int, int, int], float], channel: int) -> FigureContent:
    """The content with saliency values at stored voxels, and 0 elsewhere."""
    made = content()
    cropped = made.saliency.cropped.copy()
    for voxel, value in values.items():
        index = (v - side.start for v, side in zip(voxel, BOX, strict=True))
        cropped[(channel, *index)] = value
    return dataclasses.replace(made, saliency=dataclasses.replace(made.saliency, cropped=cropped))


def with_value(voxel: tuple[int, int, int], channel: int, value: float) -> FigureContent:
    """The content with one saliency value at a stored voxel."""
    return with_values({voxel: value}, channel)


def displayed(voxel: tuple[int, int, int]) -> tuple[int, int, int]:
    """Indices towards inferior, posterior and left: by hand, for this grid."""
    posterior, superior, right = voxel
    return SHAPE[1] - 1 - superior, posterior, SHAPE[2] - 1 - right
