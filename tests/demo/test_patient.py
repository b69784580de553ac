"""The synthetic patient has the anatomy and the lesions that it promises."""

import socket
import sys

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from napari_ies.demo import synthetic_patient, write_synthetic_patient
from napari_ies.demo.anatomy import load_template, smooth_field
from napari_ies.errors import CaseError
from napari_ies.patient.case import Case


@pytest.fixture(scope="module")
def template_white(patient):
    """White matter of the undeformed template (0 to 1) where the patient's voxels lie."""
    from nilearn.datasets import load_mni152_wm_template

    image = load_mni152_wm_template(resolution=1)
    voxels = np.indices(patient.lesions.shape).reshape(3, -1)
    mm = patient.affine[:3, :3] @ voxels + patient.affine[:3, 3:]
    inverse = np.linalg.inv(image.affine)
    there = np.rint(inverse[:3, :3] @ mm + inverse[:3, 3:]).astype(int)
    return np.asarray(image.dataobj)[tuple(there)].reshape(patient.lesions.shape)


@pytest.fixture(scope="module")
def instances(patient):
    """Boolean index of each 18-connected lesion."""
    labels, count = ndimage.label(patient.lesions, ndimage.generate_binary_structure(3, 2))
    return [labels == label for label in range(1, count + 1)]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_patient_and_another_seed_another():
    first, again, other = (synthetic_patient(seed, spacing=2.0) for seed in (5, 5, 6))
    for name, array in vars(first).items():
        np.testing.assert_array_equal(getattr(again, name), array)
    assert (first.lesions & other.lesions).sum() < 0.5 * first.lesions.sum()
    assert ((first.flair > 0) != (other.flair > 0)).sum() > 1000


def test_background_is_exactly_zero_and_the_brain_is_one_positive_piece(patient):
    brain = patient.flair != 0
    np.testing.assert_array_equal(brain, patient.t1 != 0)
    assert patient.flair.min() == 0
    assert patient.t1.min() == 0
    _, pieces = ndimage.label(brain)
    assert pieces == 1
    # An adult brain with its ventricles has 1.1 to 1.9 litres, the template more than most.
    litres = brain.sum() * abs(np.linalg.det(patient.affine[:3, :3])) / 1e6
    assert 1.1 < litres < 1.9
    # No lobe is cut off by the edge of the image; only the brain stem goes on below.
    assert not brain[[0, -1]].any()
    assert not brain[:, [0, -1]].any()
    assert not brain[:, :, -1].any()


def test_lesions_lie_in_white_matter(patient, template_white):
    # The patient's brain is the template bent by a few millimetres.
    near_white = ndimage.distance_transform_edt(template_white < 0.5, sampling=1.5) < 6.0
    assert near_white[patient.lesions].mean() > 0.99
    assert np.median(template_white[patient.lesions]) > 0.8


def test_each_lesion_is_brighter_on_flair_and_moderately_darker_on_t1(
    patient, template_white, instances
):
    away = ~ndimage.binary_dilation(patient.lesions, iterations=4)
    healthy = ndimage.binary_erosion(template_white > 0.95, iterations=3) & away
    assert healthy.sum() > 5000
    white_flair, white_t1 = np.median(patient.flair[healthy]), np.median(patient.t1[healthy])
    for lesion in instances:
        assert patient.flair[lesion].mean() > 1.08 * white_flair
        assert 0.5 * white_t1 < patient.t1[lesion].mean() < 0.97 * white_t1


def test_lesions_are_many_mostly_small_and_one_is_confluent(instances):
    sizes = sorted(int(lesion.sum()) for lesion in instances)
    assert 12 <= len(sizes) <= 50
    assert sizes[0] >= 6
    assert sum(size <= 30 for size in sizes) >= 6
    assert sum(100 < size < 500 for size in sizes) >= 2
    assert sizes[-1] > 500


def test_some_of_what_is_bright_on_flair_is_no_lesion(patient):
    faint_lesion = np.percentile(patient.flair[patient.lesions], 10)
    away = ~ndimage.binary_dilation(patient.lesions, iterations=3)
    assert (patient.flair[away] > faint_lesion).sum() > 300


def test_its_midline_is_found_where_the_template_has_it(patient):
    midline = Case(("FLAIR",), patient.flair[None], patient.affine).midline
    places = np.array([[x, y, z] for x in (-50, 0, 50) for y in (-80, 40) for z in (-30, 60)])
    # The template's lies at x = 0, and is bent by a few millimetres.
    assert np.abs(midline.signed_distance(places) - places[:, 0]).max() < 3


@pytest.mark.slow
def test_files_hold_the_patient_of_the_seed(tmp_path, monkeypatch, patient):
    monkeypatch.setattr("napari_ies.demo.patient.synthetic_patient", {0: patient}.__getitem__)
    folder = tmp_path / "new" / "patient"
    files = write_synthetic_patient(folder, seed=0)
    expected = {"FLAIR": patient.flair, "T1": patient.t1, "lesions": patient.lesions}
    assert files.keys() == expected.keys()
    for name, array in expected.items():
        image = nibabel.load(files[name])
        np.testing.assert_array_equal(np.asarray(image.dataobj), array)
        np.testing.assert_allclose(image.affine, patient.affine, atol=1e-5)
        assert image.header.get_xyzt_units()[0] == "mm"
    assert sorted(path.name for path in folder.iterdir()) == [
        "FLAIR.nii.gz",
        "T1.nii.gz",
        "lesions.nii.gz",
    ]


def test_a_folder_that_cannot_be_made_is_refused_in_one_sentence(tmp_path, monkeypatch, patient):
    monkeypatch.setattr("napari_ies.demo.patient.synthetic_patient", lambda seed: patient)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CaseError, match="choose a folder that can be written"):
        write_synthetic_patient(tmp_path / "file")


@pytest.mark.parametrize("spacing", [0.5, 3.0, float("nan")])
def test_a_voxel_size_out_of_range_is_refused(spacing):
    with pytest.raises(CaseError, match="choose one from 1 to 2 mm"):
        synthetic_patient(0, spacing=spacing)


def test_without_nilearn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "nilearn.datasets", None)
    with pytest.raises(CaseError, match=r'pip install "napari-ies\[all\]"'):
        synthetic_patient(0)


def test_the_template_is_read_without_the_network(monkeypatch):
    def refuse(*_args):
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    template, origin = load_template()
    # The thalamus and a lateral ventricle are where MNI space has them.
    assert template[tuple(np.rint((12, -18, 8) - origin).astype(int))] > 0.6
    assert template[tuple(np.rint((6, 5, 16) - origin).astype(int))] < 0.5
    assert template[0, 0, 0] == 0


def test_a_smooth_field_varies_by_about_one_and_over_its_length():
    field = smooth_field(np.random.default_rng(0), (90, 90, 90), 1.0, 6.0)
    assert abs(field.mean()) < 0.1
    assert 0.9 < field.std() < 1.1
    shifts = {lag: np.corrcoef(field[lag:].ravel(), field[:-lag].ravel())[0, 1] for lag in (1, 24)}
    assert shifts[1] > 0.95
    assert abs(shifts[24]) < 0.1
