"""Guesses tested on a case: values against naive computations, and known truths recovered."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.networks.nets import UNet
from nibabel import orientations
from torch import nn

from napari_ies.checkpoints import load_checkpoint, with_geometry
from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.assumptions import agreements
from napari_ies.network.guesses.agreement import AXIAL_ORDERS, Agreement
from napari_ies.network.guesses.guess_tests import batch_norms, channel_disagreement
from napari_ies.network.model import SegmentationModel
from napari_ies.network.profile import Profile
from napari_ies.patient.case import Case
from napari_ies.patient.loading import load_case

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

EDGE = 32


def guess_agreements(model: SegmentationModel, case: Case) -> tuple[Agreement, ...]:
    """Return what was found on other guesses than the orientation."""
    return tuple(each for each in agreements(model, case) if each.what != "orientation")


def orientation_agreement(model: SegmentationModel, case: Case) -> Agreement | None:
    """Return what was found on the orientation."""
    return next((each for each in agreements(model, case) if each.what == "orientation"), None)


class Slopes(nn.Module):
    """Marks what rises along its second axis; unsure of the rest."""

    def __init__(self, signed: bool) -> None:
        super().__init__()
        self.signed = signed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rise = torch.diff(x[:, :1], dim=3, prepend=x[:, :1, :, :1])
        if not self.signed:
            rise = rise.abs()
        logit = 6 * rise.clamp(0, 2) - 3
        return torch.cat([torch.zeros_like(logit), logit], dim=1)


def _model(network: nn.Module, **fields: object) -> SegmentationModel:
    values: dict[str, object] = {
        "name": "test",
        "architecture": "UNet",
        "arguments": {},
        "sequences": ("FLAIR",),
        "normalisation": "none",
        "window": (EDGE,) * 3,
    }
    profile = Profile(**{**values, **fields})  # type: ignore[arg-type]
    return SegmentationModel(network, profile, torch.device("cpu"))


def _case(codes: str, rises: bool = False) -> Case:
    """Return a patient whose texture runs along P/A alone, stored in an order."""
    generator = np.random.default_rng(2)
    steps = np.arange(EDGE, dtype=np.float32) % 4 if rises else 2.0 * (np.arange(EDGE) % 2)
    volume = np.broadcast_to(steps[None, :, None], (EDGE,) * 3) + 1
    volume = (volume + generator.normal(0, 0.05, (EDGE,) * 3)).astype(np.float32)
    affine = np.diag([-1.0, 1, 1, 1])
    turn = Reorientation.between(affine, volume.shape, tuple(codes))
    stored = nib.Nifti1Image(volume, affine).as_reoriented(
        orientations.ornt_transform(
            nib.io_orientation(affine), orientations.axcodes2ornt(tuple(codes))
        )
    )
    data = np.ascontiguousarray(turn.apply(volume))
    return Case(("FLAIR",), data[None], np.asarray(stored.affine))


@pytest.mark.parametrize("codes", ["PSR", "ASR", "IPL", "PIR"])
def test_a_stored_order_that_the_network_agrees_less_with_is_named(codes: str) -> None:
    found = orientation_agreement(_model(Slopes(signed=False)), _case(codes))

    assert found is not None
    if codes == "IPL":  # P/A is the second axis here too: nothing to tell
        assert not found.sure
        assert found.suggestion is None
    else:
        assert found.sure
        assert (found.assumed, found.best, found.suggestion) == (codes, "LAS", "LAS")
        assert "agrees better with LAS (which of its axes run backwards" in found.sentence
        assert f"than with the stored {codes}" in found.sentence


@pytest.mark.parametrize("codes", AXIAL_ORDERS)
def test_axial_orders_that_differ_in_nothing_raise_no_alarm(codes: str) -> None:
    found = orientation_agreement(_model(Slopes(signed=False)), _case(codes))

    assert found is not None
    assert (found.sure, found.sentence, found.suggestion) == (False, "", None)
    assert found.best == codes


def test_a_wrong_flip_is_found_where_the_network_feels_it() -> None:
    found = orientation_agreement(_model(Slopes(signed=True)), _case("LPS", rises=True))

    assert found is not None
    assert found.sure
    assert found.suggestion == "LAS"
    assert "(and RAS, LAI, RAI, not to be told apart) than with the stored LPS" in found.sentence
    assert not orientation_agreement(  # type: ignore[union-attr]
        _model(Slopes(signed=True)), _case("LAS", rises=True)
    ).sure


def test_scores_are_the_entropy_per_marked_voxel() -> None:
    case = _case("PSR")
    found = orientation_agreement(_model(Slopes(signed=False)), case)

    def naive(values: NDArray[np.float32]) -> float:
        rise = np.abs(np.diff(values.astype(np.float64), axis=1, prepend=values[:, :1]))
        p = 1 / (1 + np.exp(-(6 * np.clip(rise, 0, 2) - 3)))
        return float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).sum() / p.sum())

    assert found is not None
    turn = Reorientation.between(case.affine, case.shape, ("L", "A", "S"))
    assert found.scores["PSR"] == pytest.approx(naive(case.data[0]), rel=1e-4)
    assert found.scores["LAS"] == pytest.approx(naive(turn.apply(case.data[0])), rel=1e-4)


def test_nothing_is_tested_that_is_stated_or_cannot_be() -> None:
    network = Slopes(signed=False)
    case = _case("PSR")
    blank = Case(("FLAIR",), np.ones_like(case.data), case.affine)
    silent = _model(nn.Conv3d(1, 2, 1))
    nn.init.zeros_(silent.network.weight)
    silent.network.bias.copy_(torch.tensor([20.0, -20.0]))

    assert orientation_agreement(with_geometry(_model(network), "LAS"), case) is None
    assert orientation_agreement(silent, blank) is None
    assert guess_agreements(_model(network), case) == ()


def test_disagreement_compares_what_training_would_have_recorded() -> None:
    network = _unet(strides=(2, 2, 2))
    window = torch.from_numpy(_texture(5))[None]
    recorder = copy.deepcopy(network).train()
    for norm in batch_norms(recorder):
        norm.momentum = 1.0
    recorder(window)
    before = {key: value.clone() for key, value in network.state_dict().items()}

    found = channel_disagreement(network, window)

    edges = [16, 8, 4, 4, 8, 16]
    norms = zip(batch_norms(recorder), batch_norms(network), edges, found, strict=True)
    for one, other, edge, divergence in norms:
        count = edge**3
        v = one.running_var.double().numpy() * (count - 1) / count + one.eps
        big_v = other.running_var.double().numpy() + other.eps
        square = (one.running_mean - other.running_mean).double().numpy() ** 2
        forth = 0.5 * (np.log(big_v / v) + (v + square) / big_v - 1)
        back = 0.5 * (np.log(v / big_v) + (big_v + square) / v - 1)
        np.testing.assert_allclose(divergence, (forth + back) / 2, rtol=2e-3, atol=1e-5)
    assert not network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(norm._forward_hooks for norm in batch_norms(network))


@pytest.mark.parametrize("strides", [(2, 2, 2), (2, 1, 2), (2, 2, 1)])
def test_the_strides_a_network_was_trained_with_are_found(
    strides: tuple[int, int, int], tmp_path: Path
) -> None:
    model = _saved(_unet(strides=strides), tmp_path)

    (found,) = [each for each in guess_agreements(model, _brain()) if each.what == "strides"]

    true = ", ".join(map(str, strides))
    assert (found.assumed, found.best, found.sure) == ("2, 2, 2", true, True)
    assert ("state the strides in the profile" in found.sentence) == (strides != (2, 2, 2))
    assert "times better" in found.sentence
    assert guess_agreements(model, _brain()) is not None


@pytest.mark.parametrize("true", ["RELU", "ELU"])
def test_an_activation_that_leaves_no_trace_is_tested(true: str, tmp_path: Path) -> None:
    model = _saved(_unet(strides=(2, 2, 2), act=true), tmp_path)

    (found,) = [each for each in guess_agreements(model, _brain()) if each.what == "activation"]

    assert found.assumed == "ReLU"
    assert found.best == {"RELU": "ReLU", "ELU": "ELU"}[true]
    assert min(found.scores, key=lambda name: found.scores[name]).casefold() == true.casefold()
    assert ("state the activation in the profile" in found.sentence) == (true == "ELU")


def test_a_real_patient_stored_as_sagittal_names_las(
    real_file: Callable[[str], Path], tmp_path: Path
) -> None:
    """The middle of the head tells it, also in windows smaller than the trained ones."""
    model = load_checkpoint(real_file("checkpoints/unet_flair_t1_epoch_31.pth"), device="cpu")
    model = model.with_profile(dataclasses.replace(model.profile, window=(64, 64, 64)))
    for name in ("FLAIR", "T1"):
        whole = nib.load(real_file(f"data/open_ms/patient07/{name}.nii.gz"))
        nib.save(whole.slicer[35:150, 50:165, 35:145], tmp_path / f"{name}.nii")
    case = load_case({name: tmp_path / f"{name}.nii" for name in ("FLAIR", "T1")})
    order = Reorientation.between(case.affine, case.shape, ("P", "S", "R"))
    image = nib.Nifti1Image(np.empty(case.shape, np.uint8), case.affine)
    to_psr = orientations.ornt_transform(
        nib.io_orientation(case.affine), orientations.axcodes2ornt(tuple("PSR"))
    )
    sagittal = Case(
        case.sequences,
        np.ascontiguousarray(order.apply(case.data)),
        np.asarray(image.as_reoriented(to_psr).affine),
    )

    stored, turned = (orientation_agreement(model, each) for each in (case, sagittal))

    assert stored is not None
    assert turned is not None
    assert (stored.sure, stored.sentence) == (False, "")
    assert turned.suggestion == "LAS"
    assert "agrees better with LAS" in turned.sentence
    assert "than with the stored PSR" in turned.sentence


def _unet(**arguments: object) -> UNet:
    """Return a U-Net with random weights and running statistics of textures it was shown."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet(
            **{
                "spatial_dims": 3,
                "in_channels": 1,
                "out_channels": 2,
                "channels": (8, 16, 16, 16),
                "norm": "batch",
                "num_res_units": 0,
                **arguments,
            }
        )
    for norm in batch_norms(network):
        norm.momentum = None  # the mean over all that is shown
    network.train()
    with torch.no_grad():
        for seed in range(4):
            network(torch.from_numpy(_texture(seed))[None])
    return network.eval()


def _texture(seed: int) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=(EDGE,) * 3)
    smooth = gaussian_filter(noise, (2, 1, 0.5))
    return ((smooth - smooth.mean()) / smooth.std()).astype(np.float32)[None]


def _brain() -> Case:
    return Case(("FLAIR",), _texture(11), np.diag([-1.0, 1, 1, 1]))


def _saved(network: UNet, folder: Path) -> SegmentationModel:
    path = folder / "unet.pth"
    torch.save(network.state_dict(), path)
    path.with_suffix(".profile.json").write_text(
        json.dumps({"window": EDGE, "normalisation": "zscore"})
    )
    return load_checkpoint(path, device="cpu")
