"""Memory that ran out, in the words of each library, and the one sentence that is said of it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_ies.errors import CaseError, SaliencyError
from napari_ies.free_memory import is_out_of_memory, within_memory

SAID = [
    MemoryError(),
    MemoryError("Unable to allocate 74.5 GiB for an array with shape (10000000000,)"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 40000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    RuntimeError("std::bad_alloc"),
    torch.OutOfMemoryError("Allocation on device"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("MPS backend out of memory (MPS allocated: 5.91 GB)"),
]

OTHERS = [
    RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
    OSError(errno.ENOENT, "No such file", "out of memory.nii"),
    ValueError("not enough memory"),
    CaseError("out of memory.nii is no NIfTI image."),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", SAID, ids=lambda error: str(error)[:40] or "MemoryError")
def test_what_libraries_say_where_memory_ran_out_is_known(error):
    assert is_out_of_memory(error)
    with pytest.raises(SaliencyError) as raised, within_memory(SaliencyError, "do this", "rest"):
        raise error
    assert str(raised.value) == (
        "There is not enough memory to do this; close other programs, or rest."
    )


@pytest.mark.parametrize("error", OTHERS, ids=lambda error: type(error).__name__)
def test_other_errors_pass_as_they_are(error):
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)) as raised, within_memory(SaliencyError, "do this"):
        raise error
    assert raised.value is error


UNDER_A_LIMIT = """
import resource, sys
import numpy as np
import torch
from cases import ball, random_case
from networks import small_model
from napari_ies import explain, segment
from napari_ies.counterfactual.counterfactual import what_if
from napari_ies.counterfactual.edit import Edit

torch.set_num_threads(1)
size = (16, 16, 16)
model, case = small_model(), random_case(size)
large, mask = random_case((160, 160, 160)), ball((160, 160, 160), (80, 80, 80), 1.5)
explained = dict(forward="whole-volume", memory_gib=1.0)
segmented = segment(model, case)
for method in ("smoothgrad", "gradcam++"):
    explain(model, case, ball(size, (8, 8, 8), 1.5), n_samples=1, method=method, **explained)
works = {
    "allocator": lambda: torch.zeros(10**10),
    "array": lambda: np.ones(10**11),
    "whole": lambda: segment(model, large, forward="whole-volume"),
    "windows": lambda: segment(model, large),
    "gradients": lambda: explain(model, large, mask, n_samples=1, jacobian="loop", **explained),
    "Grad-CAM++": lambda: explain(model, large, mask, method="gradcam++", **explained),
    "changed": lambda: what_if(model, large, segmented, mask, Edit("FLAIR", "brighten")),
}
for name, work in works.items():
    held = next(line for line in open("/proc/self/status") if line.startswith("VmSize"))
    limit = 1024 * int(held.split()[1]) + 40 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        work()
        said = "was done"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(name, "|", said)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux surely limits a process's memory")
def test_memory_that_runs_out_on_the_cpu_is_said_in_a_sentence():
    """PyTorch's allocator raises a plain RuntimeError there: the first line is the proof."""
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    ran = subprocess.run(
        [sys.executable, "-c", UNDER_A_LIMIT],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        # Large arrays go back to the system when they are freed: what one work held is not
        # what another one, which is to find no memory, then runs in.
        env={**os.environ, "PYTHONPATH": paths, "MALLOC_MMAP_THRESHOLD_": str(2**17)},
    )
    assert ran.returncode == 0, ran.stderr
    said = dict(line.split(" | ") for line in ran.stdout.splitlines())
    assert said.pop("allocator").startswith("RuntimeError: ")
    assert "MemoryError: " in said.pop("array")
    assert {name: text.split(" to ")[0] for name, text in said.items()} == {
        "whole": "SegmentationError: There is not enough memory",
        "windows": "SegmentationError: There is not enough memory",
        "gradients": "SaliencyError: There is not enough memory",
        "Grad-CAM++": "SaliencyError: There is not enough memory",
        "changed": "SegmentationError: There is not enough memory",
    }
    assert all("; close other programs, or choose" in text for text in said.values())
