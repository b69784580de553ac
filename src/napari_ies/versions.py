"""The versions of what computed a result."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("napari-ies", "torch", "monai", "numpy", "scipy", "nibabel")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages whose code made a result."""
    return dict(_versions())


@cache  # read from files, which took 15 ms of every click
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a source tree that was never installed
            continue
    return found
