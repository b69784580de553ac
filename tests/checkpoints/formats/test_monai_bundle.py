"""MONAI bundles: read as data, and computing what MONAI computes of them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles import (
    NETWORK,
    NORMALISED,
    config,
    monai_probability,
    trained_unet,
    write_bundle,
    zipped,
)
from cases import random_case
from monai.networks.nets import SegResNet, SwinUNETR, UNet
from naive_model import check_model

from napari_ies import load_case, segment
from napari_ies.checkpoints import (
    checkpoint_sha256,
    inspect_checkpoint,
    load_checkpoint,
    profile_path,
    write_profile,
)
from napari_ies.errors import CheckpointError, UntrustedError
from napari_ies.saliency.provenance import network_provenance

ORIENTED = {"_target_": "Orientationd", "keys": "@image_key", "axcodes": "RAS"}
SPACED = {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [1, 1.2, 2], "mode": "bilinear"}
RANGE = {
    "_target_": "ScaleIntensityRanged",
    "keys": "@image_key",
    "a_min": 20,
    "a_max": 80,
    "b_min": 0,
    "b_max": 1,
    "clip": True,
}
UNIT = {"_target_": "ScaleIntensityd", "keys": "@image_key", "channel_wise": True}


def refusal(path, error=CheckpointError, **options):
    with pytest.raises(error) as raised:
        load_checkpoint(path, device="cpu", **options)
    assert type(raised.value) is error
    return str(raised.value)


@pytest.fixture
def images(tmp_path):
    """FLAIR and T1 on voxels of 1 × 1.2 × 2 mm, stored as LAS."""
    affine = np.diag([-1, 1.2, 2, 1])
    case = random_case((20, 18, 22), affine=affine)
    paths = {}
    for sequence, volume in zip(case.sequences, case.data, strict=True):
        paths[sequence] = tmp_path / f"{sequence}.nii.gz"
        nib.save(nib.Nifti1Image(volume, affine), paths[sequence])
    return paths


@pytest.mark.slow
@pytest.mark.parametrize(
    "transforms",
    [
        (NORMALISED,),
        ({**NORMALISED, "nonzero": False},),
        (ORIENTED, SPACED, NORMALISED),
        (ORIENTED, RANGE),
        ({**RANGE, "clip": False, "b_min": -1},),
        (UNIT,),
        (UNIT, {**NORMALISED, "nonzero": False}),
        (),
    ],
    ids=["nonzero", "all voxels", "turned", "range", "open range", "unit", "twice", "as they are"],
)
@pytest.mark.parametrize("mode", ["constant", "gaussian"])
def test_it_computes_what_monai_does(transforms, mode, tmp_path, images):
    inferer = {**config()["inferer"], "mode": mode}
    postprocessing = config()["postprocessing"]
    postprocessing["transforms"][1] |= {"orig_keys": "image", "nearest_interp": False}
    content = config(transforms=transforms, inferer=inferer, postprocessing=postprocessing)
    folder = write_bundle(tmp_path / "bundle", content)

    model = load_checkpoint(folder, device="cpu")
    found = segment(model, load_case(images)).probability

    expected = monai_probability(folder, [str(path) for path in images.values()])[1]
    assert np.abs(found - expected).max() < 1e-5
    assert np.ptp(expected) > 0.1


def test_what_it_tells_is_not_guessed(tmp_path):
    model = load_checkpoint(write_bundle(tmp_path / "lesions_v0.5.2"), device="cpu")

    profile = model.profile
    assert (model.format, profile.architecture) == ("MONAI bundle", "UNet")
    assert profile.name == "lesions_v0.5.2"
    assert profile.sequences == ("FLAIR", "T1")
    assert profile.classes == ("background", "MS lesion")
    assert profile.explained_class == 1
    assert (profile.normalisation, profile.activation) == ("zscore-nonzero", "softmax")
    assert (profile.window, profile.overlap, profile.blending) == ((16, 16, 16), 0.5, "constant")
    assert (profile.threshold, profile.divisor) == (0.5, (2, 2, 2))
    said = " ".join(profile.guessed)
    for word in ("strides", "z-scored", "sequences are taken", "Output 0", "softmax", "Windows"):
        assert word not in said
    facts = network_provenance(model)
    assert facts["format"] == "MONAI bundle"
    assert facts["arguments"]["channels"] == [4, 6]


@pytest.mark.slow
def test_its_hash_is_that_of_its_files(tmp_path):
    folder = write_bundle(tmp_path / "bundle")
    names = ("configs/inference.json", "configs/metadata.json", "models/model.pt")
    lines = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, check=True)

    found = load_checkpoint(folder, device="cpu").sha256

    assert found == hashlib.sha256(lines.stdout).hexdigest() == checkpoint_sha256(folder)
    (folder / "docs").mkdir()
    (folder / "docs/README.md").write_text("of no importance")
    assert checkpoint_sha256(folder) == found
    with (folder / "models/model.pt").open("ab") as file:
        file.write(b"\0")
    assert checkpoint_sha256(folder) != found


@pytest.mark.parametrize("top", ["", "lesions/"])
def test_a_zip_is_read_without_being_unpacked(top, tmp_path, monkeypatch):
    folder = write_bundle(tmp_path / "bundle")
    archive = zipped(folder, tmp_path / "lesions_v1.0.zip", top)
    before = set(tmp_path.rglob("*"))
    monkeypatch.setattr(zipfile.ZipFile, "extract", None)
    monkeypatch.setattr(zipfile.ZipFile, "extractall", None)

    model, same = load_checkpoint(archive, device="cpu"), load_checkpoint(folder, device="cpu")

    assert set(tmp_path.rglob("*")) == before
    assert model.profile.name == "lesions_v1.0"
    assert (
        model.sha256
        == checkpoint_sha256(archive)
        == hashlib.sha256(archive.read_bytes()).hexdigest()
    )
    for one, other in zip(
        model.network.state_dict().values(), same.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


def test_yaml(tmp_path):
    text = """
    network_def: {_target_: monai.networks.nets.UNet, spatial_dims: 3, in_channels: 2,
      out_channels: "@classes", channels: [4, 6], strides: [2], num_res_units: 1, norm: batch}
    classes: 2
    preprocessing: {_target_: NormalizeIntensityd, keys: image, nonzero: true, channel_wise: true}
    """
    model = load_checkpoint(write_bundle(tmp_path / "b", text, ending="yaml"), device="cpu")

    assert model.profile.arguments["out_channels"] == 2
    assert model.profile.normalisation == "zscore-nonzero"


def test_the_profile_beside_it_has_the_last_word(tmp_path):
    folder = write_bundle(tmp_path / "bundle_v0.5")
    assert profile_path(folder) == tmp_path / "bundle_v0.5.profile.json"
    first = load_checkpoint(folder, device="cpu").profile
    write_profile(profile_path(folder), first)
    assert load_checkpoint(folder, device="cpu").profile.arguments["norm"] == "batch"

    profile_path(folder).write_text(
        json.dumps({"sequences": ["T2", "PD"], "threshold": 0.2, "blending": "gaussian"})
    )
    inspection = inspect_checkpoint(folder)

    profile = inspection.profile
    assert inspection.profile_file == profile_path(folder)
    assert (profile.sequences, profile.threshold) == (("T2", "PD"), 0.2)
    assert (profile.blending, profile.overlap) == ("gaussian", 0.5)

    profile_path(folder).write_text(json.dumps({"architecture": "DynUNet"}))
    assert "states the architecture DynUNet" in refusal(folder)


def test_multi_label_outputs(tmp_path):
    post = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.4},
        {"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: x[[0]]"},
    ]
    content = config(postprocessing={"_target_": "Compose", "transforms": post})

    profile = load_checkpoint(write_bundle(tmp_path / "b", content), device="cpu").profile

    assert (profile.activation, profile.threshold, profile.explained_class) == ("sigmoid", 0.4, 0)
    said = " ".join(profile.guessed)
    assert "left out (Lambda)" in said
    assert "Output 0 of 2" in said


def test_sequences_put_together(tmp_path):
    content = config(
        transforms=(
            {**NORMALISED, "keys": ["flair", "t1"], "channel_wise": False},
            {"_target_": "ConcatItemsd", "keys": ["flair", "t1"], "name": "image"},
        )
    )
    folder = write_bundle(tmp_path / "b", content, metadata=None)

    profile = load_checkpoint(folder, device="cpu").profile

    assert profile.sequences == ("flair", "t1")
    assert profile.normalisation == "zscore-nonzero"


def test_the_whole_volume_is_said(tmp_path):
    content = config(inferer={"_target_": "SimpleInferer"})
    profile = load_checkpoint(write_bundle(tmp_path / "b", content), device="cpu").profile

    assert any("forward whole-volume" in text for text in profile.guessed)


@pytest.mark.parametrize(
    ("network", "spent"),
    [
        (SwinUNETR(2, 2, feature_size=12, depths=(1, 1, 1, 1)), {"img_size": 96}),
        (SegResNet(3, 8, 2, 2, blocks_down=(1, 1), blocks_up=(1,)), {"norm_name": "group"}),
    ],
)
def test_arguments_of_earlier_versions(network, spent, tmp_path):
    """As the bundles of the model zoo still have them."""
    arguments = {
        "SwinUNETR": {"feature_size": 12, "depths": [1, 1, 1, 1]},
        "SegResNet": {"init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1]},
    }[type(network).__name__]
    content = config(
        {
            "_target_": type(network).__name__,
            "spatial_dims": 3,
            "in_channels": 2,
            "out_channels": 2,
            **arguments,
            **spent,
        },
        inferer={"_target_": "SimpleInferer"},
    )
    folder = write_bundle(tmp_path / "b", content, weights=network.state_dict())

    profile = load_checkpoint(folder, device="cpu").profile

    assert profile.architecture == type(network).__name__
    assert not spent.keys() & profile.arguments.keys()


def with_network(**changes):
    return config({**NETWORK, **changes})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (with_network(in_channels="$1 + 1"), r"$1 + 1 (configs/inference.json, line 14)"),
        (with_network(_target_="os.system"), "os.system (configs/inference.json, line 12)"),
        (with_network(_target_="scripts.net.Net"), "scripts.net.Net (configs/inf"),
        (with_network(_target_="FlexibleUNet"), "FlexibleUNet (configs/inf"),
        (config(network="$build()"), "$build() (configs/inf"),
        (config(preprocessing="$@pre + @more"), "$@pre + @more (configs/inf"),
        (config(transforms=({**RANGE, "a_min": "@low"},), low="$open('x')"), "$open('x') (configs"),
        (config(inferer="$make()"), "$make() (configs/inf"),
    ],
)
def test_what_would_run_is_refused(content, said, tmp_path):
    folder = write_bundle(tmp_path / "b", content)

    sentence = refusal(folder, UntrustedError)

    assert said in sentence
    assert sentence.endswith("if you know where it comes from.")
    assert sentence.startswith("b cannot be loaded unless it is trusted: it would run ")


def test_nothing_runs_unless_it_is_trusted(tmp_path):
    """The canary is wherever MONAI's own parser would run it."""
    canary = tmp_path / "canary"
    run = f"$open({str(canary)!r}, 'w').write('1')"
    content = config(
        imports=[run],
        run=[run],
        bundle_root=run,
        datalist=run,
        device=run,
        transforms=({**NORMALISED, "_desc_": run, "dtype": run},),
    )
    folder = write_bundle(tmp_path / "b", content)

    load_checkpoint(folder, device="cpu")
    assert not canary.exists()

    with_code = write_bundle(tmp_path / "c", with_network(out_channels=run))
    refusal(with_code, UntrustedError)
    assert not canary.exists()


def test_what_is_trusted_runs(tmp_path):
    content = with_network(out_channels="$len(['background', 'lesion'])")
    folder = write_bundle(tmp_path / "b", content)
    assert load_checkpoint(folder, device="cpu", trust=True).profile.classes[1] == "MS lesion"

    own = write_bundle(tmp_path / "own", with_network(_target_="scripts.net.Net"))
    (own / "scripts").mkdir()
    (own / "scripts/__init__.py").write_text("")
    (own / "scripts/net.py").write_text(
        "from monai.networks.nets import UNet\nclass Net(UNet): pass\n"
    )

    model = load_checkpoint(own, device="cpu", trust=True)

    assert model.profile.architecture == "Net"
    assert (model.profile.divisor, model.profile.classes[1]) == ((2, 2, 2), "MS lesion")
    image = torch.randn(1, 2, 16, 16, 16)
    assert torch.equal(model.network(image), trained_unet()(image))


def test_it_is_left_out_where_a_person_says_so(tmp_path):
    crop = {"_target_": "CropForegroundd", "keys": "image"}
    folder = write_bundle(tmp_path / "b", config(transforms=(crop,)))
    profile_path(folder).write_text('{"normalisation": "zscore"}')

    profile = load_checkpoint(folder, device="cpu").profile

    assert profile.normalisation == "zscore"
    assert any("CropForeground is left out" in text for text in profile.guessed)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "inference.json cannot be read"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "holds no table of named parts"),
        ("{}", "describes no network_def"),
        (json.dumps({"a": " " * 300_000}), "more than 256 kB"),
        (json.dumps({"network_def": {**NETWORK, "in_channels": "@in_channels"}}), "leads nowhere"),
        (json.dumps({"network_def": "@a", "a": "@network_def"}), "leads to itself"),
        (json.dumps(with_network(channels="@network_def")), "more parts"),
        (json.dumps(with_network(channels="%configs/train.json::x")), "macro"),
        (json.dumps(with_network(channels=[4, 8])), "other shapes"),
        (json.dumps(with_network(channels=[4] * 10_000)), "more than a file"),
        (json.dumps(with_network(num_res_units=10**9)), "at most"),
        (json.dumps(with_network(spatial_dims=2)), "3-d networks only"),
        (json.dumps(with_network(nonsense=1)), "has the argument 'nonsense'"),
        (json.dumps(config(inferer={"_target_": "SliceInferer", "roi_size": [8, 8]})), "SliceInf"),
        (json.dumps(config(inferer={"_target_": "SlidingWindowInferer"})), "roi_size is None"),
    ],
)
def test_broken_configurations(content, said, tmp_path):
    sentence = refusal(write_bundle(tmp_path / "b", content))

    assert said in sentence
    assert sentence.startswith("b cannot be loaded: ")
    assert len(sentence) < 600


def test_references_that_name_one_another_exponentially(tmp_path):
    values = {f"v{i}": [f"@v{i + 1}"] * 10 for i in range(30)} | {"v30": 1}
    content = with_network(channels="@v0") | values

    assert "more parts" in refusal(write_bundle(tmp_path / "b", content))


@pytest.mark.parametrize("missing", ["models/model.pt", "configs/metadata.json"])
def test_missing_files(missing, tmp_path):
    folder = write_bundle(tmp_path / "b")
    (folder / missing).unlink()

    if missing.endswith(".pt"):
        assert "models/model.pt is missing" in refusal(folder)
    else:
        assert load_checkpoint(folder, device="cpu").profile.classes == ("background", "lesion")


def test_weights_that_hold_code(tmp_path):
    canary = tmp_path / "canary"

    class Runs:
        def __reduce__(self):
            return open, (str(canary), "w")

    sentence = refusal(write_bundle(tmp_path / "b", weights={"a": Runs()}))

    assert not canary.exists()
    assert "holds Python objects" in sentence


@pytest.mark.slow
def test_archives_that_lead_out_or_are_bombs(tmp_path):
    folder = write_bundle(tmp_path / "b")
    bomb = tmp_path / "bomb.zip"
    zipped(folder, bomb)
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("docs/zeros", bytes(200 << 20))
    assert "claim to unpack to" in refusal(bomb)

    out = tmp_path / "out.zip"
    zipped(folder, out)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("../../out", b"1")
    assert "leads out of it" in refusal(out)
    assert not (tmp_path.parent / "out").exists()

    cut = tmp_path / "cut.zip"
    cut.write_bytes(zipped(folder, tmp_path / "whole.zip").read_bytes()[:-3000])
    assert "damaged" in refusal(cut)


def test_a_folder_that_is_none(tmp_path):
    sentence = refusal(tmp_path)

    assert "is a folder" in sentence


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_it_segments_and_explains(norm, tmp_path, caplog):
    torch.manual_seed(0)
    network = {**NETWORK, "norm": norm}
    arguments = {key: value for key, value in network.items() if key != "_target_"}
    weights = trained_unet() if norm == "batch" else UNet(**arguments)
    content = config(network, transforms=(RANGE,))
    folder = write_bundle(tmp_path / "b", content, weights=weights.state_dict())
    model, case = load_checkpoint(folder, device="cpu"), random_case((20, 16, 16))
    mask = np.zeros(case.shape, dtype=bool)
    mask[10, 8, 7:9] = True

    check_model(model, case, mask, caplog, engine="windowed" if norm == "batch" else "loop")
