"""Triton, where it is installed: PyTorch's CUDA wheels for Linux bring it, nothing else does.

It is imported where a kernel is defined, and not before: on the CPU never.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from napari_ies.own_symbols import own_symbols

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    tl: Any

AVAILABLE = find_spec("triton") is not None


def jit(*fixed: str) -> Callable[[Callable[..., None]], Any]:
    """Have a function compiled by Triton, or leave it as it is where there is no Triton.

    Parameters
    ----------
    fixed
        Names of arguments whose values never lead to another compilation: sizes change with every
        chunk, and each variant takes seconds to compile.
    """

    def compiled(function: Callable[..., None]) -> Any:
        if not AVAILABLE:
            return function
        return _triton().jit(do_not_specialize=list(fixed))(function)

    return compiled


def on_device_of(values: torch.Tensor) -> AbstractContextManager[object]:
    """Launch kernels on the device of these values: Triton asks for none but the current one."""
    return torch.cuda.device_of(values)  # type: ignore[no-untyped-call]


def __getattr__(name: str) -> Any:
    """Return Triton's language as `tl`; None where there is no Triton."""
    if name != "tl":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _triton().language if AVAILABLE else None


def _triton() -> Any:
    with own_symbols():
        return import_module("triton")


__all__ = ["AVAILABLE", "jit", "on_device_of", "tl"]
