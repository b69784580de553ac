"""A NIfTI file opens upright, in mm, at its place."""

from __future__ import annotations

import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from napari_ies.errors import CaseError
from napari_ies.viewer.reader import napari_get_reader
from napari_ies.viewer.volumes.layer_data import read_image

GRIDS = {
    "LAS": np.array([[-1.0, 0, 0, 90], [0, 2.0, 0, -126], [0, 0, 3.0, -72], [0, 0, 0, 1]]),
    "RPS": np.array([[2.0, 0, 0, -9], [0, -1.0, 0, 26], [0, 0, 1.5, -2], [0, 0, 0, 1]]),
    "PIR": np.array([[0, 0, 2.0, 4], [-1.0, 0, 0, 6], [0, -3.0, 0, 8], [0, 0, 0, 1]]),
}


def _write(path, affine, shape=(5, 6, 7)):
    volume = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    nib.save(nib.Nifti1Image(volume, affine), path)
    return volume


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_every_voxel_lies_where_the_scanner_saw_it(tmp_path, grid):
    volume = _write(tmp_path / "flair.nii.gz", grid)
    data, arguments, kind = read_image(tmp_path / "flair.nii.gz")
    assert kind == "image"
    assert arguments["units"] == ("mm", "mm", "mm")
    assert arguments["name"] == "flair"
    for stored in [(0, 0, 0), (4, 2, 1), (1, 5, 6)]:
        (shown,) = np.argwhere(data == volume[stored])
        world = shown * arguments["scale"] + arguments["translate"]
        right, front, top = nib.affines.apply_affine(grid, stored)
        # Down the slices is towards the feet, down a slice to the back, along a row to the left.
        np.testing.assert_allclose(world, [-top, -front, -right], atol=1e-4)


def test_other_files_are_left_to_others():
    assert napari_get_reader("scan.tif") is None
    assert napari_get_reader(["a.nii", "b.png"]) is None


@pytest.mark.slow
def test_neither_declining_a_folder_nor_opening_the_panel_waits_for_what_computes(tmp_path):
    """A folder without a session is declined before anything is imported, in a new process."""
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices" / "a.png").write_bytes(b"")
    (tmp_path / "session.json").write_text('{"some": "other program\'s"}')
    code = (
        "import sys; from napari_ies.viewer.reader import napari_get_reader;"
        f"print(napari_get_reader({str(tmp_path / 'slices')!r}),"
        "'napari_ies.results' in sys.modules);"
        "import napari_ies.viewer.widget;"
        "print([name for name in ('torch', 'monai', 'matplotlib') if name in sys.modules]);"
        f"print(*map(napari_get_reader, {[str(tmp_path), str(tmp_path / 'none')]}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["None False", "[]", "None None"]


def test_a_broken_file_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "x.nii").write_bytes(b"nothing")
    read = napari_get_reader(str(tmp_path / "x.nii"))
    assert read is not None
    with pytest.raises(CaseError, match=r"x\.nii"):
        read(str(tmp_path / "x.nii"))


def test_what_nibabel_reads_is_opened_and_the_files_of_others_are_left_alone(tmp_path):
    """FreeSurfer and Analyze images are read upright; ENVI's .img and .hdr are not ours."""
    volume = np.random.default_rng(1).normal(size=(5, 6, 7)).astype(np.float32)
    affine = np.diag([-1.0, 1, 2, 1])
    nib.save(nib.MGHImage(volume, affine), tmp_path / "flair.mgz")
    nib.save(nib.Nifti1Pair(volume, affine), tmp_path / "t1.img")
    for name in ("flair.mgz", "t1.img", "t1.hdr"):
        read = napari_get_reader(str(tmp_path / name))
        assert read is not None, name
        ((data, arguments, _),) = read(str(tmp_path / name))
        assert arguments["name"] == name.partition(".")[0]
        assert sorted(arguments["scale"]) == [1, 1, 2]
        np.testing.assert_allclose(np.sort(data.ravel()), np.sort(volume.ravel()))
    (tmp_path / "map.hdr").write_text("ENVI\nsamples = 4\nlines = 4\nbands = 1\n")
    (tmp_path / "map.img").write_bytes(bytes(16))
    for name in ("map.hdr", "map.img", "missing.rec"):
        assert napari_get_reader(str(tmp_path / name)) is None, name


def test_a_mask_of_lesions_is_known_by_its_name_and_a_map_is_no_image(tmp_path):
    """Also in a patient's folder; where there is no window, all of its images are layers."""
    affine = np.diag([1.0, 1, 1, 1])
    for name, values in (
        ("FLAIR", np.arange(24.0, dtype=np.float32)),
        ("consensus_gt", np.arange(24) > 20),
        ("lesions_on_FLAIR", np.arange(24.0, dtype=np.float32)),
    ):
        image = nib.Nifti1Image(values.reshape(2, 3, 4).astype(np.float32), affine)
        nib.save(image, tmp_path / f"{name}.nii.gz")
    read = napari_get_reader(str(tmp_path))
    assert read is not None
    kinds = {arguments["name"]: kind for _, arguments, kind in read(str(tmp_path))}
    # What is no mask by its values is an image, whatever its name.
    assert kinds == {"FLAIR": "image", "consensus_gt": "labels", "lesions_on_FLAIR": "image"}
    (tmp_path / "empty").mkdir()
    assert napari_get_reader(str(tmp_path / "empty")) is None
