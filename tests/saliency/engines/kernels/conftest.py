"""Kernels run on a card where there is one, else on the CPU in Triton's interpreter."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # is read when a kernel is defined


@pytest.fixture
def device() -> torch.device:
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed: it is there for Linux alone")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
