"""The formats of checkpoints, a module each, found by what a file or folder holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.checkpoints.formats import exported, monai_bundle, nnunet, state_dict, torchscript
from napari_ies.checkpoints.formats.format import Format, sha256_of_files
from napari_ies.regular_files import file_sha256

if TYPE_CHECKING:
    from pathlib import Path

FORMATS: tuple[Format, ...] = (nnunet, monai_bundle, torchscript, exported, state_dict)
"""In the order in which they are asked; the last one takes what no other recognises."""


def recognised(path: Path) -> Format | None:
    """Return the format that a file or folder shows to be in, or None: a state dict at most."""
    return next((one for one in FORMATS[:-1] if one.recognises(path)), None)


def format_of(path: Path) -> Format:
    """Return the format of a checkpoint's file or folder."""
    return recognised(path) or FORMATS[-1]


def checkpoint_sha256(path: Path) -> str:
    """Return the SHA-256 in hexadecimal that a checkpoint is known by: of its file or files.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    files = format_of(path).files(path) if path.is_dir() else {}
    if not files:
        return file_sha256(path)
    return sha256_of_files({name: file_sha256(file) for name, file in files.items()})
