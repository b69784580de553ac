"""Triton, where it is installed: PyTorch's CUDA wheels for Linux bring it, nothing else does."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

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
        import triton

        return triton.jit(do_not_specialize=list(fixed))(function)

    return compiled


def on_device_of(values: torch.Tensor) -> AbstractContextManager[object]:
    """Launch kernels on the device of these values: Triton asks for none but the current one."""
    return torch.cuda.device_of(values)  # type: ignore[no-untyped-call]


if AVAILABLE:
    from triton import language as tl
else:
    tl = None

__all__ = ["AVAILABLE", "jit", "on_device_of", "tl"]
