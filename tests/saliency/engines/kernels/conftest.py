"""Kernels run on a card where there is one, else on the CPU in Triton's interpreter."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
import torch

from napari_ies.network.device import exact_float32

if TYPE_CHECKING:
    from collections.abc import Iterator

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # is read when a kernel is defined


@pytest.fixture(autouse=True)
def no_answer_that_nobody_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter works out whether each whole number is too large, and only debugging is told.

    That was half of its time.
    """
    if os.environ.get("TRITON_INTERPRET") and find_spec("triton") is not None:
        from triton.runtime.interpreter import InterpreterOptions, interpreter_builder

        assert not interpreter_builder.options.debug
        options = InterpreterOptions(sanitize_overflow=False)
        monkeypatch.setattr(interpreter_builder, "options", options)


@pytest.fixture
def device() -> Iterator[torch.device]:
    """Where kernels run; layers without one compute in true float32 there, as the engine's do."""
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed: it is there for Linux alone")
    with exact_float32():
        yield torch.device("cuda" if torch.cuda.is_available() else "cpu")
