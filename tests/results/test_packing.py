"""What is packed is what nibabel writes: read by others, bit for bit, and by the values alone."""

from __future__ import annotations

import gzip
import subprocess

import nibabel as nib
import numpy as np
import pytest

from napari_ies.geometry.box import Box
from napari_ies.patient.case import Case
from napari_ies.results.storage import packing
from napari_ies.results.storage.images import image_writer

SHAPE = (9, 8, 7)
STRAIGHT = np.diag([-1.0, 1.2, 1.5, 1.0])
SHEARED = np.array([[1, 0.3, 0, 4], [0, 1.1, 0.2, 5], [0.1, 0, 2, 6], [0, 0, 0, 1.0]])


def case_on(affine, shape=SHAPE):
    return Case(("FLAIR",), np.ones((1, *shape), dtype=np.float32), affine)


def volume(dtype, inner, shape=SHAPE):
    """Return noise in a box, and what careless writing loses of float32 at its border."""
    values = np.zeros(shape, dtype)
    part = np.random.default_rng(0).normal(scale=90, size=Box.of(inner).shape)
    values[inner] = part.astype(np.int64).astype(dtype) if dtype != np.float32 else part
    if dtype == np.float32:
        corner = tuple(side.start for side in inner)
        values[corner] = -0.0
        values[tuple(side.stop - 1 for side in inner)] = 1e-45
    return values


@pytest.mark.parametrize("affine", [STRAIGHT, SHEARED], ids=["straight", "sheared"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
def test_the_file_holds_what_nibabel_would_write(tmp_path, affine, dtype):
    case = case_on(affine)
    sides = (slice(2, 5), slice(3, 8), slice(1, 6)), (slice(0, 9), slice(0, 8), slice(0, 7))
    for inner in (*sides, (slice(4, 5), slice(7, 8), slice(6, 7))):
        values = volume(dtype, inner)
        image_writer(values, case)(tmp_path / "ours.nii.gz")
        theirs = nib.Nifti1Image(values, affine, dtype=dtype)
        theirs.set_sform(affine, code=1)
        theirs.set_qform(affine if affine is STRAIGHT else None, code=int(affine is STRAIGHT))
        theirs.set_sform(affine, code=1)
        theirs.header.set_xyzt_units("mm")
        packed = (tmp_path / "ours.nii.gz").read_bytes()
        assert gzip.decompress(packed) == theirs.to_bytes()
    found = np.asarray(nib.load(tmp_path / "ours.nii.gz").dataobj)
    assert found.tobytes() == values.tobytes()


def test_the_bytes_hang_on_the_values_and_not_on_the_box(tmp_path):
    case, inner = case_on(STRAIGHT), (slice(2, 5), slice(3, 6), slice(1, 4))
    values = volume(np.float32, inner)
    contents = set()
    for number, start in enumerate([(0, 0, 0), (2, 3, 1), (1, 0, 1)]):
        box = Box(start, SHAPE)
        image_writer(values[box], case, box)(tmp_path / f"{number}.nii.gz")
        contents.add((tmp_path / f"{number}.nii.gz").read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize("shape", [(64, 70, 150), (130, 128, 40)])
def test_long_runs_of_zeros_are_counted_right(tmp_path, shape):
    """More of them than one piece holds, on every side, and none at all on some."""
    middle = tuple(slice(n // 2, n // 2 + 3) for n in shape)
    assert shape[0] * shape[1] * middle[2].start * 4 > packing._LONGEST
    values = volume(np.float32, middle, shape)
    path = tmp_path / "map.nii.gz"
    image_writer(values, case_on(STRAIGHT, shape))(path)
    assert gzip.decompress(path.read_bytes())[352:] == values.tobytes(order="F")
    assert path.stat().st_size < 6000
    image_writer(np.zeros(shape, np.uint8), case_on(STRAIGHT, shape))(path)
    assert gzip.decompress(path.read_bytes())[352:] == bytes(int(np.prod(shape)))


def test_gzip_itself_finds_nothing_wrong(tmp_path):
    path = tmp_path / "map.nii.gz"
    image_writer(volume(np.float32, (slice(1, 6), slice(0, 8), slice(2, 6))), case_on(STRAIGHT))(
        path
    )
    try:
        tested = subprocess.run(["gzip", "--test", path], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no gzip")
    assert (tested.returncode, tested.stderr) == (0, b"")
