"""Small networks of MONAI, with random weights, as models ready to be used."""

from __future__ import annotations

import torch
from monai.networks.nets import UNETR, DynUNet, SwinUNETR, UNet, VNet, vnet
from torch import nn

from napari_ies.network.model import SegmentationModel
from napari_ies.network.profile import Profile


class SmallVNet(VNet):
    """A VNet of MONAI's own blocks with fewer channels, of which it has one number only."""

    def __init__(self, spatial_dims, in_channels, out_channels, act="elu", bias=False):
        nn.Module.__init__(self)
        self.in_tr = vnet.InputTransition(3, in_channels, 2, act, bias)
        self.down_tr32 = vnet.DownTransition(3, 2, 1, act, bias=bias)
        self.down_tr64 = vnet.DownTransition(3, 4, 1, act, bias=bias)
        self.down_tr128 = vnet.DownTransition(3, 8, 1, act, 0.5, bias=bias)
        self.down_tr256 = vnet.DownTransition(3, 16, 1, act, 0.5, bias=bias)
        self.up_tr256 = vnet.UpTransition(3, 32, 32, 1, act, (0.5, 0.5))
        self.up_tr128 = vnet.UpTransition(3, 32, 16, 1, act, (0.5, 0.5))
        self.up_tr64 = vnet.UpTransition(3, 16, 8, 1, act)
        self.up_tr32 = vnet.UpTransition(3, 8, 4, 1, act)
        self.out_tr = vnet.OutputTransition(3, 4, out_channels, act, bias)


def _unet(**arguments):
    return UNet(spatial_dims=3, in_channels=2, out_channels=2, **arguments)


def build(name):
    """Return a network and its profile's size fields."""
    if name == "unet":
        network = _unet(channels=(4, 6, 8), strides=(2, 2), norm="batch")
        return network, {"divisor": (4, 4, 4), "window": (8, 8, 8)}
    if name == "unet-residual":
        network = _unet(channels=(4, 6, 8), strides=(2, 2), norm="batch", num_res_units=2)
        return network, {"divisor": (4, 4, 4), "window": (8, 8, 8)}
    if name == "unet-anisotropic":
        network = _unet(
            channels=(4, 5, 6), strides=((2, 2, 1), (1, 2, 2)), kernel_size=(3, 3, 1), norm="batch"
        )
        return network, {"divisor": (2, 4, 2), "window": (8, 8, 6)}
    if name == "unet-instance":
        network = _unet(channels=(4, 6, 8), strides=(2, 2), norm="instance")
        return network, {"divisor": (4, 4, 4), "window": (8, 8, 8)}
    if name in ("dynunet", "dynunet-supervised"):
        network = DynUNet(
            spatial_dims=3,
            in_channels=2,
            out_channels=2,
            kernel_size=[3, 3, 3],
            strides=[1, 2, 2],
            upsample_kernel_size=[2, 2],
            filters=[4, 6, 8],
            res_block=True,
            norm_name="instance",
            act_name="leakyrelu",
            deep_supervision=name == "dynunet-supervised",
        )
        return network, {"divisor": (4, 4, 4), "window": (8, 8, 8)}
    if name == "swin":
        network = SwinUNETR(
            in_channels=2, out_channels=2, feature_size=12, depths=(1, 1, 1, 1), window_size=3
        )
        return network, {"divisor": (32, 32, 32), "window": (64, 32, 32)}
    network = UNETR(
        img_size=32,
        in_channels=2,
        out_channels=2,
        feature_size=4,
        hidden_size=24,
        mlp_dim=32,
        num_heads=2,
    )
    return network, {
        "divisor": (16, 16, 16),
        "window": (32, 32, 32),
        "fixed_size": (32, 32, 32),
    }


def small_model(name="unet", seed=0, **profile):
    """Return a model of a family with weights from a seed, statistics of its norms included."""
    torch.manual_seed(seed)
    network, sizes = build(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.normal_(1.0, 0.3)
            module.bias.data.normal_()
    fields = {"sequences": ("FLAIR", "T1"), "smallest_lesion": 1, **sizes, **profile}
    return SegmentationModel(
        network=network,
        profile=Profile(name=name, architecture="UNet", arguments={}, **fields),
        device=torch.device("cpu"),
    )
