"""The versions of what computed a result."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

__version__ = "0.1.0"
"""Of napari-ies."""
PACKAGES = ("torch", "monai", "numpy", "scipy", "nibabel")
"""Those whose code computes with it."""


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages whose code made a result."""
    return dict(_versions())


@cache  # read from files, which took 15 ms of every click
def _versions() -> dict[str, str]:
    # Ours as the code itself says it: a source tree need not be installed.
    found = {"python": platform.python_version(), "napari-ies": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a source tree of its own
            continue
    return found
