"""docs/files.md says how each kind of checkpoint is made: run as it is written, and loaded."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from monai.networks.nets import UNet

from napari_ies.checkpoints import load_checkpoint, profile_path

PAGE = Path(__file__).parents[1] / "docs" / "files.md"
SECTION = PAGE.read_text(encoding="utf-8").partition("## Which checkpoints work")[2]
BLOCKS = re.findall("```python\n(.*?)```", SECTION.partition("\n## ")[0], re.DOTALL)
FORMATS = {
    "weights.pth": "state dict",
    "described.safetensors": "state dict",
    "lesions": "MONAI bundle",
    "exported.pt2": "torch.export",
    "scripted.ts": "TorchScript",
}


def test_every_block_is_known_and_has_a_profile_of_its_own():
    assert len(BLOCKS) == len(FORMATS)
    assert len({profile_path(Path(name)) for name in FORMATS}) == len(FORMATS)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_what_the_page_makes_is_loaded(name, tmp_path, monkeypatch):
    (block,) = (one for one in BLOCKS if f'"{name}"' in one)
    names = {"torch": torch, "json": json, "Path": Path}
    if "safetensors" in block:
        if find_spec("safetensors") is None:
            pytest.skip("safetensors is not installed")
        import safetensors.torch

        names["safetensors"] = safetensors
    torch.manual_seed(0)
    network = UNet(3, 2, 2, (8, 16, 32), (2, 2), norm="batch").eval()
    names |= {"network": network, "image": torch.zeros(1, 2, 64, 64, 64)}
    monkeypatch.chdir(tmp_path)

    exec(block, names)  # noqa: S102 - of the project's own page
    model = load_checkpoint(tmp_path / name, device="cpu", trust=True)

    assert model.format == FORMATS[name]
    said = " ".join(model.profile.guessed)
    assert ('strides [2, 2]; adn_ordering "NDA"' in said) == (name == "described.safetensors")
    assert (len(model.profile.sequences), len(model.profile.classes)) == (2, 2)
    image = torch.randn(1, 2, 64, 64, 64)
    assert torch.allclose(model.network(image), network(image), atol=1e-6)
