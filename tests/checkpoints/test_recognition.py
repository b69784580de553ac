"""A network comes back from its weights alone: the same function, not just the same shapes."""

from __future__ import annotations

import json

import pytest
import torch
from monai.networks.nets import (
    UNETR,
    AttentionUnet,
    BasicUNet,
    DynUNet,
    SegResNet,
    SegResNetDS,
    SegResNetVAE,
    SwinUNETR,
    UNet,
    VNet,
)

from napari_ies.checkpoints import inspect_checkpoint, load_checkpoint
from napari_ies.errors import CheckpointError
from napari_ies.network.profile import questions


def unet(**arguments):
    defaults = {
        "spatial_dims": 3,
        "in_channels": 2,
        "out_channels": 2,
        "channels": (4, 8, 16),
        "strides": (2, 2),
    }
    return UNet(**{**defaults, **arguments})


def dynunet(**arguments):
    defaults = {
        "spatial_dims": 3,
        "in_channels": 2,
        "out_channels": 2,
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [4, 8, 16],
    }
    return DynUNet(**{**defaults, **arguments})


def unetr(**arguments):
    defaults = {
        "img_size": 32,
        "in_channels": 2,
        "out_channels": 2,
        "feature_size": 4,
        "hidden_size": 24,
        "mlp_dim": 40,
    }
    return UNETR(**{**defaults, **arguments})


def swin(**arguments):
    defaults = {"in_channels": 2, "out_channels": 2, "feature_size": 12}
    return SwinUNETR(**{**defaults, **arguments})


NETWORKS = {
    "UNet-batch": lambda: unet(norm="batch"),
    "UNet-instance": lambda: unet(),
    "UNet-instance-affine": lambda: unet(norm=("instance", {"affine": True})),
    "UNet-batch-not-affine": lambda: unet(norm=("batch", {"affine": False})),
    "UNet-two-levels": lambda: unet(channels=(4, 8), strides=(2,)),
    "UNet-five-levels": lambda: unet(channels=(2, 4, 6, 8, 10), strides=(2, 2, 2, 2)),
    "UNet-equal-channels": lambda: unet(channels=(4, 4, 4), norm="batch"),
    "UNet-one-in-three-out": lambda: unet(in_channels=1, out_channels=3),
    "UNet-one-out": lambda: unet(out_channels=1),
    "UNet-kernels": lambda: unet(kernel_size=5, up_kernel_size=3),
    "UNet-flat-kernels": lambda: unet(kernel_size=(3, 3, 1), up_kernel_size=(1, 3, 5)),
    "UNet-relu": lambda: unet(act="RELU", norm="batch"),
    "UNet-no-bias": lambda: unet(bias=False, norm="batch"),
    "UNet-dropout": lambda: unet(dropout=0.2, norm="batch"),
    "UNet-activation-first": lambda: unet(adn_ordering="ADN", norm="batch"),
    "UNet-slope-per-channel": lambda: unet(
        channels=(4, 4), strides=(2,), act=("prelu", {"num_parameters": 4}), out_channels=2
    ),
    "UNet-residual-1": lambda: unet(num_res_units=1, norm="batch"),
    "UNet-residual-2": lambda: unet(num_res_units=2),
    "UNet-residual-3": lambda: unet(num_res_units=3, kernel_size=5, norm="batch"),
    "UNet-residual-stride-1": lambda: unet(num_res_units=2, strides=(1, 2), norm="batch"),
    "UNet-residual-identity": lambda: unet(
        num_res_units=2, channels=(4, 4, 4), strides=(2, 1), norm="batch"
    ),
    "DynUNet-paper": lambda: dynunet(
        dropout=0.1, res_block=True, norm_name="instance", act_name="leakyrelu"
    ),
    "DynUNet-basic": lambda: dynunet(),
    "DynUNet-batch": lambda: dynunet(norm_name="batch", trans_bias=True),
    "DynUNet-anisotropic": lambda: dynunet(
        kernel_size=[(3, 3, 1), (3, 3, 3), 5, 3],
        strides=[1, (2, 2, 1), 2, (1, 2, 2)],
        upsample_kernel_size=[(2, 2, 1), 2, (1, 2, 2)],
        filters=[4, 6, 8, 10],
        res_block=True,
    ),
    "DynUNet-supervised": lambda: dynunet(
        kernel_size=[3] * 4,
        strides=[1, 2, 2, 2],
        upsample_kernel_size=[2] * 3,
        filters=[4, 4, 8, 8],
        deep_supervision=True,
        deep_supr_num=2,
    ),
    "DynUNet-prelu": lambda: dynunet(act_name="prelu", in_channels=4, out_channels=3),
    "SwinUNETR": lambda: swin(depths=(1, 2, 1, 1)),
    "SwinUNETR-variant": lambda: swin(
        in_channels=1,
        out_channels=3,
        depths=(2, 1, 1, 1),
        num_heads=(2, 3, 6, 12),
        window_size=5,
        mlp_ratio=2.0,
        qkv_bias=False,
        norm_name="batch",
        patch_norm=True,
    ),
    "SwinUNETR-v2": lambda: swin(use_v2=True, depths=(1, 1, 1, 1)),
    "UNETR": lambda: unetr(dropout_rate=0.1),
    "UNETR-variant": lambda: unetr(
        in_channels=1,
        out_channels=4,
        img_size=16,
        proj_type="perceptron",
        qkv_bias=True,
        norm_name="batch",
        res_block=False,
    ),
    "BasicUNet": lambda: BasicUNet(3, 2, 2, (4, 4, 8, 8, 8, 6)),
    "BasicUNet-variant": lambda: BasicUNet(
        *(3, 1, 3, (2, 4, 6, 8, 10, 12)),
        norm="batch",
        bias=False,
        upsample="nontrainable",
        act="prelu",
        dropout=0.1,
    ),
    "SegResNet": lambda: SegResNet(3, 8, 2, 2, blocks_down=(1, 1), blocks_up=(1,)),
    "SegResNet-variant": lambda: SegResNet(
        *(3, 4, 1, 3, 0.1),
        norm="batch",
        blocks_down=(1, 2, 0, 1),
        blocks_up=(2, 0, 1),
        upsample_mode="deconv",
        act="prelu",
    ),
    "SegResNetDS": lambda: SegResNetDS(3, 4, 2, 2, blocks_down=(1, 1, 1)),
    "SegResNetDS-anisotropic": lambda: SegResNetDS(
        *(3, 4, 1, 3),
        act="prelu",
        norm=("instance", {"affine": False}),
        blocks_down=(1, 0, 2, 0),
        blocks_up=(1, 2, 0),
        dsdepth=2,
        upsample_mode="nontrainable",
        resolution=(0.9, 1.0, 5.0),
    ),
    "SegResNetDS-one-level": lambda: SegResNetDS(3, 4, 2, 2, norm="instance", blocks_down=(2,)),
    "AttentionUnet": lambda: AttentionUnet(3, 2, 2, (4, 6, 8), (2, 2)),
    "AttentionUnet-variant": lambda: AttentionUnet(
        3, 1, 3, (4, 8), (2,), kernel_size=5, up_kernel_size=(3, 3, 5), dropout=0.1
    ),
    "VNet": lambda: VNet(3, 2, 2, act="prelu", bias=True),
    "UNETR-plain-blocks": lambda: unetr(conv_block=False, norm_name=("instance", {"affine": True})),
}


def same_logits(network, path, size=(32, 32, 32)):
    model = load_checkpoint(path, device="cpu")
    assert model.profile.architecture == type(network).__name__
    n_channels = len(model.profile.sequences)
    image = torch.randn(1, n_channels, *size, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        return torch.equal(model.network(image), network.eval()(image))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_network_computes_the_same_logits(name, saved):
    network = NETWORKS[name]()
    path = saved(network)

    # Instance normalisation needs two voxels at the bottom of a SwinUNETR.
    size = {"UNETR-variant": (16, 16, 16), "SwinUNETR": (32, 32, 64), "SwinUNETR-v2": (32, 64, 32)}
    assert same_logits(network, path, size.get(name, (32, 32, 32)))


@pytest.mark.parametrize(
    "arrange",
    {
        "DataParallel": lambda state: {f"module.{k}": v for k, v in state.items()},
        "compiled": lambda state: {f"_orig_mod.module.{k}": v for k, v in state.items()},
        "state_dict": lambda state: {
            "epoch": 31,
            "state_dict": state,
            "best": [0.5, {"dice": 0.7}],
        },
        "model": lambda state: {
            "model": state,
            "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}},
        },
        "network": lambda state: {"network": {f"module.{k}": v for k, v in state.items()}},
        "model_state_dict": lambda state: {"model_state_dict": state},
        "network_weights": lambda state: {"network_weights": state},
        "two deep": lambda state: {"model": {"state_dict": state}},
        "unusual name": lambda state: {"generator": state, "epoch": torch.tensor(3)},
        "training class": lambda state: {"state_dict": {f"model.{k}": v for k, v in state.items()}},
        "training class, net": lambda state: {
            "state_dict": {f"net.{k}": v for k, v in state.items()}
        },
    }.items(),
    ids=lambda item: item[0],
)
@pytest.mark.parametrize("family", [unet, dynunet], ids=["UNet", "DynUNet"])
def test_weights_are_found_where_training_scripts_put_them(arrange, family, saved):
    network = family()

    assert same_logits(network, saved(network, arrange=arrange[1]))


def test_old_serialisation_and_half_precision_load_as_float32(saved, tmp_path):
    network = unet(norm="batch")
    state = torch.load(saved(network), weights_only=True)
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    path = tmp_path / "half.pt"
    torch.save(halves, path, _use_new_zipfile_serialization=False)

    model = load_checkpoint(path, device="cpu")

    loaded = model.network.state_dict()
    assert all(torch.equal(loaded[k], v.to(loaded[k].dtype)) for k, v in halves.items())
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}


@pytest.mark.slow
def test_the_papers_networks_are_recognised_with_their_arguments(saved):
    """Facts of Spagnolo et al.'s scripts; SwinUNETR at its full size has 15.7 million values."""
    paper_unet = unet(channels=(32, 64, 128, 256, 512), strides=(2, 2, 2, 2), norm="batch")
    paper_dynunet = dynunet(filters=[16, 32, 64], dropout=0.1, res_block=True, norm_name="instance")

    profile = inspect_checkpoint(saved(paper_unet)).profile
    assert profile.arguments == {
        "spatial_dims": 3,
        "in_channels": 2,
        "out_channels": 2,
        "channels": (32, 64, 128, 256, 512),
        "strides": (2, 2, 2, 2),
        "norm": "batch",
        "num_res_units": 0,
    }
    assert (profile.threshold, profile.divisor, profile.fixed_size) == (0.3, (16, 16, 16), None)

    profile = inspect_checkpoint(saved(paper_dynunet)).profile
    assert profile.arguments == {
        "spatial_dims": 3,
        "in_channels": 2,
        "out_channels": 2,
        "kernel_size": (3, 3, 3),
        "strides": (1, 2, 2),
        "upsample_kernel_size": (2, 2),
        "filters": (16, 32, 64),
        "norm_name": "instance",
        "res_block": True,
    }
    assert (profile.threshold, profile.divisor) == (0.4, (4, 4, 4))

    profile = inspect_checkpoint(saved(SwinUNETR(in_channels=2, out_channels=2))).profile
    assert profile.arguments == {"in_channels": 2, "out_channels": 2, "feature_size": 24}
    assert (profile.threshold, profile.divisor) == (0.4, (32, 32, 32))


def test_unetr_takes_its_image_size_only(saved):
    profile = load_checkpoint(saved(unetr(img_size=48)), device="cpu").profile

    assert profile.arguments["img_size"] == 48
    assert profile.fixed_size == profile.window == (48, 48, 48)
    assert profile.divisor == (16, 16, 16)


def test_unetr_of_another_shape_is_asked_for_its_size(saved):
    network = unetr(img_size=(32, 16, 32))
    path = saved(network)

    (asked,) = (
        guess
        for guess in questions(load_checkpoint(path, device="cpu").profile.guessed)
        if guess.field == "arguments.img_size"
    )

    assert asked.candidates[:3] == ((32, 32, 16), (32, 16, 32), (16, 32, 32))
    path.with_suffix(".profile.json").write_text('{"arguments": {"img_size": [32, 16, 32]}}')
    model = load_checkpoint(path, device="cpu")
    image = torch.randn(1, 2, 32, 16, 32)
    assert model.profile.window == (32, 16, 32)
    with torch.inference_mode():
        assert torch.equal(model.network(image), network(image))


def test_unetr_of_an_unusual_shape_needs_its_size_stated(saved):
    path = saved(unetr(img_size=(80, 16, 16)))

    with pytest.raises(CheckpointError, match=r"lack img_size.*network\.profile\.json"):
        load_checkpoint(path)


def test_the_segmenting_part_of_a_segresnetvae_is_used_and_the_rest_named(saved):
    network = SegResNetVAE(
        (8, 8, 8), init_filters=8, in_channels=2, blocks_down=(1, 1), blocks_up=(1,)
    )
    model = load_checkpoint(saved(network), device="cpu")

    assert model.profile.architecture == "SegResNet"
    assert any("Left out" in text and "vae_down" in text for text in model.profile.guessed)
    image = torch.randn(1, 2, 8, 8, 8)
    with torch.inference_mode():
        assert torch.equal(model.network(image), network(image)[0])


@pytest.mark.parametrize(
    ("resolution", "divisor"),
    [(None, (8, 8, 8)), ((1, 1, 1), (8, 8, 8)), ((1, 3, 8), (8, 2, 1)), ((1, 1, 2.5), (8, 8, 4))],
)
def test_kernels_tell_what_a_segresnetds_halves(resolution, divisor, saved):
    network = SegResNetDS(3, 4, 2, 2, blocks_down=(1, 1, 1, 1), resolution=resolution)

    profile = load_checkpoint(saved(network), device="cpu").profile

    assert profile.divisor == tuple(network.shape_factor()) == divisor


def test_divisor_is_the_product_of_the_strides_per_axis(saved):
    profile = load_checkpoint(saved(NETWORKS["DynUNet-anisotropic"]()), device="cpu").profile

    assert profile.divisor == (1 * 2 * 2 * 1, 1 * 2 * 2 * 2, 1 * 1 * 2 * 2)


def test_window_is_the_next_size_the_network_takes(saved):
    network = unet(channels=(2,) * 7, strides=(2,) * 6)

    profile = load_checkpoint(saved(network), device="cpu").profile

    assert profile.divisor == (64, 64, 64)
    assert profile.window == (128, 128, 128)


@pytest.mark.parametrize(
    ("n_inputs", "sequences"),
    [
        (1, ("FLAIR",)),
        (2, ("FLAIR", "T1")),
        (3, ("FLAIR", "T1", "T2")),
        (4, ("sequence 1", "sequence 2", "sequence 3", "sequence 4")),
    ],
)
def test_sequences_are_named_by_their_number_and_said_to_be_guessed(n_inputs, sequences, saved):
    profile = load_checkpoint(saved(unet(in_channels=n_inputs)), device="cpu").profile

    assert profile.sequences == sequences
    assert any(sequences[0] in sentence for sentence in profile.guessed)


@pytest.mark.parametrize(
    ("n_outputs", "classes", "explained"),
    [
        (1, ("lesion",), 0),
        (2, ("background", "lesion"), 1),
        (3, ("background", "class 1", "class 2"), 1),
    ],
)
def test_classes_are_named_by_their_number(n_outputs, classes, explained, saved):
    profile = load_checkpoint(saved(unet(out_channels=n_outputs)), device="cpu").profile

    assert (profile.classes, profile.explained_class) == (classes, explained)


def test_residual_connections_tell_the_strides_of_1(saved):
    profile = load_checkpoint(
        saved(unet(num_res_units=2, channels=(4, 8, 16, 16), strides=(1, 2, 1))), device="cpu"
    ).profile

    assert profile.arguments["strides"] == (1, 2, 1)
    assert profile.divisor == (2, 2, 2)


def test_what_the_weights_cannot_tell_is_said(saved):
    sentences = " ".join(inspect_checkpoint(saved(unet(act="RELU"))).profile.guessed)

    for word in ("strides", "activation", "normalisation layers", "FLAIR", "threshold"):
        assert word in sentences


def test_weights_of_other_versions_of_monai_load(saved, tmp_path):
    """Unused cross-attention and class tokens come and go; a DynUNet may hold each block once."""
    network = unetr()
    state = torch.load(saved(network), weights_only=True)
    state = {k: v for k, v in state.items() if "norm_cross_attn" not in k}
    state["vit.patch_embedding.cls_token"] = torch.zeros(1, 1, 24)
    state["vit.blocks.0.cross_attn.to_q.weight"] = torch.ones(24, 24)
    torch.save(state, tmp_path / "unetr.pth")
    assert same_logits(network, tmp_path / "unetr.pth")

    network = dynunet()
    state = torch.load(saved(network), weights_only=True)
    state = {k: v for k, v in state.items() if not k.startswith("skip_layers.")}
    torch.save(state, tmp_path / "dynunet.pth")
    assert same_logits(network, tmp_path / "dynunet.pth")


def test_inspection_counts_each_value_once_and_lists_the_keys(saved):
    network = dynunet()
    path = saved(network, arrange=lambda state: {f"module.{k}": v for k, v in state.items()})

    inspection = inspect_checkpoint(path)

    own = {k: v for k, v in network.state_dict().items() if not k.startswith("skip_layers.")}
    assert inspection.n_parameters == sum(v.numel() for v in own.values())
    assert inspection.keys == tuple(network.state_dict())
    assert inspection.profile_file is None


def test_loading_leaves_random_numbers_alone_and_weights_frozen(saved):
    path = saved(unet(norm="batch"))
    torch.manual_seed(3)
    expected = torch.rand(5)
    torch.manual_seed(3)

    model = load_checkpoint(path, device="cpu")

    assert torch.equal(torch.rand(5), expected)
    assert not model.network.training
    assert not any(p.requires_grad for p in model.network.parameters())


def test_loaded_weights_do_not_follow_the_file(saved):
    path = saved(unet())
    model = load_checkpoint(path, device="cpu")
    before = {k: v.clone() for k, v in model.network.state_dict().items()}

    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))

    assert all(torch.equal(v, before[k]) for k, v in model.network.state_dict().items())


@pytest.mark.real_data
def test_the_real_checkpoint_is_recognised(real_checkpoint):
    inspection = inspect_checkpoint(real_checkpoint)

    assert inspection.profile.architecture == "UNet"
    assert json.loads(json.dumps(inspection.profile.arguments)) == {
        "spatial_dims": 3,
        "in_channels": 2,
        "out_channels": 2,
        "channels": [32, 64, 128, 256, 512],
        "strides": [2, 2, 2, 2],
        "norm": "batch",
        "num_res_units": 0,
    }
    assert inspection.profile.sequences == ("FLAIR", "T1")
    stored = torch.load(real_checkpoint, weights_only=True)
    loaded = load_checkpoint(real_checkpoint, device="cpu").network.state_dict()
    assert all(torch.equal(loaded[k.removeprefix("module.")], v) for k, v in stored.items())
