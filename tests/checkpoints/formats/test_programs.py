"""TorchScript and torch.export: networks that are programs, run only if they are trusted."""

from __future__ import annotations

import json
import re
import zipfile

import numpy as np
import pytest
import torch
from bundles import trained_unet
from cases import random_case
from monai.networks.nets import UNet
from naive_model import check_model
from torch import nn
from torch.export import Dim

from napari_ies import explain
from napari_ies.checkpoints import checkpoint_sha256, load_checkpoint, profile_path
from napari_ies.errors import CheckpointError, SaliencyError, UntrustedError
from napari_ies.network.members import Members
from napari_ies.network.windows import tiling
from napari_ies.saliency import case_explanations
from napari_ies.saliency.gradcam import NO_LAYERS, candidate_layers, default_layer, layers_offered
from napari_ies.segmentation.segmentation import segment

IMAGE = torch.randn(1, 2, 16, 16, 16, generator=torch.Generator().manual_seed(1))
ANY_SIZE = {2: 2 * Dim("x", min=4), 3: 2 * Dim("y", min=4), 4: 2 * Dim("z", min=4)}


def scripted(network, path):
    torch.jit.script(network).save(str(path))


def traced(network, path):
    torch.jit.trace(network, IMAGE).save(str(path))


def exported(network, path):
    torch.export.save(torch.export.export(network, (IMAGE,), dynamic_shapes=(ANY_SIZE,)), path)


def exported_fixed(network, path):
    torch.export.save(torch.export.export(network, (IMAGE,)), path)


KINDS = {
    "scripted": (scripted, "network.ts", "TorchScript"),
    "traced": (traced, "network.pt", "TorchScript"),
    "exported": (exported, "network.pt2", "torch.export"),
    "exported-fixed": (exported_fixed, "fixed.pt2", "torch.export"),
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """One network with instance norm, saved in every way."""
    folder, network = tmp_path_factory.mktemp("programs"), instance_unet()
    paths = {}
    for kind, (save, name, _) in KINDS.items():
        paths[kind] = folder / kind / name
        paths[kind].parent.mkdir()
        save(network, paths[kind])
        stated = {"window": [16, 16, 16], "overlap": 0.5, "smallest_lesion": 1}
        profile_path(paths[kind]).write_text(json.dumps(stated))
    return paths


def instance_unet():
    torch.manual_seed(0)
    return UNet(3, 2, 2, (4, 6), (2,), num_res_units=1).eval()


def refusal(path, error=CheckpointError, **options):
    with pytest.raises(error) as raised:
        load_checkpoint(path, device="cpu", **options)
    return str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_segments_and_explains(kind, programs, caplog):
    path, program = programs[kind], KINDS[kind][2]
    model, case = load_checkpoint(path, device="cpu", trust=True), random_case((20, 16, 16))
    profile = model.profile
    fixed = kind == "exported-fixed"
    assert (model.format, profile.architecture) == (program, program)
    assert model.sha256 == checkpoint_sha256(path)
    assert (len(profile.sequences), len(profile.classes)) == (2, 2)
    assert profile.fixed_size == ((16, 16, 16) if fixed else None)
    if program == "TorchScript":
        assert profile.divisor == (2, 2, 2)
    mask = np.zeros(case.shape, dtype=bool)
    mask[10, 8, 7:9] = True

    check_model(model, case, mask, caplog, engine="loop", layers=program == "torch.export")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_network_it_was(kind, programs):
    """Bit for bit: logits of a window, and gradients of several rows in one pass."""
    model = load_checkpoint(programs[kind], device="cpu", trust=True)
    network = instance_unet()
    batch = torch.cat([IMAGE, IMAGE.flip(2)])
    # One window at a time was exported; two at once round otherwise.
    several = KINDS[kind][2] == "TorchScript"
    expected = network(batch) if several else torch.cat([network(one[None]) for one in batch])

    for _ in range(3):  # TorchScript optimises what runs repeatedly
        assert torch.equal(model.network(batch), expected)
    case, mask = random_case((16, 16, 16)), np.zeros((16, 16, 16), dtype=bool)
    mask[8, 8, 7:9] = True
    request = {"aggregation": "max", "n_samples": 2}
    found = explain(model, case, mask, jacobian="batched", **request).maps
    expected = explain(
        type(model)(network, model.profile, model.device), case, mask, jacobian="batched", **request
    ).maps
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


def test_torchscript_has_no_layers_to_look_at(programs, monkeypatch):
    model = load_checkpoint(programs["scripted"], device="cpu", trust=True)
    case = random_case((16, 16, 16))
    mask = np.zeros(case.shape, dtype=bool)
    mask[8, 8, 8] = True

    assert candidate_layers(model) == ()
    assert layers_offered(model) == ((), "", NO_LAYERS)
    monkeypatch.setattr(case_explanations, "network_case", None)  # said before anything is done
    for layer in (None, "network", "network.model.0"):
        with pytest.raises(SaliencyError, match="TorchScript network lets nobody look"):
            explain(model, case, mask, method="gradcam++", layer=layer)


@pytest.mark.slow
def test_an_exported_network_has_the_layers_it_had(programs):
    model = load_checkpoint(programs["exported"], device="cpu", trust=True)

    assert "network.model.1.submodule.conv.unit0.conv" in candidate_layers(model)


@pytest.mark.slow
def test_the_default_layer_of_an_exported_network_is_the_one_it_had(tmp_path):
    network = UNet(3, 2, 2, (4, 5, 6), (2, 2), num_res_units=1).eval()
    exported_fixed(network, tmp_path / "network.pt2")
    profile_path(tmp_path / "network.pt2").write_text('{"window": 16}')

    model = load_checkpoint(tmp_path / "network.pt2", device="cpu", trust=True)

    own = default_layer(type(model)(network, model.profile, model.device))
    assert own == "model.1.submodule.2.0.conv"
    assert default_layer(model) == f"network.{own}"


def test_the_window_is_asked_for_where_it_is_fixed(tmp_path):
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv3d(2, 2, 3, padding=1)

        def forward(self, image: torch.Tensor):
            return self.layer(image).reshape(-1, 2, 40, 24, 24)

    path = tmp_path / "fixed.ts"
    scripted(Fixed().eval(), path)

    sentence = refusal(path, trust=True)
    assert "runs on no window that was tried (32 × 32 × 32, " in sentence
    assert "state the window that it takes and the sequences in fixed.profile.json" in sentence

    profile_path(path).write_text('{"window": [40, 24, 24]}')
    profile = load_checkpoint(path, device="cpu", trust=True).profile
    assert (profile.fixed_size, profile.window) == ((40, 24, 24), (40, 24, 24))


def test_strides_of_each_axis(tmp_path):
    network = UNet(3, 1, 3, (4, 5, 6), ((2, 2, 1), (2, 1, 2))).eval()
    path = tmp_path / "network.ts"
    scripted(network, path)

    profile = load_checkpoint(path, device="cpu", trust=True).profile

    assert profile.divisor == (4, 2, 2)
    assert profile.sequences == ("FLAIR",)
    assert profile.classes == ("background", "class 1", "class 2")
    assert len(tiling(profile, (30, 31, 33), "whole-volume").windows) == 1


class NoGradients(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = trained_unet()

    def forward(self, image):
        with torch.no_grad():
            return self.inner(image)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["scripted", "exported"])
def test_where_gradients_do_not_flow(kind, tmp_path):
    save, name, _ = KINDS[kind]
    save(NoGradients().eval(), tmp_path / name)
    profile_path(tmp_path / name).write_text('{"window": 16}')
    model, case = load_checkpoint(tmp_path / name, device="cpu", trust=True), random_case()
    mask = np.zeros(case.shape, dtype=bool)
    mask[8, 8, 8] = True

    said = [text for text in model.profile.guessed if text.startswith("Gradients do not flow")]
    assert len(said) == 1
    assert segment(model, case).probability.max() > 0
    several = type(model)(Members([model.network] * 2), model.profile, model.device)
    for one in (model, several):
        layers, default, why = layers_offered(one)
        assert (layers, default) == ((), "")
        assert why.startswith("Gradients do not flow")
        for method in ("smoothgrad", "gradcam++"):
            with pytest.raises(SaliencyError, match="Gradients do not flow"):
                explain(one, case, mask, method=method)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_not_touched_unless_it_is_trusted(kind, programs, monkeypatch):
    monkeypatch.setattr(torch.jit, "load", None)
    monkeypatch.setattr(torch.export, "load", None)

    sentence = refusal(programs[kind], UntrustedError)

    assert f"is a program ({KINDS[kind][2]})" in sentence
    assert sentence.endswith("give --trust if you know where it comes from.")


class Canary:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def test_what_torch_export_unpickles_runs_code(programs, tmp_path):
    """The reason why such a file has to be trusted; and nothing of it runs before."""
    import pickle

    canary, path = tmp_path / "canary", tmp_path / "hostile.pt2"
    with zipfile.ZipFile(programs["exported-fixed"]) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("sample_inputs/model.pt"):
                content = pickle.dumps(Canary(canary))
            if name.endswith("model_constants_config.json"):
                entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}
                content = json.dumps({"config": {"c": {**entry, "tensor_meta": None}}}).encode()
                top = name.partition("/")[0]
                new.writestr(f"{top}/data/constants/opaque_obj_0", pickle.dumps(Canary(canary)))
            new.writestr(name, content)

    refusal(path, UntrustedError)

    assert not canary.exists()


def middle_of_largest(path):
    """Find a byte of what an archive holds: between its files nothing reads what stands there."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda one: one.file_size)
    header = path.read_bytes()[largest.header_offset :][:30]
    name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    return largest.header_offset + 30 + name + extra + largest.compress_size // 2


@pytest.mark.parametrize("kind", ["scripted", "exported"])
def test_damaged_programs(kind, programs, tmp_path):
    whole = programs[kind].read_bytes()
    path = tmp_path / programs[kind].name
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged or cut short" in refusal(path, trust=True)
    path.write_bytes(whole[:-100])  # the archives in it are whole
    refusal(path, trust=True)
    flipped = bytearray(whole)
    flipped[middle_of_largest(programs[kind])] ^= 255
    path.write_bytes(flipped)
    assert "damaged or cut short" in refusal(path, trust=True)


@pytest.mark.parametrize("kind", ["scripted", "exported"])
@pytest.mark.parametrize("part", [0, 0.5])
def test_records_that_are_too_short_though_their_checksums_are_right(
    kind, part, programs, tmp_path
):
    """PyTorch would take what lies in memory behind them, or end the process."""
    path = tmp_path / programs[kind].name
    with zipfile.ZipFile(programs[kind]) as old, zipfile.ZipFile(path, "w") as new:
        held = [one for one in old.namelist() if re.search(r"/data/(weights/weight_)?\d+$", one)]
        largest = max(held, key=lambda one: old.getinfo(one).file_size)
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[: int(part * len(content))] if name == largest else content)
    said = refusal(path, trust=True)
    # Half of an exported one PyTorch refuses itself.
    own = kind == "exported" and part
    assert ("PyTorch does not read it" if own else "is damaged or cut short") in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "said"),
    [
        (nn.Linear(2, 2), "runs on no window that was tried"),
        (nn.Sequential(nn.Conv3d(2, 2, 3)), "it gives numbers of the shape"),
    ],
)
def test_other_programs(network, said, tmp_path):
    path = tmp_path / "other.pt"
    scripted(network.eval(), path)

    assert said in refusal(path, trust=True)
