"""Whatever becomes of a checkpoint of any kind: one sentence, within a second, nothing left."""

from __future__ import annotations

import json
import shutil
import struct
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import pytest
import torch
from bundles import trained_unet, write_bundle, zipped

from napari_ies.checkpoints import load_checkpoint, profile_path
from napari_ies.errors import CheckpointError

SECONDS = 1.0
"""Of the processor, for each refusal."""
IMAGE = torch.zeros(1, 2, 16, 16, 16)
CLAIM = 20 << 30


def make_weights(place, change=lambda state: state, **options):
    path = place / "network.pth"
    torch.save(change(trained_unet().state_dict()), path, **options)
    return path, path


def make_old_weights(place, change=lambda state: state):
    return make_weights(place, change, _use_new_zipfile_serialization=False)


def make_safetensors(place):
    from safetensors import torch as safetensors_torch

    path = place / "network.safetensors"
    path.write_bytes(safetensors_torch.save(trained_unet().state_dict()))
    return path, path


def make_bundle(place, change=lambda state: state):
    folder = write_bundle(place / "lesions", weights=change(trained_unet().state_dict()))
    return folder, folder / "models" / "model.pt"


def make_configuration(place):
    folder, _ = make_bundle(place)
    return folder, folder / "configs" / "inference.json"


def make_packed_bundle(place):
    folder, _ = make_bundle(place)
    path = zipped(folder, place / "lesions.zip")
    shutil.rmtree(folder)
    return path, path


def make_fold(place, change=lambda state: state):
    from nnunet_folders import make_folder

    folder = make_folder(place / "results", folds=("0", "1"))
    file = folder / "fold_1" / "checkpoint_final.pth"
    content = torch.load(file, weights_only=False)
    content["network_weights"] = change(content["network_weights"])
    torch.save(content, file)
    return folder, file


def make_plans(place):
    folder, _ = make_fold(place)
    return folder, folder / "plans.json"


def make_script(place):
    path = place / "network.ts"
    torch.jit.trace(trained_unet(), IMAGE).save(str(path))
    profile_path(path).write_text('{"window": 16}')
    return path, path


def make_export(place):
    path = place / "network.pt2"
    torch.export.save(torch.export.export(trained_unet(), (IMAGE,)), path)
    return path, path


def make_ensemble(place):
    make_weights(place)
    path = place / "both.json"
    torch.save(trained_unet(1).state_dict(), place / "other.pth")
    path.write_text('{"ensemble": ["network.pth", "other.pth"]}')
    return path, place / "other.pth"


def make_list(place):
    path, _ = make_ensemble(place)
    return path, path


KINDS = {
    "weights": make_weights,
    "old weights": make_old_weights,
    "safetensors": make_safetensors,
    "bundle": make_bundle,
    "bundle's configuration": make_configuration,
    "packed bundle": make_packed_bundle,
    "nnU-Net fold": make_fold,
    "nnU-Net plans": make_plans,
    "TorchScript": make_script,
    "torch.export": make_export,
    "ensemble": make_ensemble,
    "list of an ensemble": make_list,
}
"""Each makes a checkpoint and returns it, and the file of it that is damaged."""
NO_CHECKSUMS = ("old weights", "safetensors")
TEXTS = ("bundle's configuration", "nnU-Net plans", "list of an ensemble")


def flipped(content, share):
    at = int(share * (len(content) - 1))
    return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]


def claiming(content):
    """Have an archive's directory, or a list of tensors, claim 20 GB."""
    if content.startswith(b"PK"):
        at = content.index(b"PK\1\2") + 20
        most = struct.pack("<2L", 0xFFFFFFFE, 0xFFFFFFFE)  # as much as an entry can
        content = content[:at] + most + content[at + 8 :]
        end = content.rindex(b"PK\5\6") + 12
        return content[:end] + struct.pack("<L", 0xFFFFFFF0) + content[end + 4 :]
    if content.startswith(b"\x80"):
        return content.replace(b"K\x02K\x02", b"J\0\0\0\x7fK\x02", 1)[: len(content)]
    return struct.pack("<Q", CLAIM) + content[8:]


DAMAGES = {
    "nothing in it": lambda content: b"",
    "half of it": lambda content: content[: len(content) // 2],
    "its first bytes": lambda content: content[:60],
    "all but its last byte": lambda content: content[:-1],
    "other bytes": lambda content: bytes(range(1, 256)) * (len(content) // 255 + 1),
    "zeros": lambda content: bytes(len(content)),
    "20 GB claimed": claiming,
    **{
        f"a byte flipped at {share}": lambda content, share=share: flipped(content, share)
        for share in (0, 0.01, 0.3, 0.5, 0.7, 0.99, 1)
    },
}


def whats_open():
    files = Path("/proc/self/fd")
    return len([*files.iterdir()] if files.is_dir() else ()), threading.active_count()


def same(found, expected):
    """Whether what was loaded is what it was, as where a byte means nothing."""
    known = expected is not None and found.keys() == expected.keys()
    return known and all(torch.equal(one, expected[key]) for key, one in found.items())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make a checkpoint of a kind once, and copies of it."""
    places = {}

    def copied(kind, place):
        if "nnU-Net" in kind:
            pytest.importorskip("nnunetv2", reason="needs the extra nnunet")
        if kind == "safetensors":
            pytest.importorskip("safetensors", reason="writes such files")
        if kind not in places:
            top = tmp_path_factory.mktemp("made")
            places[kind] = top, *KINDS[kind](top)
        top, path, file = places[kind]
        shutil.copytree(top, place, dirs_exist_ok=True)
        return place / path.relative_to(top), place / file.relative_to(top)

    return copied


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Load what has to be refused, or may be loaded as it was, and see what that costs."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def load(path, damage, as_it_was=None, may_load=False):
        there, before = sorted(tmp_path.rglob("*")), whats_open()
        began = time.process_time()
        try:
            found = load_checkpoint(path, device="cpu", trust=True).network.state_dict()
        except CheckpointError as error:
            said = str(error)
            assert said.endswith("."), (damage, said)
            assert "\n" not in said, (damage, said)
            assert len(said) < 1200, (damage, said)
            assert time.process_time() - began < SECONDS, damage
        else:
            assert may_load or same(found, as_it_was), damage
        assert sorted(tmp_path.rglob("*")) == there, damage
        assert whats_open() == before, damage

    return load


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_bytes(kind, tmp_path, made, refused):
    """Without checksums, changed numbers and words may be read; all else as it was, or refused."""
    path, file = made(kind, tmp_path)
    # It is one, and what it needs is imported.
    as_it_was = load_checkpoint(path, device="cpu", trust=True).network.state_dict()
    whole = file.read_bytes()
    for name, damage in DAMAGES.items():
        content = damage(whole)
        if content == whole:
            continue
        file.write_bytes(content)
        one_byte = "flipped" in name or (name == "all but its last byte" and kind in TEXTS)
        refused(path, name, as_it_was, may_load=one_byte and kind in (*NO_CHECKSUMS, *TEXTS))
    file.unlink()
    refused(path, "it is gone", may_load=kind == "nnU-Net fold")  # the other fold alone
    file.mkdir()
    refused(path, "it is a folder", may_load=kind == "nnU-Net fold")


def nan(state):
    return {**state, next(iter(state)): torch.full_like(next(iter(state.values())), torch.nan)}


def of_another_type(state):
    return {key: tensor.to(torch.complex64) for key, tensor in state.items()}


def of_another_shape(state):
    return {key: tensor.flatten() for key, tensor in state.items()}


def renamed(state):
    return {f"layer {number}": tensor for number, tensor in enumerate(state.values())}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["weights", "old weights", "bundle", "nnU-Net fold"])
def test_numbers(kind, tmp_path, made, refused):
    made(kind, tmp_path)
    for change in (nan, of_another_type, of_another_shape, renamed, lambda _: {}):
        place = tmp_path / str(change)
        place.mkdir()
        refused(KINDS[kind](place, change)[0], change)


@pytest.mark.parametrize("kind", ["TorchScript", "torch.export"])
def test_records_of_a_trusted_program_with_right_checksums(kind, tmp_path, made, refused):
    """What PyTorch reads then may be another network, and else is refused in a sentence."""
    path, file = made(kind, tmp_path)
    with zipfile.ZipFile(file) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    # The largest of each ending: code and lists. Of numbers that fall short PyTorch's readers read
    # on behind their end, which ends the process: what is trusted can do that too.
    by_size = sorted(records, key=lambda name: len(records[name]))
    endings = {name.rpartition(".")[2]: name for name in by_size}
    for name in (name for ending, name in endings.items() if ending in ("py", "pkl", "json")):
        for how in ("half of it", "nothing in it"):
            with zipfile.ZipFile(file, "w") as archive:
                for one, content in records.items():
                    archive.writestr(one, DAMAGES[how](content) if one == name else content)
            refused(path, f"{how} of {name}", may_load=True)


def test_plans_of_the_future_and_folds_that_are_gone(tmp_path, made, refused):
    folder, file = made("nnU-Net plans", tmp_path)
    whole = json.loads(file.read_text())
    changed = [
        {"version": 3},
        {**whole, "configurations": {"3d_fullres": {"v3": True}}},
        {**whole, "configurations": {"3d_ultrares": {}}},
        {**whole, "image_reader_writer": None, "label_manager": "v3"},
        {**whole, "transpose_forward": [0, 1, 7]},
        {**whole, "foreground_intensity_properties_per_channel": "none"},
    ]
    for content in changed:
        file.write_text(json.dumps(content))
        refused(folder, content, may_load=content is changed[-1])
    file.write_text(json.dumps(whole))
    for fold in folder.glob("fold_*"):
        shutil.rmtree(fold)
    refused(folder, "no folds")
