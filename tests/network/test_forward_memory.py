"""What a pass takes at the least is known before it is begun."""

import pytest
import torch
from cases import random_case
from networks import small_model
from torch import nn

from napari_ies import free_memory, segment
from napari_ies.errors import SegmentationError
from napari_ies.network.forward_memory import layer_bytes

SHAPE = (12, 10, 14)


def plain_model(channels):
    """Two convolutions with so many channels between them."""
    model = small_model()
    layers = nn.Sequential(
        nn.Conv3d(2, channels, 3, padding=1), nn.Conv3d(channels, 2, 3, padding=1)
    )
    return type(model)(network=layers, profile=model.profile, device=torch.device("cpu"))


def test_the_largest_layer_is_that_of_most_channels():
    """Two convolutions, 2 to 5 and 5 to 2 channels: at once 7 numbers of 4 bytes a voxel."""
    assert layer_bytes(plain_model(5)) == 7 * 4


def test_a_volume_without_memory_is_refused_before_the_network_runs(monkeypatch):
    model, case = plain_model(16), random_case(SHAPE)
    needed = layer_bytes(model) * 12 * 12 * 16 + 2 * 4 * 2 * 12 * 10 * 14
    ran = []
    model.network.register_forward_hook(lambda *_: ran.append(1))
    monkeypatch.setattr(free_memory, "free_memory", lambda: int(needed) - 1)
    with pytest.raises(SegmentationError) as raised:
        segment(model, case, forward="whole-volume")
    assert str(raised.value) == (
        "The network on a volume of 12 × 10 × 14 voxels needs 0.0 GB of memory, of which 0.0 GB "
        "are free; close other programs, or choose the forward sliding-window, or give the "
        "profile a smaller window."
    )
    assert not ran
    monkeypatch.setattr(free_memory, "free_memory", lambda: int(needed) + 1)
    assert segment(model, case, forward="whole-volume").labels.shape == SHAPE
    # Windows take less at once.
    monkeypatch.setattr(free_memory, "free_memory", lambda: int(needed) - 1)
    assert segment(model, case).labels.shape == SHAPE
