import gzip

import nibabel as nib
import numpy as np
import pytest
from cases import OBLIQUE
from scipy import ndimage

from napari_ies.errors import CaseError
from napari_ies.patient.case import Case
from napari_ies.patient.loading import load_case
from napari_ies.patient.masks import load_mask


def write(path, data=None, affine=OBLIQUE, seed=0, shape=(9, 8, 7), **header):
    if data is None:
        data = np.random.default_rng(seed).random(shape).astype(np.float32)
    image = nib.Nifti1Image(data, affine)
    for name, value in header.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def test_sequences_on_one_grid_keep_values_order_and_geometry(tmp_path):
    first, second = write(tmp_path / "a.nii.gz", seed=1), write(tmp_path / "b.nii", seed=2)
    case = load_case({"FLAIR": first, "T1": str(second)})
    assert case.sequences == ("FLAIR", "T1")
    for channel, path in enumerate((first, second)):
        assert np.array_equal(case.data[channel], np.asarray(nib.load(path).dataobj))
    np.testing.assert_allclose(case.affine, OBLIQUE, atol=1e-6)
    assert case.spacing == pytest.approx(np.linalg.norm(OBLIQUE[:3, :3], axis=0), rel=1e-6)
    assert case.notes == ()
    assert case.data.dtype == np.float32


def test_scaled_integers_are_read_as_their_values(tmp_path):
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), OBLIQUE)
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, tmp_path / "a.nii.gz")
    expected = nib.load(tmp_path / "a.nii.gz").get_fdata()
    np.testing.assert_allclose(load_case({"A": tmp_path / "a.nii.gz"}).data[0], expected)


def test_a_single_volume_in_four_dimensions_is_squeezed(tmp_path):
    data = np.random.default_rng(0).random((5, 6, 7, 1)).astype(np.float32)
    case = load_case({"A": write(tmp_path / "a.nii.gz", data)})
    assert np.array_equal(case.data[0], data[..., 0])


def test_another_grid_is_resampled_onto_the_first_with_a_note(tmp_path):
    """A linear ramp in millimetres comes back as that ramp, whatever the two grids."""
    other = np.diag([0.8, 1.3, 1.1, 1.0])
    other[:3, 3] = -25, -25, -25

    def ramp(shape, affine):
        x, y, z = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1)).T
        return (2 * x - y + 0.5 * z + 500).T.astype(np.float32)

    write(tmp_path / "a.nii.gz", ramp((9, 8, 7), OBLIQUE))
    write(tmp_path / "b.nii.gz", ramp((80, 60, 70), other), other)
    case = load_case({"FLAIR": tmp_path / "a.nii.gz", "T1": tmp_path / "b.nii.gz"})
    np.testing.assert_allclose(case.data[1], case.data[0], atol=1e-3)
    (note,) = case.notes
    assert note.startswith("T1 lay on another grid (80 × 60 × 70 voxels of 0.8 × 1.3 × 1.1 mm)")
    assert "covers 100 %" in note


def test_a_grid_that_is_given_takes_every_image(tmp_path):
    first = write(tmp_path / "a.nii.gz", seed=1)
    half = OBLIQUE @ np.diag([2, 2, 2, 1])
    case = load_case({"A": first}, grid=((4, 4, 3), half))
    # Every second voxel of the image lies on a voxel of the coarser grid; those on the image's
    # faces may count as outside.
    expected = np.asarray(nib.load(first).dataobj)[2:8:2, 2::2, 2:6:2]
    np.testing.assert_allclose(case.data[0, 1:, 1:, 1:], expected, atol=1e-4)
    np.testing.assert_array_equal(case.affine, half)
    assert "that of the result" in case.notes[0]


def test_a_mask_on_another_grid_is_resampled_by_nearest_neighbour(tmp_path):
    case = load_case({"A": write(tmp_path / "a.nii.gz", shape=(20, 18, 16), affine=np.eye(4))})
    mask = np.zeros((10, 9, 8), dtype=np.uint8)
    mask[3:5, 4, 5] = 1
    write(tmp_path / "m.nii.gz", mask, np.diag([2.0, 2.0, 2.0, 1.0]))
    expected = ndimage.map_coordinates(
        mask, np.indices(case.shape).astype(float) / 2, order=0, mode="constant"
    )
    assert np.array_equal(load_mask(tmp_path / "m.nii.gz", case), expected > 0)


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        ("patient07/FLAIR.nii.gz", "patient07"),
        ("sub-A1/anat/sub-A1_ses-2_FLAIR.nii.gz", "A1"),
        ("Müller, Hans/f.nii.gz", "MullerHans"),
    ],
)
def test_the_subject_is_read_from_the_path(tmp_path, path, subject):
    (tmp_path / path).parent.mkdir(parents=True)
    assert load_case({"A": write(tmp_path / path)}).subject == subject


def test_select_takes_sequences_by_name_in_the_order_asked_for():
    data = np.arange(3 * 8, dtype=np.float32).reshape(3, 2, 2, 2)
    case = Case(("A", "B", "C"), data, np.eye(4), sha256=("a", "b", "c"))
    chosen = case.select(("C", "A"))
    assert chosen.sequences == ("C", "A")
    assert np.array_equal(chosen.data, data[[2, 0]])
    assert chosen.sha256 == ("c", "a")
    with pytest.raises(CaseError, match="no sequence D"):
        case.select(("A", "D"))


def test_normalising_happens_once(tmp_path):
    case = load_case({"A": write(tmp_path / "a.nii.gz")})
    assert case.normalised("zscore") is case.normalised("zscore")
    with pytest.raises(ValueError, match="read-only"):
        case.normalised("zscore")[0, 0, 0, 0] = 1


def no_affine(path):
    return write(path, affine=None, sform_code=0, qform_code=0)


def truncated(path):
    write(path, shape=(40, 40, 40))
    path.write_bytes(path.read_bytes()[:-20000])


def not_nifti(path):
    path.write_bytes(gzip.compress(b"hello" * 200))


def flat(path):
    write(path, np.full((4, 4, 4), 7, np.float32))


def with_nan(path):
    data = np.ones((4, 4, 4), np.float32)
    data[0, 0, :2] = np.nan, np.inf
    write(path, data)


def colour(path):
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    write(path, np.zeros((4, 4, 4), kind))


BAD = {
    "not finite": (with_nan, r"bad.nii.gz holds 2 voxels that are not finite"),
    "constant": (flat, r"Every voxel of bad.nii.gz has the same value \(7\)"),
    "colour": (colour, "is a colour"),
    "complex": (lambda p: write(p, np.ones((3, 3, 3), np.complex64)), "complex numbers"),
    "volumes": (lambda p: write(p, np.ones((3, 3, 3, 5), np.float32)), "holds 5 volumes"),
    "flat": (lambda p: write(p, np.ones((9, 9), np.float32)), "expected a 3-d volume"),
    "truncated": (truncated, "damaged or cut short"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "foreign": (not_nifti, "cannot be read as NIfTI"),
    "no position": (no_affine, "does not say where it lies in space"),
    "folder": (lambda p: p.mkdir(), "is a folder"),
    "missing": (lambda p: None, "There is no file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_in_one_sentence(tmp_path, kind):
    make, sentence = BAD[kind]
    make(tmp_path / "bad.nii.gz")
    with pytest.raises(CaseError, match=sentence) as caught:
        load_case({"FLAIR": tmp_path / "bad.nii.gz"})
    assert "\n" not in str(caught.value)


def test_images_of_different_places_are_refused(tmp_path):
    far = OBLIQUE.copy()
    far[:3, 3] += 500
    first, second = write(tmp_path / "a.nii.gz"), write(tmp_path / "b.nii.gz", affine=far)
    with pytest.raises(CaseError, match="field of view of T1 does not overlap that of FLAIR"):
        load_case({"FLAIR": first, "T1": second})


def test_wrong_names_and_no_images_are_refused(tmp_path):
    write(tmp_path / "scan.dcm.nii.gz")
    (tmp_path / "scan.dcm").write_bytes(b"DICM")
    with pytest.raises(CaseError, match=r"is a DICOM file, .* with dcm2niix"):
        load_case({"FLAIR": tmp_path / "scan.dcm"})
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(CaseError, match="not a NIfTI file"):
        load_case({"FLAIR": tmp_path / "notes.txt"})
    with pytest.raises(CaseError, match="No image was given"):
        load_case({})
    with pytest.raises(CaseError, match="repeat"):
        Case(("A", "A"), np.zeros((2, 2, 2, 2), np.float32), np.eye(4))


def test_swapped_images_are_noted(tmp_path):
    flair, t1 = write(tmp_path / "FLAIR.nii.gz", seed=1), write(tmp_path / "T1.nii.gz", seed=2)
    assert load_case({"FLAIR": flair, "T1": t1}).notes == ()
    first, second = load_case({"FLAIR": t1, "T1": flair}).notes
    assert first.startswith("T1.nii.gz is given as FLAIR, though its name says T1; ")
    assert second.startswith("FLAIR.nii.gz is given as T1, though its name says FLAIR; ")


def test_one_image_for_two_sequences_is_refused(tmp_path):
    one = write(tmp_path / "a.nii.gz")
    copy = tmp_path / "b.nii.gz"
    copy.write_bytes(one.read_bytes())
    for other, words in (
        (one, r"\(a.nii.gz\)"),
        (copy, "b.nii.gz, whose content is that of a.nii"),
    ):
        with pytest.raises(CaseError, match=f"^FLAIR and T1 are given the same image .*{words}"):
            load_case({"FLAIR": one, "T1": other})
