"""Where a network computes."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from napari_ies.errors import CheckpointError
from napari_ies.free_memory import free_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Choose the device to compute on.

    Parameters
    ----------
    device
        ``"auto"``: CUDA where it is there and works, else Apple's MPS where 3-d convolutions and
        their gradients run there, else the CPU. ``"cpu"``, ``"mps"``, ``"cuda"`` (the first one)
        or ``"cuda:1"``: that one.

    Raises
    ------
    CheckpointError
        If a named device is not here, or does not run 3-d layers.
    """
    import torch

    if str(device) == "auto":
        candidates = (torch.device(name) for name in available_devices() if name != "cpu")
        return next((d for d in candidates if _runs_3d_layers(d)), torch.device("cpu"))
    name = "cuda:0" if str(device) == "cuda" else str(device)
    if name not in available_devices():
        raise CheckpointError(
            f"There is no device {str(device)!r} on this machine: choose one of "
            f"{', '.join(('auto', *available_devices()))}."
        )
    chosen = torch.device(name)
    if chosen.type != "cpu" and not _runs_3d_layers(chosen):
        raise CheckpointError(
            f"The device {name} does not run the 3-d layers of these networks with this PyTorch "
            f"({torch.__version__}): choose cpu."
        )
    return chosen


def available_devices() -> tuple[str, ...]:
    """Return the names of this machine's devices, such as ``("cuda:0", "cpu")``, fastest first."""
    import torch

    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return (*cuda, *mps, "cpu")


def device_label(device: torch.device) -> str:
    """Name a device for a person: ``"CPU (2 threads)"``, ``"CUDA: NVIDIA H200"``."""
    import torch

    if device.type == "cuda":
        return f"CUDA: {torch.cuda.get_device_name(device)}"
    if device.type == "mps":
        return "MPS: Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU ({threads} thread{'s' if threads != 1 else ''})"


def runs_ahead(device: torch.device) -> bool:
    """Whether a device has memory of its own and computes on while Python goes on.

    Whoever reads a value from it waits for all that was asked of it before.
    """
    return device.type != "cpu"


def free_on(device: torch.device) -> int:
    """Return how many bytes are free on a device, as its driver or the system says."""
    import torch

    if device.type == "cuda":
        reusable = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + reusable
    return free_memory()


def on_host(values: torch.Tensor) -> torch.Tensor:
    """Return values on the CPU, from CUDA by pinned memory: a copy to ordinary memory crawls."""
    import torch

    if values.device.type != "cuda":
        return values.cpu()
    try:
        pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    except RuntimeError:  # there is only so much of it
        return values.cpu()
    return pinned.copy_(values).clone()


def when_done(device: torch.device) -> Callable[[], None]:
    """Return what waits until all that was asked of a device so far is done."""
    import torch

    if device.type == "cuda":
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(device))
        return event.synchronize
    if device.type == "mps":
        return torch.mps.synchronize
    return lambda: None


@contextmanager
def arithmetic(precision: str = "float32", device: torch.device | None = None) -> Iterator[None]:
    """Compute convolutions and matrix products in a precision inside this context.

    cuDNN's convolutions otherwise round their input to TF32 (10 bits of mantissa), which moves
    gradients by up to a part in a thousand. The former settings come back on leaving. They are
    those of the whole process: of threads that compute at once all do so exactly if one is to.

    Parameters
    ----------
    precision
        ``"float32"``: true float32. ``"tf32"``: TF32 allowed on CUDA; elsewhere there is none, and
        nothing changes. ``"bf16"``: a forward inside this context has its convolutions and matrix
        products in bfloat16, and a backward pass through it, inside or outside, has so too.
    device
        Where a forward runs; not needed for a backward pass, nor where the precision is not bf16.
    """
    import torch

    forward: AbstractContextManager[object] = nullcontext()
    if precision == "bf16" and device is not None:
        forward = torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)
    own = threading.get_ident()
    with _settings:
        if not _asked:
            _former[:] = _tf32()
        _asked.setdefault(own, []).append(precision)
        _set_tf32()
    try:
        with forward:
            yield
    finally:
        with _settings:
            _asked[own].pop()
            if not _asked[own]:
                del _asked[own]
            _set_tf32()


_settings = threading.Lock()
_asked: dict[int, list[str]] = {}
"""What each thread asks for, the innermost last: the settings are those of the whole process."""
_former: list[bool] = []


def _tf32() -> tuple[bool, bool]:
    import torch

    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def _set_tf32() -> None:
    """Allow TF32 if every thread does that asks for something; as before where none asks."""
    import torch

    every = all(wanted[-1] == "tf32" for wanted in _asked.values())
    matmul, convolution = (every, every) if _asked else _former
    torch.backends.cuda.matmul.allow_tf32 = matmul
    torch.backends.cudnn.allow_tf32 = convolution


def exact_float32() -> AbstractContextManager[None]:
    """Compute convolutions and matrix products in true float32: see :func:`arithmetic`."""
    return arithmetic("float32")


def _runs_3d_layers(device: torch.device) -> bool:
    """Try a 3-d convolution, its transpose and the gradient of both on a device."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        layers = nn.Sequential(
            nn.Conv3d(1, 2, 3, stride=2, padding=1), nn.ConvTranspose3d(2, 1, 2, stride=2)
        )
    try:
        image = torch.ones(1, 1, 4, 4, 4, device=device, requires_grad=True)
        (gradient,) = torch.autograd.grad(layers.to(device)(image).sum(), image)
        return bool(gradient.isfinite().all())
    except (RuntimeError, NotImplementedError):
        return False
