"""Networks without the random numbers that they begin with, which a file's own will replace.

To draw them took most of the time in which a network is built, and on tensors without memory they
went by PyTorch's compiler, which takes more than a second to import.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from torch import nn

_T = torch.Tensor
_DRAWN = frozenset({init.kaiming_uniform_, init.uniform_, init.normal_, _T.uniform_, _T.normal_})
"""Operations that fill a tensor with random numbers."""
_PUT = _DRAWN | {init.constant_, _T.fill_, _T.zero_, _T.erfinv_, _T.mul_, _T.add_, _T.clamp_}
"""Operations that change a tensor's numbers, and nothing else of it."""


@contextmanager
def without_memory() -> Iterator[None]:
    """Let tensors have shapes and no memory.

    Only the few rates of stochastic depth, which SwinUNETR looks at, are kept in memory.
    """
    with torch.device("meta"), _NotPut():
        yield


class _NotPut(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _PUT and (tensor := _first(args, kwargs)).is_meta:
            return tensor
        if func is torch.linspace:
            kwargs["device"] = "cpu"
        return func(*args, **kwargs)


def undrawn(build: Callable[[], nn.Module], replaced_by: Collection[str]) -> nn.Module:
    """Build a network whose random numbers are NaN, if those of a file will replace them all.

    Parameters
    ----------
    build
        Builds it with its initial weights.
    replaced_by
        Keys of the file's tensors. Where random numbers are left that they do not replace, the
        network is built with all of its own.
    """
    with torch.random.fork_rng(devices=[]), _NotDrawn():
        network = build()
    own = chain(
        network.named_parameters(remove_duplicate=False),
        network.named_buffers(remove_duplicate=False),
    )
    if any(bool(one.isnan().any()) for key, one in own if key not in replaced_by):
        return build()
    return network


class _NotDrawn(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in _DRAWN:
            tensor = _first(args, kwargs or {})
            with torch.no_grad():
                return tensor.fill_(torch.nan)
        return func(*args, **(kwargs or {}))


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return kwargs["tensor"] if "tensor" in kwargs else args[0]
