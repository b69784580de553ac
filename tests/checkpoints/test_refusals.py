"""What is not loaded is refused in one sentence, and never executed."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from bundles import write_bundle
from monai.networks.nets import BasicUNetPlusPlus, DynUNet, UNet
from torch import nn

from napari_ies.checkpoints import load_checkpoint
from napari_ies.errors import CheckpointError
from napari_ies.network.model import SegmentationModel, check_channels
from napari_ies.network.profile import Profile
from napari_ies.regular_files import file_sha256


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def small_unet(**arguments):
    return UNet(3, 2, 2, (4, 8), (2,), norm="batch", **arguments)


def refusal(path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, device="cpu")
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert not sentence.endswith("..")
    assert "\n" not in sentence
    assert "!" not in sentence
    return sentence


def test_no_such_file(tmp_path):
    assert "There is no file" in refusal(tmp_path / "none.pth")


def test_folder(tmp_path):
    assert "is a folder" in refusal(tmp_path)


def test_what_describes_a_network_names_the_folder_to_choose(tmp_path):
    """And a file of weights is one whatever its name ends in."""
    bundle = write_bundle(tmp_path / "lesions")
    for name in ("inference.json", "metadata.json"):
        said = refusal(bundle / "configs" / name)
        assert "describes the network of the MONAI bundle folder lesions: choose that" in said
        assert said.endswith(f"({bundle}).")
    said = refusal(bundle / "models" / "model.pt")
    assert "holds only the weights of the MONAI bundle lesions, whose configs say" in said
    assert said.endswith(f"choose that folder ({bundle}).")
    results = tmp_path / "results"
    (results / "fold_0").mkdir(parents=True)
    (results / "fold_0" / "checkpoint_final.pth").write_bytes(b"")
    for name in ("plans.json", "dataset.json"):
        (results / name).write_text("{}")
        (tmp_path / name).write_text("{}")
    for name in ("plans.json", "dataset.json"):
        assert "of the nnU-Net v2 folder results: choose that" in refusal(results / name)
        assert "which holds fold_0/checkpoint_final.pth" in refusal(tmp_path / name)
    (tmp_path / "other.yaml").write_text("a: 1")
    assert "is a text and holds no weights of a network" in refusal(tmp_path / "other.yaml")
    weights = tmp_path / "weights.json"
    torch.save(small_unet().state_dict(), weights)
    assert load_checkpoint(weights, device="cpu").format == "state dict"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello, I am a text\n", "is not a PyTorch checkpoint"),
        (b"\x1f\x8b\x08\x00 gzip", "is not a PyTorch checkpoint"),
        (b"\x89HDF\r\n\x1a\n", "is not a PyTorch checkpoint"),
        (b"\x80\x02garbage", "network.pth"),
        (b"PK\x03\x04 and then nothing", "cut short"),
        (pickle.dumps(12), "network.pth"),
    ],
)
def test_other_contents(content, words, tmp_path):
    path = tmp_path / "network.pth"
    path.write_bytes(content)

    assert words in refusal(path)


def test_zip_archive_of_other_files(tmp_path):
    path = tmp_path / "network.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images/a.txt", "b")

    assert "is not a PyTorch checkpoint" in refusal(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
def test_truncated_file(share, zipped, tmp_path):
    whole = tmp_path / "whole.pth"
    torch.save(small_unet().state_dict(), whole, _use_new_zipfile_serialization=zipped)
    path = tmp_path / "cut.pth"
    content = whole.read_bytes()
    path.write_bytes(content[: int(share * len(content))])

    sentence = refusal(path)
    assert "cut short" in sentence or "not a PyTorch checkpoint" in sentence


def test_damaged_bytes_in_the_middle(tmp_path):
    path = tmp_path / "damaged.pth"
    torch.save(small_unet().state_dict(), path)
    content = bytearray(path.read_bytes())
    content[100:300] = bytes(200)
    path.write_bytes(content)

    refusal(path)


@pytest.mark.parametrize("form", ["torch", "old torch", "pickle", "pickle 0"])
def test_code_in_a_file_is_not_run(form, tmp_path):
    trap = tmp_path / "sprung"
    content = {"state_dict": small_unet().state_dict(), "extra": Trap(trap)}
    path = tmp_path / "code.pth"
    if form == "pickle":
        path.write_bytes(pickle.dumps(content["extra"]))
    elif form == "pickle 0":
        path.write_bytes(pickle.dumps(content["extra"], protocol=0))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch")

    sentence = refusal(path)

    assert not trap.exists()
    if form != "pickle 0":
        assert "Python objects" in sentence
        assert "re-save" in sentence
    pickle.loads(pickle.dumps(Trap(trap)))  # noqa: S301
    assert trap.exists()


def test_whole_pickled_network(tmp_path):
    path = tmp_path / "module.pth"
    torch.save(small_unet(), path)

    sentence = refusal(path)
    assert "monai.networks.nets.unet.UNet" in sentence
    assert "torch.save(network.state_dict()" in sentence


def test_torchscript(tmp_path):
    path = tmp_path / "script.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))

    assert "TorchScript" in refusal(path)


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 3, "model": {"name": "UNet"}}])
def test_no_tensors(content, tmp_path):
    path = tmp_path / "none.pth"
    torch.save(content, path)

    assert "holds no tensors" in refusal(path)


def test_another_architecture_with_similar_keys(saved):
    parts = {"encoder": nn.Conv3d(2, 4, 3), "up_layers": nn.Conv3d(4, 2, 3)}
    sentence = refusal(saved(nn.ModuleDict(parts)))

    assert "none of UNet, DynUNet, SwinUNETR, UNETR, BasicUNet" in sentence


def test_another_architecture(saved):
    sentence = refusal(saved(BasicUNetPlusPlus(3, 2, 2, features=(2, 2, 2, 2, 2, 2))))

    assert "UNet, DynUNet, SwinUNETR, UNETR, BasicUNet" in sentence
    assert "conv_0_0.conv_0.conv.weight" in sentence


def test_nnunet_itself(tmp_path):
    path = tmp_path / "checkpoint_final.pth"
    weights = {"encoder.stages.0.0.convs.0.conv.weight": torch.ones(2, 2, 3, 3, 3)}
    torch.save({"network_weights": weights}, path)

    assert "nnU-Net itself" in refusal(path)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (UNet(2, 2, 2, (4, 8), (2,)), "2-d UNet"),
        (DynUNet(2, 2, 2, [3] * 3, [1, 2, 2], [2, 2], filters=[2, 2, 2]), "2-d DynUNet"),
    ],
    ids=["UNet", "DynUNet"],
)
def test_two_dimensional_network(network, words, saved):
    assert words in refusal(saved(network))


def without(*keys):
    return lambda state: {k: v for k, v in state.items() if k not in keys}


def test_a_missing_tensor_is_named(saved):
    path = saved(small_unet(), arrange=without("model.0.adn.N.bias"))

    sentence = refusal(path)
    assert "1 of its tensors are missing (model.0.adn.N.bias)" in sentence
    assert "UNet(" in sentence


def test_a_missing_tensor_that_recognition_needs_is_named(saved):
    assert "model.2.conv.weight is missing" in refusal(
        saved(small_unet(), arrange=without("model.2.conv.weight"))
    )


def test_surplus_tensors_are_counted_and_the_first_named(saved):
    extra = {f"model.head.{i}.weight": torch.ones(1) for i in range(5)}

    sentence = refusal(saved(small_unet(), arrange=lambda state: {**state, **extra}))

    assert "5 are surplus (model.head.0.weight, model.head.1.weight, " in sentence
    assert "model.head.4" not in sentence


def test_another_shape_is_told(saved):
    def widen(state):
        return {**state, "model.1.submodule.adn.N.weight": torch.ones(9)}

    assert "model.1.submodule.adn.N.weight has 9 in the file, 8 in the network" in refusal(
        saved(small_unet(), arrange=widen)
    )


def test_weights_that_are_not_finite(saved):
    def spoil(state):
        return {**state, "model.2.conv.bias": torch.tensor([0.0, float("nan")])}

    assert "(model.2.conv.bias) hold NaN" in refusal(saved(small_unet(), arrange=spoil))


def test_sha256_is_that_of_the_file(saved):
    path = saved(small_unet())

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert file_sha256(path) == load_checkpoint(path, device="cpu").sha256 == digest


def test_case_with_another_number_of_sequences():
    profile = Profile("net", "UNet", {}, sequences=("FLAIR", "T1"))
    model = SegmentationModel(torch.nn.Identity(), profile, torch.device("cpu"))

    check_channels(model, ("T2", "PD"))
    with pytest.raises(CheckpointError) as caught:
        check_channels(model, ("FLAIR", "T1", "T2"))
    assert str(caught.value) == (
        "The network takes 2 sequences (FLAIR, T1), the case has 3 (FLAIR, T1, T2): give it one "
        "image for each input of the network, in this order."
    )


def test_copies_of_one_tensor_that_contradict_each_other(tmp_path):
    """A DynUNet's blocks are saved a second time, under its skip layers."""
    state = DynUNet(3, 2, 2, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 4, 8]).state_dict()
    state = {key: tensor.clone() for key, tensor in state.items()}
    copy = next(key for key in state if key.startswith("skip_layers.") and "conv1" in key)
    state[copy][0] += 1
    torch.save(state, tmp_path / "x.pth")

    said = refusal(tmp_path / "x.pth")

    assert f"and {copy} are one in the network, and hold different numbers" in said
