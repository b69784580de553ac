"""What is on screen and in a case is what was read, whatever becomes of the file."""

from __future__ import annotations

import sys

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Image

from napari_ies.errors import CaseError
from napari_ies.progress import finish
from napari_ies.viewer.preparing.assembling import assemble_case
from napari_ies.viewer.reader import napari_get_reader
from napari_ies.viewer.volumes.layer_data import read_image
from napari_ies.viewer.volumes.mapped import _mapping, held
from napari_ies.viewer.volumes.sources import source_of
from napari_ies.viewer.work.tasks import open_mask

LAS = np.diag([-1.0, 1, 1, 1])
VALUES = np.random.default_rng(0).normal(100, 9, (40, 50, 60)).astype(np.float32)
MARKS = (np.indices(VALUES.shape).sum(axis=0) < 30).astype(np.uint8)


def nifti(folder):
    nib.save(nib.Nifti1Image(VALUES, LAS), folder / "a.nii")
    return folder / "a.nii"


def analyze(folder):
    nib.save(nib.Nifti1Pair(VALUES, LAS), folder / "a.img")
    return folder / "a.img"


def freesurfer(folder):
    nib.save(nib.MGHImage(VALUES, LAS), folder / "a.mgh")
    return folder / "a.mgh"


def under_another_name(folder):
    return nifti(folder).rename(folder / "a.nii.gz")


READ = {
    "the widget": lambda path: read_image(path)[0],
    "napari": lambda path: napari_get_reader(str(path))(str(path))[0][0],
    "several at once": lambda path: napari_get_reader([str(path)] * 2)([str(path)] * 2)[1][0],
}


@pytest.mark.parametrize("read", READ.values(), ids=READ)
@pytest.mark.parametrize("make", [nifti, analyze, freesurfer, under_another_name])
def test_no_reader_maps_an_image(tmp_path, make, read):
    path = make(tmp_path)
    shown = read(path)
    before = shown.copy()
    assert _mapping(shown) is None
    path.write_bytes(b"\xff" * path.stat().st_size)
    assert np.array_equal(shown, before)
    path.write_bytes(b"")
    assert np.array_equal(shown, before)


def test_no_mask_is_mapped(tmp_path):
    path = tmp_path / "mask.nii"
    nib.save(nib.Nifti1Image(MARKS, LAS), path)
    shown, _, _ = finish(open_mask(str(path)))
    path.write_bytes(b"")
    assert np.count_nonzero(shown) == np.count_nonzero(MARKS)


def mapped_by_numpy(path):
    return np.memmap(path, "<f4", "r", 352, VALUES.shape, order="F")


def mapped_by_nibabel(path):
    return np.asanyarray(nib.load(path).dataobj)


def a_part_of_it(path):
    return mapped_by_numpy(path)[3:, ::-1].transpose(2, 0, 1)[::2]


def without_its_class(path):
    return np.asarray(mapped_by_numpy(path)).view()


MAPPED = [mapped_by_numpy, mapped_by_nibabel, a_part_of_it, without_its_class]


@pytest.mark.parametrize("mapped", MAPPED)
def test_layers_of_other_readers_are_kept_as_they_were_read(tmp_path, mapped):
    path = nifti(tmp_path)
    layer = Image(mapped(path), name="scan")
    source = source_of(layer)
    before = np.array(layer.data)
    assert np.array_equal(source.array, before)
    case = assemble_case({"FLAIR": source})
    with path.open("rb+") as file:  # the same file, rewritten in its place
        file.write(bytes(path.stat().st_size))
    assert np.array_equal(source.array, before)
    assert np.array_equal(np.sort(case.data.ravel()), np.sort(before.ravel()))
    assert not np.array_equal(layer.data, before)  # what it was mapped for


def test_an_array_in_memory_is_not_copied():
    assert held(VALUES, "scan") is VALUES
    assert held(VALUES[::2], "scan").base is VALUES


CUT = """
import sys
import numpy as np
from napari.layers import Image
from napari_ies.errors import CaseError
from napari_ies.viewer.preparing.assembling import assemble_case
from napari_ies.viewer.volumes.sources import source_of

layer = Image(np.memmap(sys.argv[1], "<f4", "r", 352, (40, 50, 60)), name="scan",
              contrast_limits=(0, 1))
with open(sys.argv[1], "rb+") as file:
    file.truncate(5000)
try:
    assemble_case({"FLAIR": source_of(layer)})
except CaseError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cuts no file that is mapped")
def test_a_mapped_file_that_was_cut_short_does_not_end_the_program(tmp_path, said_by):
    """In a process of its own: to read on behind the end of such a file is a bus error."""
    (said,) = said_by(CUT, nifti(tmp_path))
    assert said.startswith("The file that the layer scan is read from was cut short since")


def test_a_file_that_was_replaced_is_not_the_one_that_is_mapped(tmp_path):
    """Another file under the same name, as editors and git write it, takes nothing away."""
    path = nifti(tmp_path)
    mapped = mapped_by_numpy(path)
    (tmp_path / "new").write_bytes(b"short")
    (tmp_path / "new").replace(path)
    assert np.array_equal(held(mapped, "scan"), VALUES)


def test_a_cut_file_is_refused_in_one_sentence(tmp_path):
    path = nifti(tmp_path)
    mapped = mapped_by_numpy(path)
    with path.open("rb+") as file:
        file.truncate(352 + mapped.nbytes - 1)
    with pytest.raises(CaseError, match="remove the layer and open the file again"):
        held(mapped, "scan")
