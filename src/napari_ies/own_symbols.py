"""Libraries that are loaded here call what they bring, whatever was loaded before them."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def own_symbols() -> Iterator[None]:
    """Have libraries that are loaded within call their own functions first, on Linux.

    Mesa's OpenGL, once a window has painted with it, has loaded an LLVM for the whole program.
    Triton brings another one: bound to Mesa's, it ends the program as it is imported.
    """
    own = getattr(os, "RTLD_DEEPBIND", 0)  # elsewhere a library's symbols are its own anyway
    if not own:
        yield
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | own)
    try:
        yield
    finally:
        sys.setdlopenflags(flags)


def load_triton() -> None:
    """Load Triton, if it is installed, before PyTorch does so in its own way."""
    if find_spec("triton") is not None:
        with own_symbols():
            import_module("triton")
