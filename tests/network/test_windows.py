import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from networks import small_model

from napari_ies.errors import SegmentationError
from napari_ies.geometry import Box
from napari_ies.network.windows import tiling


class Position(torch.nn.Module):
    """Return what tells one window from another: each voxel's place in its window."""

    def forward(self, window):
        places = torch.stack(torch.meshgrid(*map(torch.arange, window.shape[2:]), indexing="ij"))
        return places[None].float() ** 2 + window.sum(dim=1, keepdim=True)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
@pytest.mark.parametrize("shape", [(8, 8, 8), (9, 20, 31), (5, 8, 17), (3, 4, 5)])
def test_blended_windows_equal_monai(shape, overlap):
    model = small_model(window=(8, 8, 8), overlap=overlap)
    tiles = tiling(model.profile, shape, "sliding-window")
    image = torch.randn(2, *shape)
    blend = torch.zeros(3, *shape)
    for window in tiles.windows:
        part = tiles.visible(window)
        output = Position()(tiles.crop(image, window)[None])[0]
        weight = tiles.importance(window) / tiles.total[part]
        blend[(slice(None), *part)] += output[(slice(None), *part.within(window))] * weight
    expected = sliding_window_inference(
        image[None], (8, 8, 8), 1, Position(), overlap=overlap, mode="gaussian"
    )[0]
    torch.testing.assert_close(blend, expected, rtol=1e-5, atol=1e-4)


def test_whole_volume_is_one_window_padded_at_the_far_end():
    model = small_model("unet-anisotropic")
    (window,) = tiling(model.profile, (11, 9, 8), "whole-volume").windows
    assert window.start == (0, 0, 0)
    assert window.shape == (12, 12, 8)
    image = torch.ones(1, 11, 9, 8)
    crop = tiling(model.profile, (11, 9, 8), "whole-volume").crop(image, window)
    assert np.argwhere(crop[0].numpy()).max(axis=0).tolist() == [10, 8, 7]


def test_a_crop_is_the_same_from_a_part_of_the_volume():
    model = small_model(window=(8, 8, 8))
    tiles = tiling(model.profile, (6, 20, 20), "sliding-window")
    image = torch.randn(2, 6, 20, 20)
    window = tiles.windows[4]
    box = Box((0, 3, 2), (6, 20, 20))
    torch.testing.assert_close(
        tiles.crop(image[(slice(None), *box)], window, box), tiles.crop(image, window)
    )


def test_a_network_of_one_size_takes_no_whole_volume():
    with pytest.raises(SegmentationError, match="32 x 32 x 32 voxels and nothing else"):
        tiling(small_model("unetr").profile, (40, 40, 40), "whole-volume")
