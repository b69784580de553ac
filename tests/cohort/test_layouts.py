"""The original scripts' names: as ies.py and ies_maxpool.py form them from a case's path."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from command_line import run
from scipy import ndimage
from synthetic_cohort import PREFIXES, TARGET

from napari_ies.results.segmentation import load_segmentation

LAYER = "module.model.1"
CONNECTED = ndimage.generate_binary_structure(3, 2)


def values(path):
    return np.asarray(nib.load(path).dataobj)


@pytest.fixture(scope="module")
def asked(twelve, tmp_path_factory):
    """Two patients, one without and one with a lesion of each kind, and the scripts' words."""
    root = tmp_path_factory.mktemp("layouts")
    for name in ("P04", "P02"):
        (root / "test" / name).parent.mkdir(exist_ok=True)
        (root / "test" / name).symlink_to(twelve.data / name)
    return [
        *("--model_checkpoint", twelve.checkpoint, "--input_prefixes", *PREFIXES),
        *("--input_val_paths", root / "test", root / "test", "--samples", 2, "--layout", "ies"),
    ], root


@pytest.mark.slow
def test_names_and_numbers_are_those_of_ies_py(asked, tmp_path):
    words, _ = asked
    result = run("cohort", *words, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "attention_maps").iterdir()} == {
        "P02-ses1",
        "P04-ses1",
    }
    place = tmp_path / "attention_maps" / "P04-ses1"
    labels = values(place / "group_P04-ses1.nii.gz")
    lesions = range(1, int(labels.max()) + 1)
    assert {path.name for path in place.iterdir()} == {
        "pred_P04-ses1.nii.gz",
        "group_P04-ses1.nii.gz",
        *(f"GradCAM_lesion{n}_layer_{LAYER}_P04-ses1.nii.gz" for n in lesions),
        *(f"flair_smooth_saliency_les_{n}_P04-ses1.nii.gz" for n in lesions),
        *(f"mprage_smooth_saliency_les_{n}_P04-ses1.nii.gz" for n in lesions),
    }
    anat = tmp_path / "sub-P04" / "ses-1" / "anat"
    segmentation = load_segmentation(anat / "sub-P04_ses-1_desc-lesions_dseg.nii.gz")
    marked = values(place / "pred_P04-ses1.nii.gz")
    np.testing.assert_array_equal(marked, segmentation.probability > segmentation.threshold)
    # The scripts label what is marked, then take away what is not larger than 5 voxels.
    expected, count = ndimage.label(marked, CONNECTED)
    kept = [n for n in range(1, count + 1) if (expected == n).sum() > 5]
    numbered = sum(np.where(expected == n, number, 0) for number, n in enumerate(kept, start=1))
    np.testing.assert_array_equal(labels, numbered)
    for n in lesions:
        name = f"sub-P04_ses-1_seq-T1_lesion-{n:03d}_method-smoothgrad_agg-mean_saliency.nii.gz"
        map_ = place / f"mprage_smooth_saliency_les_{n}_P04-ses1.nii.gz"
        assert map_.read_bytes() == (anat / name).read_bytes()
    assert max(lesions) > 1
    assert run("cohort", *words, "--largest", 1, "--out", tmp_path).exit_code == 0
    assert int(values(place / "group_P04-ses1.nii.gz").max()) == 1
    assert not [path.name for path in place.iterdir() if "_2_" in path.name or "n2_" in path.name]


@pytest.mark.slow
def test_kinds_have_folders_and_numbers_of_their_own_as_in_ies_maxpool_py(asked, tmp_path):
    words, root = asked
    target = ("--target_val_path", root / "test", "--target_prefix", TARGET)
    result = run("cohort", *words, *target, "--lesions", "FP", "fn", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    folders = {path.relative_to(tmp_path / "attention_maps").as_posix()
               for path in (tmp_path / "attention_maps").glob("*/*")}  # fmt: skip
    assert folders == {f"{kind}/P0{n}-ses1" for kind in ("FP", "FN") for n in (2, 4)}
    false = tmp_path / "attention_maps" / "FP" / "P02-ses1"
    missed = tmp_path / "attention_maps" / "FN" / "P02-ses1"
    assert int(values(false / "group_P02-ses1.nii.gz").max()) == 2
    assert int(values(missed / "group_P02-ses1.nii.gz").max()) == 1
    assert (missed / f"GradCAM_lesion1_layer_{LAYER}_P02-ses1.nii.gz").is_file()
    lesion = "sub-P02_ses-1_seq-FLAIR_lesion-003_method-smoothgrad_agg-mean_saliency.nii.gz"
    assert (missed / "flair_smooth_saliency_les_1_P02-ses1.nii.gz").read_bytes() == (
        tmp_path / "sub-P02" / "ses-1" / "anat" / lesion
    ).read_bytes()


def test_the_scripts_names_take_one_aggregation(asked, tmp_path):
    words, _ = asked
    result = run("cohort", *words, "--aggregation", "mean", "max", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "names say no aggregation" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
