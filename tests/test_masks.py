import nibabel as nib
import numpy as np
import pytest
from cases import ball
from scipy import ndimage

from napari_ies.case import Case
from napari_ies.errors import CaseError
from napari_ies.masks import lesions_of, mask_of, read_lesions, read_mask

SHAPE = (20, 18, 16)
AFFINE = np.diag([-1.0, 1.0, 1.0, 1.0])
TRUTH = ball(SHAPE, (6, 9, 8), 2) | ball(SHAPE, (14, 9, 8), 2)


@pytest.fixture
def case():
    brain = ball(SHAPE, (10, 9, 8), 7)
    values = np.random.default_rng(0).normal(100, 10, SHAPE)
    return Case(("FLAIR",), np.where(brain, values, 0)[None].astype(np.float32), AFFINE)


def save(path, values, affine=AFFINE, slope=None):
    image = nib.Nifti1Image(values, affine)
    if slope is not None:
        image.header.set_slope_inter(*slope)
    nib.save(image, path)
    return path


def test_int16_with_a_scale_and_an_offset_is_the_mask_it_was(tmp_path, case):
    """Slope 1/30000, intercept 2e-5: 0 is stored as 2e-5, above 0 everywhere."""
    stored = np.where(TRUTH, 30000, 0).astype(np.int16)
    path = save(tmp_path / "m.nii.gz", stored, slope=(1 / 30000, 2e-5))
    assert (np.asarray(nib.load(path).dataobj) > 0).all()
    assert np.array_equal(read_mask(path, case, lesions=True).values, TRUTH)


def test_a_soft_mask_counts_from_a_half_on_and_says_so(tmp_path, case):
    soft = ndimage.gaussian_filter(TRUTH.astype(np.float32), 0.7)
    mask = read_mask(save(tmp_path / "m.nii.gz", soft), case)
    assert np.array_equal(mask.values, soft >= 0.5)
    (note,) = mask.notes
    assert note.startswith("m.nii.gz holds fractions")
    assert f"{np.count_nonzero(soft >= 0.5)} of them" in note


@pytest.mark.parametrize(
    ("marked", "unmarked", "kind"),
    [(255, 0, np.uint8), (1, 0, np.int16), (1, -1, np.int16), (1.0, -1.0, np.float32)],
)
def test_whole_numbers_count_above_zero(tmp_path, case, marked, unmarked, kind):
    values = np.where(TRUTH, marked, unmarked).astype(kind)
    assert np.array_equal(read_mask(save(tmp_path / "m.nii.gz", values), case).values, TRUTH)
    assert np.array_equal(mask_of(values, "layer")[0], TRUTH)


def test_values_that_may_mean_something_else_are_said():
    values = TRUTH.astype(np.int16)
    values[0, 0, 0] = -1
    assert "below 0 in 1 voxels" in mask_of(values, "m")[1][0]
    values[0, 0, 0] = 255
    assert "holds 255 beside other values" in mask_of(values, "m")[1][0]


def test_what_cannot_be_a_mask_is_refused(tmp_path, case):
    for name, values, sentence in (
        ("all", np.ones(SHAPE, np.uint8), "marks 100 % of the image"),
        ("inverted", (~TRUTH).astype(np.uint8), "marks 9. % of the image"),
        ("brain", (case.data[0] > 0).astype(np.uint8), "marks 100 % of the brain"),
        ("grey", case.data[0], "holds fractions from 0 to 1"),
    ):
        path = save(tmp_path / f"{name}.nii.gz", values)
        with pytest.raises(CaseError, match=f"{name}.nii.gz {sentence}"):
            read_mask(path, case, lesions=True)


def test_an_empty_reference_is_one_and_empty_lesions_are_none(tmp_path, case):
    """A patient without lesions has an empty reference: whatever is found is false."""
    path = save(tmp_path / "m.nii.gz", np.zeros(SHAPE, np.uint8))
    assert not read_mask(path, case, lesions=True).values.any()
    with pytest.raises(CaseError, match="marks no voxel"):
        read_lesions(path, case)


def test_a_mask_gives_its_connected_parts_as_lesions(tmp_path, case):
    lesions = read_lesions(save(tmp_path / "m.nii.gz", TRUTH.astype(np.uint8)), case)
    assert set(np.unique(lesions.values)) == {0, 1, 2}
    assert np.array_equal(lesions.values > 0, TRUTH)
    assert "its 2 connected parts" in lesions.notes[0]


def test_a_label_image_keeps_its_labels(tmp_path, case):
    values = np.where(TRUTH, 3, 0).astype(np.int32)
    values[10:] *= 4
    lesions = read_lesions(save(tmp_path / "m.nii.gz", values), case)
    assert np.array_equal(lesions.values, values)
    assert lesions.values.dtype == np.int32
    labels, notes = lesions_of(np.where(values == 3, 2_000_000_000, values), "layer")
    assert set(np.unique(labels)) == {0, 1, 2}
    assert "numbered anew" in notes[0]


def test_a_mask_stored_in_another_order_is_turned(tmp_path, case):
    image = nib.Nifti1Image(TRUTH.astype(np.uint8), AFFINE)
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt("PSR")
    )
    nib.save(image.as_reoriented(turn), tmp_path / "m.nii.gz")
    mask = read_mask(tmp_path / "m.nii.gz", case)
    assert np.array_equal(mask.values, TRUTH)
    assert mask.notes == ("m.nii.gz was stored in another order and was turned, exactly.",)


def test_a_mask_of_another_place_is_refused(tmp_path, case):
    far = AFFINE.copy()
    far[:3, 3] = 500
    with pytest.raises(CaseError, match="does not overlap FLAIR"):
        read_mask(save(tmp_path / "m.nii.gz", TRUTH.astype(np.uint8), far), case)
