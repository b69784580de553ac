"""A good network is found among whatever else a file holds, and the rest is named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from monai.networks.nets import DynUNet, UNet

from napari_ies.checkpoints import inspect_checkpoint, load_checkpoint, profile_path
from napari_ies.checkpoints.families import architectures
from napari_ies.errors import CheckpointError


def unet(**arguments):
    return UNet(3, 2, 2, (4, 8), (2,), **{"norm": "batch", **arguments})


def dynunet():
    return DynUNet(3, 2, 2, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 4, 8])


def under(start, state):
    return {f"{start}{key}": tensor for key, tensor in state.items()}


def averaged(state):
    """Other weights of the same network."""
    return {k: t * 0.5 if t.is_floating_point() else t for k, t in state.items()}


def computes(model, network, state):
    network.load_state_dict(state)
    image = torch.randn(1, 2, 8, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        return torch.equal(model.network(image), network.eval()(image))


def one_sentence(caught):
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


FOREIGN = {
    "a loss in the training class": (
        lambda s: {
            "state_dict": {"loss_function.class_weight": torch.ones(2), **under("model.", s)}
        },
        "loss_function.class_weight",
    ),
    "a loss beside the bare network": (
        lambda s: {**s, "criterion.weight": torch.ones(2)},
        "criterion.weight",
    ),
    "an averaged model": (
        lambda s: {"n_averaged": torch.tensor(7), **under("module.", s)},
        "n_averaged",
    ),
    "a number beside the weights": (lambda s: {**s, "epoch": torch.tensor(7)}, "epoch"),
    "a metric behind another attribute": (
        lambda s: {"model": {**under("unet.", s), "dice.total": torch.zeros(3)}},
        "dice.total",
    ),
    "four of them": (
        lambda s: {**s, **{f"loss.{i}.weight": torch.ones(1) for i in range(4)}},
        "4 tensors of the file (loss.0.weight, loss.1.weight, loss.2.weight, …)",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("family", [unet, dynunet], ids=["UNet", "DynUNet"])
def test_foreign_tensors_are_left_out_and_named(name, family, saved):
    network = family()
    path = saved(network, arrange=FOREIGN[name][0])

    model = load_checkpoint(path, device="cpu")

    assert computes(model, network, network.state_dict())
    said = [text for text in model.profile.guessed if "Left out" in text]
    assert len(said) == 1
    assert FOREIGN[name][1] in said[0]


@pytest.mark.parametrize(
    "start",
    ["unet.", "segmenter.", "self_net.backbone.", "model._orig_mod.", "net.module.", "a.b.c."],
)
@pytest.mark.parametrize("family", [unet, dynunet], ids=["UNet", "DynUNet"])
def test_any_attribute_of_a_training_class(start, family, saved):
    network = family()
    path = saved(network, arrange=lambda state: {"state_dict": under(start, state)})

    inspection = inspect_checkpoint(path)

    assert computes(load_checkpoint(path, device="cpu"), network, network.state_dict())
    assert inspection.keys == tuple(network.state_dict())
    assert not any("Left out" in t or "networks" in t for t in inspection.profile.guessed)


TWO = {
    "two tables": (
        lambda s: {"ema_state_dict": averaged(s), "state_dict": s},
        ("state_dict", "ema_state_dict"),
    ),
    "two tables of unusual names": (
        lambda s: {"raw": s, "ema": averaged(s), "epoch": 3},
        ("raw", "ema"),
    ),
    "two starts in one table": (
        lambda s: {
            "state_dict": {
                **under("ema_model.module.", averaged(s)),
                "ema_model.n_averaged": torch.tensor(3),
                **under("model.", s),
            }
        },
        ("model.", "ema_model.module."),
    ),
    "the bare network beside its average": (
        lambda s: {**s, **under("ema_model.module.", averaged(s))},
        ("", "ema_model.module."),
    ),
    "wrapped in both tables": (
        lambda s: {"ema": under("module.", averaged(s)), "net": under("module.", s)},
        ("net", "ema"),
    ),
}


@pytest.mark.parametrize("name", TWO)
def test_of_two_networks_the_plain_one_is_used_unless_the_profile_chooses(name, saved):
    network = unet()
    arrange, (plain, other) = TWO[name]
    path = saved(network, arrange=arrange)
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}

    model = load_checkpoint(path, device="cpu")

    assert computes(model, network, state)
    assert model.profile.weights == plain
    said = [text for text in model.profile.guessed if "holds the networks" in text]
    assert len(said) == 1
    assert other in said[0]
    used = f'"{plain}"' if plain else 'the top level ("")'
    assert f"; {used} is used: " in said[0]

    for choice, expected in ((other, averaged(state)), (plain, state), (other.rstrip("."), None)):
        profile_path(path).write_text(json.dumps({"weights": choice}))
        chosen = load_checkpoint(path, device="cpu")
        assert computes(chosen, network, averaged(state) if expected is None else expected)
        assert chosen.profile.weights == choice
        assert not any("holds the networks" in text for text in chosen.profile.guessed)


def test_the_same_weights_twice_are_no_choice(saved):
    path = saved(unet(), arrange=lambda s: {**under("net.", s), **under("inferer.net.", s)})

    profile = load_checkpoint(path, device="cpu").profile

    assert not any("networks" in text or "Left out" in text for text in profile.guessed)


def test_the_largest_network_that_loads_is_used(saved):
    """The larger one lacks a tensor, and an optimizer's moments have the shapes of weights."""
    network = unet()

    def arrange(state):
        larger = UNet(3, 2, 2, (4, 8, 16), (2, 2), norm="batch").state_dict()
        larger.pop("model.1.submodule.0.conv.bias")
        return {"teacher": larger, "exp_avg": averaged(state), "student": state}

    path = saved(network, arrange=arrange)
    model = load_checkpoint(path, device="cpu")

    assert computes(model, network, network.state_dict())
    assert any("teacher" in t and '"student" is used' in t for t in model.profile.guessed)


LISTS = {
    "a list of folds": (lambda s: {"folds": [averaged(s), s]}, "folds[{}]"),
    "a tuple": (lambda s: {"folds": (averaged(s), s)}, "folds[{}]"),
    "nothing but a list": (lambda s: [averaged(s), s], "[{}]"),
    "a list of checkpoints": (
        lambda s: {"folds": [{"state_dict": averaged(s), "epoch": 1}, {"state_dict": s}]},
        "folds[{}].state_dict",
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_networks_in_a_list_are_found_and_chosen_by_their_place(name, saved):
    network = unet()
    arrange, place = LISTS[name]
    path = saved(network, arrange=arrange)
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}

    model = load_checkpoint(path, device="cpu")

    first, second = place.format(0), place.format(1)
    assert computes(model, network, averaged(state))
    assert model.profile.weights == first
    (said,) = [text for text in model.profile.guessed if "holds the networks" in text]
    assert f'"{first}" and "{second}"; "{first}" is used: ' in said

    profile_path(path).write_text(json.dumps({"weights": second}))
    assert computes(load_checkpoint(path, device="cpu"), network, state)


def test_the_largest_network_of_a_list_is_used(saved):
    smaller = UNet(3, 2, 2, (4, 8), (2,), norm="batch").state_dict()
    network = UNet(3, 2, 2, (4, 8, 16), (2, 2), norm="batch")
    path = saved(network, arrange=lambda s: {"folds": [smaller, s]})

    assert load_checkpoint(path, device="cpu").profile.weights == "folds[1]"


def test_a_choice_in_a_bare_file_is_refused_with_the_words_for_its_top_level(saved):
    path = saved(unet())
    profile_path(path).write_text('{"weights": "state"}')

    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, device="cpu")

    assert one_sentence(caught).endswith('it holds the top level ("").')


def test_weights_that_are_not_there_are_refused_with_what_there_is(saved):
    path = saved(unet(), arrange=lambda s: {"state_dict": s, "ema_state_dict": averaged(s)})
    profile_path(path).write_text('{"weights": "swa"}')

    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, device="cpu")

    sentence = one_sentence(caught)
    assert sentence.startswith("network.profile.json: weights is 'swa'")
    assert "state_dict and ema_state_dict" in sentence


def of_monai_03(state):
    """Rename as `monai.networks.blocks.Convolution` of MONAI 0.1 to 0.3 named its layers."""
    return {
        key.replace(".adn.N.", ".norm.").replace(".adn.A.", ".act."): tensor
        for key, tensor in state.items()
    }


@pytest.mark.parametrize(
    "arguments",
    [{}, {"norm": "instance"}, {"act": "RELU"}, {"num_res_units": 2}],
    ids=str,
)
def test_keys_of_monai_03(arguments, saved):
    network = unet(**arguments)
    path = saved(network, arrange=lambda state: {"state_dict": under("net.", of_monai_03(state))})

    model = load_checkpoint(path, device="cpu")

    assert computes(model, network, network.state_dict())
    assert model.profile.arguments["norm"] == arguments.get("norm", "batch")


def state_all(path, network_class, **arguments):
    content = {"architecture": network_class.__name__, "arguments": arguments}
    profile_path(path).write_text(json.dumps(content))


ALL = {
    "spatial_dims": 3,
    "in_channels": 2,
    "out_channels": 2,
    "channels": [4, 8],
    "strides": [2],
    "norm": "batch",
}


def test_a_complete_profile_wins_where_recognition_fails(saved, monkeypatch):
    def fails(shapes):
        raise CheckpointError("it looks like a UNet but something is missing")

    families = architectures.FAMILIES
    monkeypatch.setitem(families, "UNet", replace(families["UNet"], recognise=fails))
    network = unet()
    path = saved(network, arrange=lambda state: {"state_dict": under("unet.", state)})
    with pytest.raises(CheckpointError, match="something is missing"):
        load_checkpoint(path, device="cpu")

    state_all(path, UNet, **ALL)

    model = load_checkpoint(path, device="cpu")
    assert computes(model, network, network.state_dict())
    assert model.profile.arguments == {**ALL, "channels": (4, 8), "strides": (2,)}


def test_a_complete_profile_wins_where_recognition_finds_another_network(saved):
    network = unet()
    path = saved(network, arrange=lambda s: {"a": dynunet().state_dict(), "b": s})
    assert load_checkpoint(path, device="cpu").profile.architecture == "DynUNet"

    state_all(path, UNet, **ALL)

    model = load_checkpoint(path, device="cpu")
    assert model.profile.architecture == "UNet"
    assert computes(model, network, network.state_dict())


def test_a_complete_profile_is_proved_by_the_weights_all_the_same(saved):
    path = saved(unet(), arrange=lambda state: under("unet.", state))
    state_all(path, UNet, **{**ALL, "channels": [4, 9]})

    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, device="cpu")

    assert "have other shapes" in one_sentence(caught)
