"""Public networks are known by the shapes of their weights, and what is told of them is said."""

from __future__ import annotations

import json

import pytest
import torch
from monai.networks.nets import DynUNet

from napari_ies.checkpoints import load_checkpoint, profile_path
from napari_ies.checkpoints.families.architectures import FAMILIES, build_network
from napari_ies.checkpoints.families.defaults import make_profile
from napari_ies.checkpoints.families.family import Shapes
from napari_ies.checkpoints.known import known_networks

MINDGLIDE = {
    "kernel_size": [[3, 3, 3]] * 6,
    "strides": [[1, 1, 1], *[[2, 2, 2]] * 4, [2, 2, 1]],
    "upsample_kernel_size": [*[[2, 2, 2]] * 4, [2, 2, 1]],
}
"""As its code works them out for windows of 128 × 128 × 64 voxels of 1 mm."""


def mindglide(**changed):
    with torch.device("meta"):
        return DynUNet(
            **{
                "spatial_dims": 3,
                "in_channels": 1,
                "out_channels": 20,
                **MINDGLIDE,
                "norm_name": "instance",
                "deep_supervision": True,
                "deep_supr_num": 3,
                **changed,
            }
        )


def profile_of(network):
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    found = FAMILIES["DynUNet"].recognise(Shapes("DynUNet", shapes))
    return make_profile("weights", FAMILIES["DynUNet"], found.arguments, found.guessed, {}, {})


def test_mindglide_is_known_by_its_shapes_and_told_from_its_code():
    profile = profile_of(mindglide())

    assert profile.classes[profile.explained_class] == "lesion"
    assert profile.explained_class == 18
    assert len(profile.classes) == 20
    assert (profile.spacing, profile.resample, profile.orientation) == ((1, 1, 1), True, "RAS")
    assert (profile.window, profile.overlap) == ((128, 128, 64), 0.5)
    assert (profile.normalisation, profile.brain_extracted) == ("zscore-nonzero", False)
    assert profile.divisor == (32, 32, 16)
    said = " ".join(profile.guessed)
    assert "taken for MindGlide" in said
    assert "MIT" in said
    # The activation and the norms are in its code, and no guesses any more.
    assert "leaky ReLU" not in said
    assert "any sequence" in said
    assert "most probable of its 20 classes" in said


@pytest.mark.parametrize("changed", [{"out_channels": 19}, {"deep_supr_num": 2}])
def test_a_network_of_other_shapes_is_no_mindglide(changed):
    assert "MindGlide" not in " ".join(profile_of(mindglide(**changed)).guessed)


def lst_ai(path, **changed):
    arguments = {"in_channels": 2, "n_filters": 2, "n_conv_blocks": 2, "bottleneck_filters": 6}
    arguments |= {"out_channels": 1, "n_heads": 1, **changed}
    network = build_network(FAMILIES["LST-AI"], arguments).eval()
    config = {"n_filters": 2, "n_conv_blocks": 2, "bottleneck_filters": 6, "ds_layers": (-2,)}
    torch.save({"config": config, "state_dict": network.state_dict()}, path)
    return network


def test_a_member_of_lst_ai_is_read_as_it_is_saved(tmp_path):
    network = lst_ai(tmp_path / "UNet3D_MS_final_mdlA.pt")

    model = load_checkpoint(tmp_path / "UNet3D_MS_final_mdlA.pt", device="cpu")

    image = torch.randn(1, 2, 8, 8, 8)
    assert torch.equal(model.network(image), network(image))
    profile = model.profile
    assert (profile.architecture, profile.sequences) == ("LST-AI", ("FLAIR", "T1"))
    assert (profile.activation, profile.normalisation) == ("sigmoid", "percentiles-nonzero")
    assert (profile.brain_extracted, profile.window) == (True, (192, 192, 192))
    said = " ".join(profile.guessed)
    alone = "averages the probabilities of its three networks: this is one of them"
    assert alone in said
    assert "z-scored" not in said
    names = [f"UNet3D_MS_final_mdl{letter}.pt" for letter in "ABC"]
    for name in names[1:]:
        lst_ai(tmp_path / name)
    for average in ("probability", "logit"):
        listed = {"ensemble": names, "average": average}
        (tmp_path / "lst.json").write_text(json.dumps(listed))
        together = load_checkpoint(tmp_path / "lst.json", device="cpu").profile.guessed
        assert (alone in " ".join(together)) == (average == "logit")
        assert "MNI space" in " ".join(together)


def test_lst_ai_computes_what_its_layers_say(tmp_path):
    """Against its blocks written out for one level."""
    state = lst_ai(tmp_path / "x.pt", n_conv_blocks=1, bottleneck_filters=4, n_heads=0).state_dict()
    model = load_checkpoint(tmp_path / "x.pt", device="cpu")
    f = torch.nn.functional

    def act(values, name):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return f.leaky_relu(f.instance_norm(values, weight=weight, bias=bias, eps=1e-3), 0.3)

    def pair(values, name):
        for i in (0, 3):
            values = act(
                f.conv3d(values, state[f"{name}.block.{i}.weight"], padding=1),
                f"{name}.block.{i + 1}",
            )
        return values

    image = torch.randn(1, 2, 8, 8, 8)
    top = pair(image, "stem")
    down = f.conv3d(top, state["bottleneck_down.block.0.weight"], stride=2, padding=1)
    low = pair(act(down, "bottleneck_down.block.1"), "bottleneck_conv")
    up = f.conv_transpose3d(low, state["dec_up.0.block.0.weight"], stride=2, padding=1)
    joined = torch.cat([top, act(up, "dec_up.0.block.1")], dim=1)
    wanted = f.conv3d(pair(joined, "dec_conv.0"), state["out_seg.weight"], state["out_seg.bias"])
    torch.testing.assert_close(model.network(image), wanted)


def test_a_person_has_the_last_word_on_a_known_network(tmp_path):
    lst_ai(tmp_path / "x.pt")
    profile_path(tmp_path / "x.pt").write_text(json.dumps({"normalisation": "none"}))

    profile = load_checkpoint(tmp_path / "x.pt", device="cpu").profile

    assert profile.normalisation == "none"
    assert profile.threshold == 0.5


def test_each_shipped_profile_names_source_and_licence_or_says_that_none_was_found():
    names = {one.name for one in known_networks()}

    assert names == {"MindGlide", "LST-AI", "FLAMeS"}
    for one in known_networks():
        said = " ".join(one.guessed.values())
        assert "https://" in said
        assert "MIT" in said or "licence of FLAMeS" in said


def test_flames_is_known_by_its_dataset(tmp_path):
    pytest.importorskip("nnunetv2", reason="needs the extra nnunet")
    from nnunet_folders import make_folder

    folder = make_folder(tmp_path / "results", channels={"0": "0000"})
    plans = json.loads((folder / "plans.json").read_text())
    before = load_checkpoint(folder, device="cpu").profile
    (folder / "plans.json").write_text(json.dumps(plans | {"dataset_name": "Dataset004_WML"}))
    of_that_name = load_checkpoint(folder, device="cpu").profile
    file = folder / "fold_0" / "checkpoint_final.pth"
    content = torch.load(file, weights_only=False)
    torch.save(content | {"trainer_name": "nnUNetTrainer_8000epochs"}, file)

    model = load_checkpoint(folder, device="cpu")

    for other in (before, of_that_name):
        assert (other.sequences, other.brain_extracted) == (("0000",), False)
    profile = model.profile
    assert (profile.sequences, profile.brain_extracted) == (("FLAIR",), True)
    assert model.preparation.own["brain_extracted"].startswith("yes")
    said = " ".join(profile.guessed)
    assert "taken for FLAMeS, whose dataset, trainer and configuration have these names" in said
    assert "not read at its source" in said
    (flames,) = (known for known in known_networks() if known.name == "FLAMeS")
    sure = flames.said("0" * 64, *flames.files)["known"]
    assert sure.startswith("It is FLAMeS (fold_0/checkpoint_final.pth of Zenodo, by its SHA-256)")


def test_a_file_of_a_public_hash_is_known_for_sure():
    (one,) = (known for known in known_networks() if known.name == "MindGlide")
    sha256, name = next(iter(one.files.items()))
    found = FAMILIES["DynUNet"].recognise(
        Shapes("DynUNet", {k: tuple(t.shape) for k, t in mindglide().state_dict().items()})
    )
    asked = ("weights", FAMILIES["DynUNet"], found.arguments, found.guessed, {}, {})

    sure, taken = (" ".join(make_profile(*asked, key).guessed) for key in (sha256, "0" * 64))

    assert f"It is MindGlide ({name}, by its SHA-256)" in sure
    assert "taken for MindGlide" not in sure
    assert "taken for MindGlide" in taken
    assert "most probable of its 20 classes" in sure
