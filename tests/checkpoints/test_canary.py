"""Wherever a pickle that runs code lies, it does not run, and the answer is one sentence."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from napari_ies.checkpoints import load_checkpoint
from napari_ies.errors import CheckpointError


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def zipped(trap, path):
    torch.save({"network_weights": {"a": torch.ones(2)}, "extra": trap}, path)


def old(trap, path):
    torch.save({"a": torch.ones(2), "extra": trap}, path, _use_new_zipfile_serialization=False)


def bare(trap, path):
    path.write_bytes(pickle.dumps(trap))


def first_protocol(trap, path):
    path.write_bytes(pickle.dumps(trap, protocol=0))


def torchscript(trap, path):
    """An archive that looks like a program, whose constants are the trap."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/constants.pkl", pickle.dumps(trap))
        archive.writestr("net/data.pkl", pickle.dumps(trap))
        archive.writestr("net/code/__torch__.py", "")
        archive.writestr("net/version", "3")


def exported(trap, path):
    """An archive that looks like one of torch.export, whose samples and weights are the trap."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/archive_format", "pt2")
        archive.writestr("net/archive_version", "0")
        archive.writestr("net/byteorder", "little")
        archive.writestr("net/models/model.json", "{}")
        archive.writestr("net/data/sample_inputs/model.pt", pickle.dumps(trap))
        archive.writestr("net/data/weights/model.pt", pickle.dumps(trap))


def safetensors(trap, path):
    listed = json.dumps({"__metadata__": {"a": "b"}}).encode()
    path.write_bytes(len(listed).to_bytes(8, "little") + listed + pickle.dumps(trap))


FILES = [zipped, old, bare, first_protocol, torchscript, exported, safetensors]


def alone(folder, name="network.pth"):
    return folder / name, folder / name


def in_a_bundle(folder):
    (folder / "configs").mkdir()
    (folder / "models").mkdir()
    network = {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2}
    network |= {"channels": [4, 8], "strides": [2]}
    (folder / "configs" / "inference.json").write_text(json.dumps({"network_def": network}))
    (folder / "configs" / "metadata.json").write_text("{}")
    return folder / "models" / "model.pt", folder


def in_a_fold(folder):
    (folder / "fold_0").mkdir()
    plans = {"dataset_name": "D", "plans_name": "p", "configurations": {"3d_fullres": {}}}
    (folder / "plans.json").write_text(json.dumps(plans | {"image_reader_writer": "SimpleITKIO"}))
    labels = {"labels": {"background": 0, "lesion": 1}, "channel_names": {"0": "FLAIR"}}
    (folder / "dataset.json").write_text(json.dumps(labels))
    return folder / "fold_0" / "checkpoint_final.pth", folder


@pytest.mark.parametrize("place", [alone, in_a_bundle, in_a_fold])
@pytest.mark.parametrize("file", FILES)
def test_a_pickle_that_runs_code_does_not(file, place, tmp_path):
    sprung = tmp_path / "sprung"
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    path, chosen = place(folder)
    file(Canary(sprung), path)

    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(chosen, device="cpu")

    assert not sprung.exists()
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    # The canary can sing.
    pickle.loads(pickle.dumps(Canary(sprung)))  # noqa: S301
    assert sprung.exists()


def test_nor_does_one_in_a_bundle_that_is_zipped(tmp_path):
    sprung, folder = tmp_path / "sprung", tmp_path / "bundle"
    folder.mkdir()
    path, _ = in_a_bundle(folder)
    zipped(Canary(sprung), path)
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        for one in folder.rglob("*.*"):
            archive.write(one, f"bundle/{one.relative_to(folder)}")

    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "bundle.zip", device="cpu")

    assert not sprung.exists()
