"""Memory that ran out, in the words of each library, and the one sentence that is said of it."""

from __future__ import annotations

import errno
import sys

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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux surely limits a process's memory")
def test_memory_that_runs_out_on_the_cpu_is_said_in_a_sentence(forks):
    """PyTorch's allocator raises a plain RuntimeError there: the first line is the proof."""
    from under_a_limit import tell_what_is_said

    here, there = forks.Pipe(duplex=False)
    process = forks.Process(target=tell_what_is_said, args=(there,))
    process.start()
    there.close()  # so that its end is seen here
    said = here.recv()
    process.join()
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
