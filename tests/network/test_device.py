"""The device is the one that was asked for, or the fastest that works."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch

from napari_ies.checkpoints import (
    available_devices,
    device_label,
    exact_float32,
    resolve_device,
)
from napari_ies.errors import CheckpointError
from napari_ies.network import device as device_module
from napari_ies.network.device import arithmetic


def test_auto_is_the_first_device_whose_3d_layers_run(monkeypatch):
    monkeypatch.setattr(device_module, "available_devices", lambda: ("cuda:0", "mps", "cpu"))
    for broken, expected in [
        (set(), "cuda:0"),
        ({"cuda:0"}, "mps"),
        ({"cuda:0", "mps"}, "cpu"),
    ]:
        monkeypatch.setattr(
            device_module,
            "_runs_3d_layers",
            lambda device, broken=broken: str(device) not in broken,
        )
        assert str(resolve_device("auto")) == expected


def test_cuda_is_the_first_cuda_device(monkeypatch):
    monkeypatch.setattr(device_module, "available_devices", lambda: ("cuda:0", "cuda:1", "cpu"))
    monkeypatch.setattr(device_module, "_runs_3d_layers", lambda device: True)

    assert resolve_device("cuda") == torch.device("cuda:0")
    assert resolve_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize("name", ["cuda:7", "gpu", "", "mps:3", "meta"])
def test_device_that_is_not_there(name, monkeypatch):
    monkeypatch.setattr(device_module, "available_devices", lambda: ("cuda:0", "cpu"))

    with pytest.raises(CheckpointError, match=r"choose one of auto, cuda:0, cpu\.$"):
        resolve_device(name)


def test_named_device_that_does_not_run_3d_layers(monkeypatch):
    monkeypatch.setattr(device_module, "available_devices", lambda: ("mps", "cpu"))
    monkeypatch.setattr(device_module, "_runs_3d_layers", lambda device: False)

    with pytest.raises(CheckpointError, match="device mps does not run the 3-d layers"):
        resolve_device("mps")


def test_cpu_is_always_there_and_runs_3d_layers():
    assert "cpu" in available_devices()
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")
    assert device_module._runs_3d_layers(torch.device("cpu"))


def test_label_tells_the_threads():
    former = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert device_label(torch.device("cpu")) == "CPU (1 thread)"
        torch.set_num_threads(2)
        assert device_label(torch.device("cpu")) == "CPU (2 threads)"
    finally:
        torch.set_num_threads(former)


def test_tf32_is_off_inside_and_as_before_outside():
    def flags():
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    def fail_inside():
        with exact_float32():
            inside.append(flags())
            raise ZeroDivisionError

    before, inside = flags(), []
    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert inside == [(False, False)]
    assert flags() == before


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_device_is_found_and_named():
    device = resolve_device("auto")

    assert device.type == "cuda"
    assert device_label(device) == f"CUDA: {torch.cuda.get_device_name(0)}"


def test_importing_checkpoints_imports_neither_torch_nor_monai():
    code = (
        "import sys, napari_ies.checkpoints\n"
        "sys.exit(bool({'torch', 'monai', 'napari', 'qtpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_of_several_threads_none_gets_tf32_that_another_asks_for():
    """The settings are those of the process, and threads leave them in any order."""
    former = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    begun, leave = threading.Event(), threading.Event()

    def other():
        with exact_float32():
            begun.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    try:
        with exact_float32():
            thread.start()
            assert begun.wait(10)
        # This one came first and is gone; the other one still computes.
        assert not torch.backends.cudnn.allow_tf32
        with arithmetic("tf32"):
            assert not torch.backends.cudnn.allow_tf32
        leave.set()
        thread.join()
        assert torch.backends.cudnn.allow_tf32
        with exact_float32(), arithmetic("tf32"):
            assert torch.backends.cudnn.allow_tf32
    finally:
        leave.set()
        torch.backends.cudnn.allow_tf32 = former
