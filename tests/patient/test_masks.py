import nibabel as nib
import numpy as np
import pytest
from cases import ball
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_ies.errors import CaseError
from napari_ies.patient.case import Case
from napari_ies.patient.masks import lesions_of, mask_of, read_lesions, read_mask

SHAPE = (20, 18, 16)
AFFINE = np.diag([-1.0, 1.0, 1.0, 1.0])
TRUTH = ball(SHAPE, (6, 9, 8), 2) | ball(SHAPE, (14, 9, 8), 2)


@pytest.fixture
def case():
    brain = ball(SHAPE, (10, 9, 8), 7)
    values = np.random.default_rng(0).normal(100, 10, SHAPE)
    return Case(("FLAIR",), np.where(brain, values, 0)[None].astype(np.float32), AFFINE)


def save(path, values, affine=AFFINE, slope=None):
    image = nib.Nifti1Image(values, affine, dtype=values.dtype)
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
        ("air", (case.data[0] == 0).astype(np.uint8), "marks mostly what lies outside the brain"),
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


@pytest.mark.parametrize("top", [100, 250, 255])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_probabilities_in_whole_numbers_are_refused(tmp_path, case, top, kind):
    soft = np.rint(top * ndimage.gaussian_filter(TRUTH.astype(np.float64), 0.7)).astype(kind)
    path = save(tmp_path / "m.nii.gz", soft)
    sentence = f"m.nii.gz holds graded whole numbers from 1 to {soft.max():.0f}, such as"
    for read in (read_mask, read_lesions):
        with pytest.raises(CaseError, match=sentence):
            read(path, case)


def test_many_lesions_are_not_taken_for_probabilities():
    """Apart, touching each other on all sides, and single voxels."""
    apart = np.zeros((24, 24, 24), dtype=np.int16)
    apart[::2, ::2, ::2] = np.arange(1, 12**3 + 1).reshape(12, 12, 12)
    x, y, z = np.indices(apart.shape) // 3
    touching = 1 + x + 8 * y + 64 * z
    touching[0] = 0
    for values in (apart, touching):
        labels, notes = lesions_of(values, "m")
        assert np.array_equal(labels, values)
        count = len(np.unique(values)) - 1
        assert notes == (f"m holds {count} labels; each is taken as one lesion.",)
        assert np.array_equal(mask_of(values, "m")[0], values > 0)


@pytest.mark.parametrize("name", ["patient07", "patient19"])
def test_lesions_of_patients_are_not_taken_for_probabilities(real_file, name):
    file = real_file(f"data/open_ms/{name}/consensus_lesions.nii.gz")
    mask = np.asarray(nib.load(file).dataobj) > 0
    nearest = np.argwhere(mask)
    seeds = np.random.default_rng(0).choice(len(nearest), 100, replace=False)
    touching = np.zeros(mask.shape, dtype=np.int32)
    touching[mask] = 1 + cKDTree(nearest[seeds]).query(nearest)[1]
    for values in (ndimage.label(mask)[0], touching):
        assert np.array_equal(lesions_of(values, "m")[0], values)
    with pytest.raises(CaseError, match="graded whole numbers"):
        mask_of(np.rint(100 * ndimage.gaussian_filter(mask.astype(np.float32), 1)), "m")


def test_a_mask_of_several_values_names_them_or_says_how_many():
    two = np.where(TRUTH, 1, 0)
    two[10:] *= 2
    assert mask_of(two, "m")[1] == (
        "m holds the values 1 and 2; all of them were taken as marked.",
    )
    many = np.zeros(SHAPE, dtype=np.uint8)
    many[::4, ::4, ::4] = np.arange(1, 101).reshape(5, 5, 4)
    many[many == 100] = 200  # else they would number its parts
    mask, (note,) = mask_of(many, "m")
    assert (
        note == "m holds 100 different values above 0 (1 to 200); all of them were taken as marked."
    )
    assert np.array_equal(mask, many > 0)
    assert mask_of(TRUTH * 1, "m")[1] == ()


def test_few_labels_of_many_parts_are_said_to_be_so():
    kinds = np.zeros(SHAPE, dtype=np.uint8)
    kinds[2::4, 2::4, 2] = 1
    kinds[[1, 5, 9], 1, 8] = 2
    parts = ndimage.label(kinds == 1)[1]
    labels, notes = lesions_of(kinds, "m")
    assert np.array_equal(labels, kinds)
    assert notes == (
        f"m holds 2 labels of {parts} and 3 separate parts; each label is taken as one lesion, "
        "with all its parts.",
    )


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64, np.uint64, np.float64, ">i4"])
def test_labels_that_single_precision_cannot_tell_apart_stay_apart(tmp_path, case, kind):
    values = np.where(TRUTH, 2**24, 0).astype(kind)
    values[10:][TRUTH[10:]] += 1
    lesions = read_lesions(save(tmp_path / "m.nii.gz", values), case)
    assert np.array_equal(lesions.values, ndimage.label(TRUTH)[0])
    assert lesions.notes[0].endswith("since the highest label is 16777217.")
    assert np.array_equal(read_mask(tmp_path / "m.nii.gz", case).values, TRUTH)


def test_a_mask_on_a_crop_is_placed_and_said_to_cover_a_part(tmp_path, case):
    """Stored on the lower half along x: the second ball is cut off by the crop, not by us."""
    crop = save(tmp_path / "m.nii.gz", TRUTH[:10].astype(np.uint8))
    for reference, words in ((True, ": lesions found outside it count as FP"), (False, "")):
        mask = read_mask(crop, case, lesions=reference)
        assert np.array_equal(mask.values[:10], TRUTH[:10])
        assert not mask.values[10:].any()
        assert mask.notes == (
            "m.nii.gz lies on other voxels (10 × 18 × 16 voxels of 1 × 1 × 1 mm) of the same "
            "lattice and was placed on those of FLAIR (20 × 18 × 16 voxels of 1 × 1 × 1 mm) "
            f"exactly; it covers 50 % of the image{words}.",
        )


def test_marked_voxels_outside_the_images_are_counted(tmp_path, case):
    """Padded: nothing is lost. Shifted by whole voxels, and turned besides: some are."""
    padded = np.pad(TRUTH, 3).astype(np.uint8)
    affine = AFFINE @ nib.affines.from_matvec(np.eye(3), (-3, -3, -3))
    mask = read_mask(save(tmp_path / "m.nii.gz", padded, affine), case)
    assert np.array_equal(mask.values, TRUTH)
    assert mask.notes[0].endswith("of 1 × 1 × 1 mm) exactly.")

    affine = AFFINE @ nib.affines.from_matvec(np.eye(3), (5, 0, 0))
    image = nib.Nifti1Image(TRUTH.astype(np.uint8), affine)
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(AFFINE), nib.orientations.axcodes2ornt("PSR")
    )
    lost, marked = np.count_nonzero(TRUTH[15:]), np.count_nonzero(TRUTH)
    assert lost > 0
    said = f"; {lost} of its {marked} marked voxels lie outside the images; it covers 75 % of the"
    for number, stored in enumerate((image, image.as_reoriented(turn))):
        nib.save(stored, tmp_path / f"{number}.nii.gz")
        mask = read_mask(tmp_path / f"{number}.nii.gz", case)
        assert np.array_equal(mask.values[5:], TRUTH[:15])
        assert said in mask.notes[0]
        assert ("was turned, exactly" in mask.notes[0]) == (number == 1)
        assert ("of the same lattice" in mask.notes[0]) == (number == 0)


def test_a_resampled_mask_says_what_it_does_not_reach(tmp_path, case):
    fine = np.diag([-0.5, 0.5, 0.5, 1.0])
    values = np.repeat(np.repeat(np.repeat(TRUTH[:10], 2, 0), 2, 1), 2, 2).astype(np.uint8)
    (note,) = read_mask(save(tmp_path / "m.nii.gz", values, fine), case, lesions=True).notes
    assert "was resampled (nearest neighbour)" in note
    assert note.endswith("% of the image: lesions found outside it count as FP.")


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("i4", (2**31 - 1, 2**31 - 2)),
        ("u4", (2**32 - 1, 2**32 - 2)),
        ("i8", (2**63 - 1, 2**62)),
        ("u8", (2**64 - 1, 2**64 - 2)),
        ("f8", (2.0**53, 2.0**53 - 1)),
        ("f4", (2.0**31, 2.0**30)),
    ],
)
def test_labels_of_any_size_take_no_memory_by_their_numbers(tmp_path, case, kind, labels):
    values = np.zeros(SHAPE, kind)
    values[6, 9, 8], values[14, 9, 8:10] = labels
    lesions = read_lesions(save(tmp_path / "m.nii.gz", values), case)
    assert np.array_equal(np.unique(lesions.values, return_counts=True), [[0, 1, 2], [5757, 2, 1]])
    assert f"the highest label is {int(labels[0])}" in lesions.notes[-1].replace(".0", "")
    mask = read_mask(tmp_path / "m.nii.gz", case, lesions=True)
    assert np.count_nonzero(mask.values) == 3


@pytest.mark.parametrize("value", [1e30, 3e38, 2.0**54, -1e30])
@pytest.mark.parametrize("read", [read_lesions, read_mask])
def test_numbers_that_are_no_labels_are_refused(tmp_path, case, value, read):
    path = save(tmp_path / "m.nii.gz", np.where(TRUTH, value, 0))
    with pytest.raises(CaseError, match="which are no labels; expected a mask or a label image"):
        read(path, case)


def test_noise_is_no_set_of_lesions(tmp_path):
    """Every third voxel along each axis is a part of its own: 22³ of them."""
    noise = np.zeros((66, 66, 66), np.uint8)
    noise[::3, ::3, ::3] = 1
    values = np.random.default_rng(0).normal(100, 10, noise.shape).astype(np.float32)
    case = Case(("FLAIR",), values[None], AFFINE)
    path = save(tmp_path / "m.nii.gz", noise)
    with pytest.raises(CaseError, match=r"marks 10,648 separate lesions; expected at most 10,000"):
        read_lesions(path, case)
    with pytest.raises(CaseError, match=r"marks 10,648 separate lesions"):
        read_mask(path, case, lesions=True)
    numbered = np.zeros(noise.shape, np.int32)
    numbered[noise > 0] = np.arange(1, 10649)
    with pytest.raises(CaseError, match=r"marks 10,648 separate lesions"):
        lesions_of(numbered, "m")
    # A region may be anything.
    assert np.count_nonzero(read_mask(path, case).values) == 10648


def test_the_numbers_of_separate_parts_need_no_note_and_anything_else_does():
    values = np.zeros((20, 20, 20), dtype=np.int16)
    for number in range(1, 7):
        values[2 * number + 4, 3:5, 3:6] = number
    assert mask_of(values, "it")[1] == ()
    touching, twice, skipped = values.copy(), values.copy(), values.copy()
    touching[7, 3, 3] = 1  # two values in one part
    twice[19, 3:5, 3:6] = 5  # one value in two parts
    skipped[values == 6] = 9
    for odd in (touching, twice, skipped):
        (note,) = mask_of(odd, "it")[1]
        assert note.startswith("it holds 6 different values above 0")
