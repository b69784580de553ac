import numpy as np
import pytest
from cases import ball, random_case

from napari_ies.patient.background import Background, find_background, inside
from napari_ies.patient.case import Case
from napari_ies.patient.image_notes import background_notes

SHAPE = (20, 18, 16)
BRAIN = ball(SHAPE, (10, 9, 8), 6)


def image(background=0.0, scale=1.0, seed=0):
    """A brain of positive intensities in a constant background."""
    values = np.random.default_rng(seed).normal(100, 15, SHAPE) * scale
    return np.where(BRAIN, values, background).astype(np.float32)


@pytest.mark.parametrize("value", [0.0, -0.81, -1000.0, 2e-4, 32768.0])
def test_a_constant_background_is_found_whatever_its_value(value):
    volume = image(value)
    background = find_background(volume)
    assert background.value == np.float32(value)
    assert np.array_equal(inside(volume, background), BRAIN)


def test_a_background_within_the_files_rounding_step_is_one():
    """As nibabel's int16 has it: 0 becomes a multiple of the slope beside an offset."""
    step, offset = 0.013, 50.4
    stored = np.rint((image() - offset) / step)
    volume = (stored * step + offset).astype(np.float32)
    assert not (volume == 0).any()
    found = find_background(volume, step)
    assert np.array_equal(inside(volume, found), BRAIN)


def test_an_almost_constant_background_is_one_and_said_to_be():
    """As interpolation leaves it: ringing of a few hundred-thousandths of the intensities."""
    volume = image() + np.random.default_rng(1).normal(0, 1e-3, SHAPE).astype(np.float32)
    found = find_background(volume)
    assert found.uneven
    # A brain voxel may be dark by chance, but none here is.
    assert np.array_equal(inside(volume, found), BRAIN)
    assert "is about" in background_notes(volume, found, "FLAIR")[0]


def test_noise_everywhere_has_no_background():
    volume = np.abs(np.random.default_rng(0).normal(0, 5, SHAPE)).astype(np.float32) + image()
    assert find_background(volume) is None
    assert inside(volume, None).all()


def test_noise_of_whole_numbers_around_a_head_is_no_background():
    noise = np.random.default_rng(0).integers(0, 12, SHAPE).astype(np.float32)
    assert find_background(np.where(BRAIN, image(), noise), step=1.0) is None


def test_zeros_inside_count_as_before():
    """MONAI's NormalizeIntensity(nonzero=True) leaves every 0 out, wherever it is."""
    volume = image()
    volume[10, 9, 8] = 0
    assert not inside(volume, find_background(volume))[10, 9, 8]


@pytest.mark.parametrize("value", [-0.81, -1000.0, 300.0])
def test_the_network_sees_the_same_whatever_the_background(value):
    plain, other = image(), image(value)
    expected = Case(("FLAIR",), plain[None], np.eye(4)).normalised("zscore-nonzero")
    values = plain[BRAIN].astype(np.float64)
    naive = np.where(BRAIN, (plain - values.mean()) / values.std(), 0)
    result = Case(("FLAIR",), other[None], np.eye(4)).normalised("zscore-nonzero")
    np.testing.assert_allclose(result, expected, atol=1e-6)
    np.testing.assert_allclose(result[0], naive, atol=1e-5)


def test_a_background_that_is_not_zero_and_normalised_images_are_said():
    volume = image(-1000)
    (note,) = background_notes(volume, find_background(volume), "FLAIR")
    assert note.startswith("The background of FLAIR is -1000, not 0: it fills 8")
    values = image()
    scaled = np.where(BRAIN, (values - values[BRAIN].mean()) / values[BRAIN].std(), 0)
    (note,) = background_notes(scaled, find_background(scaled), "T1")
    assert note.startswith("T1 is normalised already")
    assert background_notes(values, find_background(values), "T1") == ()


def test_values_are_kept_apart_from_the_background():
    background = Background(-1000.0, 0.5)
    values = np.array([-1000.3, -1000, 3], dtype=np.float32)
    apart = background.kept_apart(values)
    assert not background.holds(apart).any()
    np.testing.assert_allclose(apart, [-999.5, -999.5, 3], atol=1e-3)
    assert Background(0.0).kept_apart(np.zeros(1, np.float32))[0] > 0


def test_what_is_found_in_the_images_does_not_depend_on_the_background():
    """Midline, healthy tissue and a counterfactual take the same voxels."""
    from napari_ies.counterfactual.counterfactual import edit_case
    from napari_ies.counterfactual.edit import Edit
    from napari_ies.segmentation.segmentation import Segmentation

    shape = (48, 44, 40)
    plain = random_case(shape, affine=np.diag([-4.0, 4, 4, 1]))
    head = ball(shape, (23.5, 21, 19), 17)
    shade = np.indices(shape)[1] + 40.0
    data = np.where(head, shade * (1 + 0.3 * ball(shape, (12, 21, 19), 4)), 0)[None]
    results = []
    for value in (0.0, -1000.0):
        volume = np.where(head, data, value).astype(np.float32)
        case = Case(("FLAIR",), volume, plain.affine)
        region = ball(shape, (12, 21, 19), 3)
        nothing = np.zeros(shape, np.int32)
        marked = Segmentation(
            nothing.astype(np.float32), nothing, None, 0.5, "sliding-window", "CPU"
        )
        changed, after = edit_case(case, region, Edit("FLAIR"), marked)
        results.append((case.midline, changed, after.data[0][changed]))
    (plane, changed, values), (other, other_changed, other_values) = results
    assert plane is not None
    np.testing.assert_allclose(other.normal, plane.normal, atol=5e-3)
    assert np.array_equal(changed, other_changed)
    np.testing.assert_allclose(values, other_values, rtol=1e-5)


BIG = (40, 36, 32)
HEAD = ball(BIG, (20, 18, 16), 12)


def head(background=0.0):
    values = np.random.default_rng(0).normal(100, 15, BIG)
    return np.where(HEAD, values, background).astype(np.float32)


def with_border(volume, value, width=3):
    """The outermost voxels with another value, as a padding adds."""
    middle = tuple(slice(width, -width) for _ in range(3))
    padded = np.full_like(volume, value)
    padded[middle] = volume[middle]
    return padded


@pytest.mark.parametrize(
    ("volume", "values"),
    [
        (with_border(head(-40), 0.0), {-40, 0.0}),
        (with_border(head(-1000), -1024), {-1000, -1024}),
        (with_border(head(), -2000), {0.0, -2000}),
    ],
    ids=["corners filled with 0", "two paddings", "around the field of view"],
)
def test_every_constant_value_around_the_patient_is_background(volume, values):
    found = find_background(volume)
    assert {found.value, *found.others} == {float(np.float32(value)) for value in values}
    assert np.array_equal(inside(volume, found), HEAD)
    (note,) = background_notes(volume, found, "T1")
    assert "has several values" in note


def test_a_cubic_spline_leaves_a_background_about_zero():
    """Ringing of both signs around exact zeros: what nibabel's resampling writes by default."""
    from scipy.ndimage import shift

    volume = shift(head(), 0.4, order=3).astype(np.float32)
    exact = np.mean(volume == 0)
    found = find_background(volume)
    assert found.uneven
    assert found.share > exact + 0.1
    # What rings by more than a hundredth of the intensities lies within three voxels of the head.
    far = ~ball(BIG, (20.4, 18.4, 16.4), 16)
    assert not inside(volume, found)[far].any()


@pytest.mark.parametrize("value", [-1000.0, -0.81])
def test_a_little_background_in_a_tight_crop_is_found(value):
    crop = (slice(9, 31), slice(7, 29), slice(10, 22))
    volume = head(value)[crop]
    found = find_background(volume)
    assert found.share < 0.2
    assert np.array_equal(inside(volume, found), HEAD[crop])


def test_saturated_tissue_is_no_background():
    volume = head()
    volume[ball(BIG, (20, 18, 16), 4)] = 255
    volume = np.clip(volume, 0, 255)
    assert np.array_equal(inside(volume, find_background(volume)), HEAD)


def test_a_value_that_only_fills_is_not_mixed_into_the_patient():
    """Interpolation between a patient of 100 and a background of -1000 gives 100 or -1000."""
    from nibabel.affines import from_matvec

    from napari_ies.geometry import Grid
    from napari_ies.patient.loading import align

    volume = np.where(HEAD, 100, -1000).astype(np.float32)
    volume[20, 18, 16] = 101  # a range of more than nothing
    source = Grid.of(BIG, np.eye(4))
    target = Grid.of(BIG, from_matvec(np.eye(3), [0.4, -0.3, 0.2]))
    moved, note = align(volume, source, target, "T1", "FLAIR", find_background(volume))
    assert "resampled (linear)" in note
    assert ((np.abs(moved - 100) < 1.1) | (moved == -1000)).all()
    share, _ = align(HEAD.astype(np.float32), source, target, "mask", "FLAIR", None)
    told = np.abs(share - 0.5) > 1e-5
    assert np.array_equal(moved[told] > 0, share[told] > 0.5)
