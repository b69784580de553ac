"""The midline plane on heads that are turned, tilted and shifted by known amounts."""

import numpy as np
import pytest
from nibabel.affines import apply_affine, from_matvec
from nibabel.eulerangles import euler2mat

from napari_ies.patient.case import Case
from napari_ies.segmentation.lesions import lesion_table

CHECKED = np.array([[x, y, z] for x in (-60, 0, 60) for y in (-80, 0, 80) for z in (-50, 0, 60)])
"""Places in the head, in its own millimetres, whose distance from the plane is compared."""


def head_values(points, skull):
    """Return FLAIR-like intensities at places (..., 3) in the head's own mm, x = 0 its midline."""
    x, y, z = np.moveaxis(points, -1, 0)
    mirror = np.abs(x)

    def inside(centre, radii, first=mirror):
        return (
            sum(((a - c) / r) ** 2 for a, c, r in zip((first, y, z), centre, radii, strict=True))
            < 1
        )

    values = np.where(inside((0, 0, 0), (68, 88, 62)), 100.0, 0.0)
    values[inside((34, 20, 10), (18, 40, 25))] = 85
    values[inside((14, 0, 12), (7, 32, 10))] = 25
    values[(mirror < 2.5) & (values == 100)] = 60
    # No head is symmetric: lesions on one side, and one half longer than the other.
    values[inside((-30, -25, 15), (12, 14, 10), x)] = 160
    values[inside((22, 30, 20), (5, 9, 5), x)] = 160
    values[inside((-25, -78, 5), (30, 18, 30), x) & (values == 0)] = 95
    if skull:
        shell = inside((0, -2, -4), (82, 104, 78)) & ~inside((0, -2, -4), (76, 98, 72))
        values[shell] = 140
        # A neck that leaves the field of view, bent to one side.
        values[(np.hypot(x - 8 - z / 12, y + 20) < 55) & (z < -60)] = 70
    return values


def head_case(shape, affine, pose, skull=False, noise=4.0):
    """Image the head in a pose (its own mm to the scanner's) on a grid."""
    voxels = np.stack(np.indices(shape), axis=-1)
    values = head_values(apply_affine(np.linalg.inv(pose) @ affine, voxels), skull)
    generator = np.random.default_rng(1)
    noisy = np.abs(values + generator.normal(0, noise, shape))
    if not skull:
        noisy[values == 0] = 0
    return Case(("FLAIR",), noisy[None].astype(np.float32), affine)


def pose_of(turn, tilt, nod, shift):
    return from_matvec(euler2mat(*np.deg2rad([turn, tilt, nod])), shift)


LAS_2MM = from_matvec(np.diag([-2.0, 2.0, 2.0]), [104, -126, -90])
OBLIQUE_3MM = from_matvec(
    euler2mat(0.12, -0.2, 0.15) @ np.diag([-1.2, -1.2, 4.0]), [122, 125, -104]
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("turn", "tilt", "nod", "shift"),
    [(0, 0, 0, (0, 0, 0)), (14, -9, 6, (13, -8, 5)), (-20, 12, -10, (-9, 6, -4))],
)
@pytest.mark.parametrize("scan", ["stripped", "whole head"])
def test_the_plane_lies_where_the_head_was_put(turn, tilt, nod, shift, scan):
    pose = pose_of(turn, tilt, nod, shift)
    if scan == "stripped":
        case = head_case((105, 126, 100), LAS_2MM, pose)
    else:
        case = head_case((200, 200, 50), OBLIQUE_3MM, pose, skull=True)
    midline = case.midline
    assert midline is not None
    assert np.linalg.norm(midline.normal) == pytest.approx(1)
    # Every place lies as far to the patient's right as the head says that was imaged.
    measured = midline.signed_distance(apply_affine(pose, CHECKED))
    assert np.abs(measured - CHECKED[:, 0]).max() < 2.0


@pytest.mark.slow
def test_the_table_says_the_side_and_the_distance_that_the_head_was_imaged_with():
    pose = pose_of(9, -6, 4, (11, 3, -7))
    case = head_case((105, 126, 100), LAS_2MM, pose)
    voxels = np.stack(np.indices(case.shape), axis=-1)
    places = apply_affine(np.linalg.inv(pose) @ case.affine, voxels)
    labels = np.zeros(case.shape, dtype=np.int32)
    centres = {1: (-30, -25, 15), 2: (22, 30, 20), 3: (0, 40, 10)}
    for label, centre in centres.items():
        labels[np.linalg.norm(places - centre, axis=-1) < 5] = label
    table = lesion_table(labels, np.ones(case.shape, np.float32), case)
    assert table.hemisphere.tolist() == ["left", "right", "midline"]
    assert table.midline_mm.tolist() == pytest.approx([30, 22, 0], abs=2)


@pytest.mark.slow
def test_no_plane_is_guessed_where_there_is_no_symmetry():
    generator = np.random.default_rng(0)
    affine = from_matvec(np.diag([3.0, 3.0, 3.0]), [-90, -90, -90])
    noise = generator.uniform(1, 100, (1, 60, 60, 60)).astype(np.float32)
    assert Case(("T1",), noise, affine).midline is None
    # A few blocks anywhere, far from each other's mirror images.
    blocks = np.zeros_like(noise)
    blocks[0, 5:25, 5:20, 5:50] = blocks[0, 30:38, 30:58, 2:20] = blocks[0, 40:58, 45:50, 30:55] = 9
    assert Case(("T1",), blocks, affine).midline is None
    # Too small to be a head.
    assert Case(("T1",), noise[:, :8, :8, :8], affine).midline is None
    assert Case(("T1",), np.zeros_like(noise), affine).midline is None
