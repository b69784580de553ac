import gzip
import hashlib

import nibabel as nib
import numpy as np
import pytest
from cases import OBLIQUE
from nibabel.affines import from_matvec
from nibabel.eulerangles import euler2mat

from napari_ies.errors import CaseError
from napari_ies.patient.images.volume import read_volume, stem_of
from napari_ies.patient.loading import load_case

RIGID = from_matvec(euler2mat(0.1, -0.2, 0.3) @ np.diag([-20.0, 20.0, 25.0]), [80, -90, -60])
VALUES = np.random.default_rng(0).random((9, 8, 7)).astype(np.float32)


def save(path, affine=RIGID, values=VALUES, units="mm", **forms):
    # With forms of its own, the image has no affine that would be written over them.
    image = nib.Nifti1Image(values, None if forms else affine)
    image.header.set_xyzt_units(units)
    for form, (matrix, code) in forms.items():
        getattr(image.header, f"set_{form}")(matrix, code=code)
    nib.save(image, path)
    return path


def corrupted(path, start, values):
    """Overwrite bytes of an uncompressed file."""
    content = bytearray(path.read_bytes())
    content[start : start + len(values)] = values
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize(("units", "factor"), [("micron", 1000.0), ("meter", 0.001)])
def test_other_units_become_millimetres_and_are_said(tmp_path, units, factor):
    scaled = np.diag([factor, factor, factor, 1]) @ RIGID
    volume = read_volume(save(tmp_path / "a.nii.gz", scaled, units=units))
    np.testing.assert_allclose(volume.affine, RIGID, atol=1e-4)
    assert volume.grid.voxel_mm3 == pytest.approx(20 * 20 * 25, rel=1e-4)
    (note,) = volume.notes
    assert note.startswith("a.nii.gz states its sizes in m")
    assert "converted to mm (voxels of 20 × 20 × 25 mm)" in note


def test_a_unit_that_cannot_be_meant_is_not_believed(tmp_path):
    """Millimetres under the label of micrometres: a head of a fifth of a millimetre."""
    volume = read_volume(save(tmp_path / "a.nii.gz", units="micron"))
    np.testing.assert_allclose(volume.affine, RIGID, atol=1e-4)
    assert "they were taken as mm" in volume.notes[0]


def test_sizes_of_no_patient_are_said(tmp_path):
    volume = read_volume(
        save(tmp_path / "a.nii.gz", np.diag([1000.0, 1000, 1000, 1]), units="unknown")
    )
    assert "has no unit of length" in volume.notes[0]
    assert read_volume(save(tmp_path / "b.nii.gz", units="unknown")).notes == ()


def test_two_positions_that_disagree_are_named_and_the_sform_counts(tmp_path):
    moved = RIGID.copy()
    moved[0, 3] += 12.5
    path = save(tmp_path / "a.nii.gz", sform=(moved, 4), qform=(RIGID, 1))
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine, moved, atol=1e-4)
    assert volume.space == 4
    (note,) = volume.notes
    assert note == (
        "In a.nii.gz, sform (MNI coordinates) and qform (the scanner's coordinates) disagree by up "
        "to 12.5 mm; the sform counts here."
    )
    assert load_case({"FLAIR": path}).notes == (note,)


def test_left_and_right_swapped_between_them_is_loudest(tmp_path):
    mirrored = np.diag([-1.0, 1, 1, 1]) @ RIGID
    path = save(tmp_path / "a.nii.gz", sform=(mirrored, 1), qform=(RIGID, 1))
    (note,) = read_volume(path).notes
    assert note.startswith("LEFT AND RIGHT ARE CONTRADICTORY in a.nii.gz")


def test_forms_of_other_axes_are_no_swap_of_sides(tmp_path):
    turned = RIGID @ np.array([[0, 0, 1.0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    path = save(tmp_path / "a.nii.gz", sform=(turned, 1), qform=(RIGID, 1))
    (note,) = read_volume(path).notes
    assert note.startswith("In a.nii.gz, sform")


def test_a_disagreement_is_told_in_millimetres_whatever_the_unit(tmp_path):
    scale = np.diag([1000.0, 1000, 1000, 1])
    moved = RIGID.copy()
    moved[0, 3] += 5
    path = save(
        tmp_path / "a.nii.gz", units="micron", sform=(scale @ moved, 1), qform=(scale @ RIGID, 1)
    )
    assert "disagree by up to 5 mm" in read_volume(path).notes[0]


def test_equal_positions_are_not_worth_a_word(tmp_path):
    path = save(tmp_path / "a.nii.gz", sform=(RIGID, 1), qform=(RIGID, 1))
    assert read_volume(path).notes == ()


def test_a_quaternion_off_by_rounding_is_mended_and_said(tmp_path):
    half_turn = np.diag([-20.0, -20.0, 25.0, 1.0])
    path = save(tmp_path / "a.nii", half_turn, sform=(None, 0), qform=(half_turn, 1))
    # quatern_b, c, d lie at 256: a half turn about z is (0, 0, 1), here with a rounded 1.
    quaternion = np.array([0, 0, 1 + 1e-5], dtype="<f4").tobytes()
    corrupted(path, 256, quaternion)
    with pytest.raises(ValueError, match="w2 should be positive"):
        _ = nib.load(path).affine
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine, half_turn, atol=1e-4)
    assert "quaternion" in volume.notes[0]
    corrupted(path, 256, np.array([0, 0, 1.4], dtype="<f4").tobytes())
    with pytest.raises(CaseError, match="damaged"):
        read_volume(path)


def analyze(folder):
    path = folder / "a.img"
    nib.save(nib.Nifti1Pair(VALUES, RIGID), path)
    return path, folder / "a.hdr"


def test_what_nibabel_reads_is_read(tmp_path):
    nib.save(nib.MGHImage(VALUES, RIGID), tmp_path / "a.mgz")
    nib.save(nib.MGHImage(VALUES, RIGID), tmp_path / "a.mgh")
    nib.save(nib.Nifti2Image(VALUES, RIGID), tmp_path / "b.nii")
    plain = save(tmp_path / "c.nii")
    # What a renaming or a careless download leaves behind.
    (tmp_path / "d.nii.gz").write_bytes(plain.read_bytes())
    (tmp_path / "e.nii").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "noending").write_bytes(plain.read_bytes())
    values, header = analyze(tmp_path)
    names = ("a.mgz", "a.mgh", "b.nii", "c.nii", "d.nii.gz", "e.nii", "noending")
    for path in (*(tmp_path / name for name in names), values, header):
        volume = read_volume(path)
        assert np.array_equal(volume.data, VALUES), path
        np.testing.assert_allclose(volume.affine, RIGID, atol=1e-4)
    assert read_volume(header).sha256 == hashlib.sha256(values.read_bytes()).hexdigest()
    assert read_volume(plain).sha256 == hashlib.sha256(plain.read_bytes()).hexdigest()


def test_analyze_without_a_matrix_knows_no_left_and_right(tmp_path):
    nib.save(nib.Spm99AnalyzeImage(VALUES, np.diag([2.0, 2, 2, 1])), tmp_path / "a.img")
    (tmp_path / "a.mat").unlink()
    with pytest.raises(CaseError, match="does not say where it lies in space"):
        read_volume(tmp_path / "a.img")


def dicom(folder):
    (folder / "i0001").write_bytes(bytes(128) + b"DICM" + bytes(600))
    return folder / "i0001"


def nrrd(folder):
    (folder / "a.nrrd").write_bytes(b"NRRD0004\ntype: float\n")
    return folder / "a.nrrd"


def mha(folder):
    (folder / "a.mha").write_bytes(b"ObjectType = Image\nNDims = 3\n")
    return folder / "a.mha"


def annex_link(folder):
    (folder / "a.nii.gz").symlink_to(".git/annex/objects/Xk/1z/MD5E-s12--ab.nii.gz/MD5E-s12--ab")
    return folder / "a.nii.gz"


def annex_pointer(folder):
    (folder / "a.nii.gz").write_bytes(b"/annex/objects/MD5E-s12--ab.nii.gz\n")
    return folder / "a.nii.gz"


def lfs_pointer(folder):
    (folder / "a.nii.gz").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid")
    return folder / "a.nii.gz"


def broken_link(folder):
    (folder / "a.nii.gz").symlink_to("elsewhere.nii.gz")
    return folder / "a.nii.gz"


def flipped_bit(folder):
    path = save(folder / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in the checksum at the end
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (dicom, "i0001 is a DICOM file, .* with dcm2niix"),
        (nrrd, "a.nrrd is an NRRD file, .* with 3D Slicer"),
        (mha, "a.mha is a MetaImage .* with 3D Slicer"),
        (annex_link, "is a git-annex link whose content is not on this computer"),
        (annex_pointer, "is a git-annex pointer"),
        (lfs_pointer, "is a Git LFS pointer"),
        (broken_link, "is a link to elsewhere.nii.gz, which is not there"),
        (flipped_bit, "is damaged or cut short"),
    ],
)
def test_other_files_are_named_in_one_sentence(tmp_path, make, sentence):
    with pytest.raises(CaseError, match=sentence) as caught:
        read_volume(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_values_are_not_mapped_from_the_file(tmp_path):
    """Another program may rewrite a file that is on screen."""
    for path in (save(tmp_path / "a.nii"), analyze(tmp_path)[0]):
        volume = read_volume(path)
        path.write_bytes(bytes(path.stat().st_size))
        assert np.array_equal(volume.data, VALUES)


def test_the_rounding_step_of_a_file_is_known(tmp_path):
    assert read_volume(save(tmp_path / "a.nii")).step == 0
    image = nib.Nifti1Image(VALUES * 100, RIGID)
    image.header.set_data_dtype(np.int16)
    nib.save(image, tmp_path / "b.nii.gz")
    volume = read_volume(tmp_path / "b.nii.gz")
    assert volume.step == pytest.approx(float(nib.load(tmp_path / "b.nii.gz").dataobj.slope))
    levels = np.unique(volume.data)
    assert np.diff(levels).min() == pytest.approx(volume.step, rel=0.05)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("flair.nii.gz", "flair"), ("T1.mgz", "T1"), ("a.b.NII", "a.b"), ("x.img", "x"), ("y", "y")],
)
def test_names_lose_their_ending(name, stem):
    assert stem_of(name) == stem


def test_a_sequence_that_covers_next_to_nothing_is_refused(tmp_path):
    far = RIGID @ from_matvec(np.eye(3), [8.4, 0, 0])
    first, other = save(tmp_path / "a.nii.gz"), save(tmp_path / "b.nii.gz", far)
    big = RIGID @ np.diag([1, 1, 1, 1.0])
    large = np.random.default_rng(1).random((40, 40, 40)).astype(np.float32)
    save(tmp_path / "c.nii.gz", big, large)
    with pytest.raises(CaseError, match=r"covers 0\.8% of that of FLAIR"):
        load_case({"FLAIR": tmp_path / "c.nii.gz", "T1": first})
    # One plane of nine and more: not nothing.
    assert load_case({"FLAIR": first, "T1": other}).notes


def test_what_a_sequence_does_not_reach_is_its_background(tmp_path):
    """Linear interpolation next to a background of -1000 mixes none of a 0 in."""
    shape = (12, 12, 12)
    flair = np.pad(VALUES[:6, :6, :6] + 100, 3)
    t1 = np.where(flair == 0, -1000, flair).astype(np.float32)
    moved = OBLIQUE @ from_matvec(np.eye(3), [2.3, 0, 0])
    save(tmp_path / "a.nii.gz", OBLIQUE, flair.astype(np.float32))
    save(tmp_path / "b.nii.gz", moved, t1)
    case = load_case({"FLAIR": tmp_path / "a.nii.gz", "T1": tmp_path / "b.nii.gz"})
    assert case.shape == shape
    assert (case.data[1][:2] == -1000).all()
    assert not case.inside[1][:2].any()
    assert (case.normalised("zscore-nonzero")[1][:2] == 0).all()
