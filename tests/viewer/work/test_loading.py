"""A file that is no checkpoint leaves the window's state as it was, and says one sentence."""

from __future__ import annotations

import io
import struct
import zipfile
from functools import partial

import pytest
import torch
from bundles import NETWORK, config, write_bundle
from monai.networks.nets import UNet

from napari_ies.errors import CheckpointError
from napari_ies.progress import finish
from napari_ies.viewer.work import loading
from napari_ies.viewer.work.job import Job


def saved(change=lambda state: state) -> bytes:
    buffer = io.BytesIO()
    torch.save(change(UNet(3, 2, 2, (4, 8), (2,)).state_dict()), buffer)
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(40 << 20))
    return buffer.getvalue()


HOSTILE = {
    "nothing": lambda: b"",
    "cut short": lambda: saved()[:2000],
    "a zip bomb": bomb,
    "20 GB claimed": lambda: struct.pack("<Q", 20 * 10**9) + b"{}",
    "NaN": lambda: saved(lambda state: {k: t * float("nan") for k, t in state.items()}),
    "whole numbers": lambda: saved(lambda state: {k: t.int() for k, t in state.items()}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_network_of_before_is_still_there(name, twin, tmp_path):
    path = tmp_path / "network.pth"
    path.write_bytes(HOSTILE[name]())
    before, shown = twin.state.model, twin.state.reading
    work = partial(loading.load_model, str(path), "cpu")

    twin.work.run(Job("checkpoint", "Loading", work, twin.state.take_model))
    twin.work.wait()

    (said,) = twin.tell.failures
    assert "network.pth" in said
    assert said.endswith(".")
    assert "\n" not in said
    assert (twin.state.model, twin.state.reading) == (before, shown)
    assert list(tmp_path.glob("*.json")) == []


def test_what_was_trusted_stays_trusted_when_its_profile_changes(tmp_path):
    content = config({**NETWORK, "out_channels": "$1 + 1"})
    folder = write_bundle(tmp_path / "code", content)
    assert isinstance(finish(loading.load_model(str(folder), "cpu")), loading.Untrusted)
    loaded = finish(loading.load_model(str(folder), "cpu", trust=True))

    def restated(trusted):
        stated = {"threshold": 0.25}
        return finish(loading.restate(str(folder), "cpu", stated, None, tmp_path, trusted))

    with pytest.raises(CheckpointError, match="load it again, and trust it, before its profile"):
        restated("")
    assert restated(loaded.model.sha256).model.profile.threshold == 0.25

    (tmp_path / "code.profile.json").unlink()
    with (folder / "models" / "model.pt").open("ab") as file:
        file.write(b"\0")  # another one by now
    with pytest.raises(CheckpointError, match="load it again, and trust it"):
        restated(loaded.model.sha256)
