"""Networks saved as training scripts save them."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small only wait for each other's threads."""
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(former)


def weights_of(network: nn.Module, seed: int = 0) -> OrderedDict[str, torch.Tensor]:
    """Draw weights that leave no layer at its initial value and return the state dict."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0, generator=generator)
            elif tensor.is_floating_point():
                tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.05)
    return OrderedDict(network.eval().state_dict())


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Save a network's weights, by default as a bare state dict, and return the file."""

    def save(network: nn.Module, name: str = "network.pth", arrange=lambda state: state) -> Path:
        path = tmp_path / name
        torch.save(arrange(weights_of(network)), path)
        return path

    return save


@pytest.fixture(scope="session")
def real_checkpoint() -> Path:
    root = Path(__file__).parents[2]
    path = root.parent / "shared" / "checkpoints" / "unet_flair_t1_epoch_31.pth"
    if not path.exists():
        pytest.skip("the real checkpoint does not lie beside the project")
    return path
