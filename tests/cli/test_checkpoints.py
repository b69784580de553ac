"""Every command takes every checkpoint, and runs what one holds only if it is trusted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from bundles import NETWORK, config, trained_unet, write_bundle, zipped
from command_line import one_line, run

from napari_ies.checkpoints import checkpoint_sha256, profile_path
from napari_ies.cli import segmenting


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_bundle_segments(packed, small, tmp_path):
    bundle = write_bundle(tmp_path / "lesions")
    if packed:
        bundle = zipped(bundle, tmp_path / "lesions.zip")
    images = [f"--image={name}={path}" for name, path in small.images.items()]

    told = run("inspect", bundle)
    done = run("segment", bundle, *images, "--out", tmp_path / "out", "--device", "cpu")

    assert told.exit_code == done.exit_code == 0, done.output
    for expected in ("MONAI bundle", "MS lesion", "overlap 0.5, blended alike"):
        assert expected in told.stdout
    (sidecar,) = Path(tmp_path / "out").rglob("*_probseg.json")
    said = json.loads(sidecar.read_text())
    assert said["Checkpoint"]["Format"] == "MONAI bundle"
    assert said["Checkpoint"]["SHA256"] == checkpoint_sha256(bundle)
    assert said["Blending"] == "constant"


def test_what_a_checkpoint_would_run_has_to_be_trusted(small, tmp_path, monkeypatch):
    code = write_bundle(tmp_path / "code", config({**NETWORK, "out_channels": "$1 + 1"}))
    program = tmp_path / "network.ts"
    torch.jit.script(trained_unet()).save(str(program))
    profile_path(program).write_text('{"window": 16}')
    images = [f"--image={name}={path}" for name, path in small.images.items()]
    segment = ("segment", *images, "--out", tmp_path / "out")

    for path, told in ((code, "it would run $1 + 1 (configs"), (program, "(TorchScript)")):
        for name, *options in (("inspect",), segment):
            sentence = one_line(run(name, path, *options))
            assert told in sentence
            assert sentence.endswith("give --trust if you know where it comes from.")
        said = run("inspect", path, "--trust")
        assert said.exit_code == 0, said.output
        assert "FLAIR, T1" in said.stdout
    lets_nobody = "A TorchScript network lets nobody"
    assert f"none: {lets_nobody}" in " ".join(said.stdout.split())
    monkeypatch.setattr(segmenting, "segmented", None)  # it is refused before
    refused = ("--lesion", 1, "--method", "gradcam++", "--trust", "--out", tmp_path / "out")
    assert lets_nobody in one_line(run("explain", program, *images, *refused))
    refused = (*refused[:2], "--jacobian", "windowed", *refused[4:])
    assert "cannot be windowed" in one_line(run("explain", program, *images, *refused))
    cohort = ("cohort", "--model_checkpoint", program, "--bids", tmp_path, "--trust", "--out")
    refused = run(*cohort, tmp_path / "out")
    assert refused.exit_code == 2
    assert lets_nobody in " ".join(refused.stderr.replace("│", "").split())
    assert not (tmp_path / "out").exists()
