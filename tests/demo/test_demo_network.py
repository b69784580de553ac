"""The packaged network is what its profile says and finds the lesions of patients it never saw."""

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import UNet

from napari_ies.demo import demo_checkpoint
from napari_ies.network.profile import Profile

STATED_DICE = 0.80


def _profile():
    return json.loads(demo_checkpoint().with_suffix(".profile.json").read_text())


def _network():
    network = UNet(**_profile()["arguments"])
    network.load_state_dict(torch.load(demo_checkpoint(), weights_only=True))
    return network.eval()


def test_the_checkpoint_is_a_small_bare_state_dict():
    assert demo_checkpoint().stat().st_size <= 4 * 2**20
    weights = torch.load(demo_checkpoint(), weights_only=True)
    assert all(torch.isfinite(weight).all() for weight in weights.values())


def test_the_profile_has_only_the_fields_of_a_profile_and_fits_the_network():
    content = _profile()
    assert content.keys() <= {field.name for field in dataclasses.fields(Profile)}
    arguments = content["arguments"]
    assert content["architecture"] == "UNet"
    assert len(content["sequences"]) == arguments["in_channels"]
    assert len(content["classes"]) == arguments["out_channels"]
    assert all(size % math.prod(arguments["strides"]) == 0 for size in content["window"])


def test_the_network_finds_the_lesions_of_a_patient_it_never_saw(patient):
    profile = _profile()
    channels = []
    for sequence in (patient.flair, patient.t1):
        brain = sequence != 0
        scored = (sequence - sequence[brain].mean()) / sequence[brain].std()
        channels.append(np.where(brain, scored, 0))
    image = torch.from_numpy(np.stack(channels)[None]).float()
    with torch.inference_mode():
        logits = sliding_window_inference(
            image, profile["window"], 1, _network(), overlap=profile["overlap"], mode="gaussian"
        )
    found = torch.softmax(logits, dim=1)[0, 1].numpy() > profile["threshold"]
    dice = 2 * (found & patient.lesions).sum() / (found.sum() + patient.lesions.sum())
    assert dice > STATED_DICE


def test_importing_the_demo_costs_nothing():
    heavy = "{'napari', 'nibabel', 'nilearn', 'qtpy', 'scipy', 'torch'}"
    code = f"import sys, napari_ies.demo; sys.exit(len({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
