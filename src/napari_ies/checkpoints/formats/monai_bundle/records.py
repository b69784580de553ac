"""The files of a MONAI bundle, in a folder or a zip archive that is never unpacked to a disk."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from napari_ies.checkpoints.file import archive
from napari_ies.errors import CheckpointError
from napari_ies.free_memory import lacking
from napari_ies.regular_files import open_regular, read_regular, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

CONFIGS = tuple(f"configs/inference.{ending}" for ending in ("json", "yaml", "yml"))
METADATA = "configs/metadata.json"
MODEL = "models/model.pt"
MOST_TEXT = 256 << 10
"""Bytes of a configuration; those that are published have up to some 20,000."""


@dataclass(frozen=True)
class Records:
    """What a bundle holds, by its names, with slashes."""

    names: tuple[str, ...]
    """Of all that may be read here."""
    read: Callable[[str, int | None], bytes]
    """Reads one of them, of at most so many bytes; raises `CheckpointError` in a clause."""
    sha256: str
    """Of the archive; empty for a folder."""


def is_bundle(path: Path) -> bool:
    """Whether a folder or a zip archive holds what makes a bundle; nothing is unpacked."""
    with suppress(OSError, ValueError):
        return any(name in CONFIGS for name in _names(path))
    return False


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of a bundle's folder that are used, by their names in it."""
    names = [next((name for name in CONFIGS if (folder / name).is_file()), ""), METADATA, MODEL]
    return {name: folder / name for name in names if name and (folder / name).is_file()}


def records_of(path: Path) -> Records:
    """Open a bundle.

    Raises
    ------
    CheckpointError
        If it cannot be read, in a clause.
    """
    if path.is_dir():
        files = files_of(path)
        return Records(tuple(files), lambda name, most: _from_disk(files[name], name, most), "")
    try:
        content = _whole(path)
        top = _top(archive.directory(io.BytesIO(content), len(content)))
        inside = [f"{top}{name}" for name in (*CONFIGS, METADATA, MODEL)]
        found = archive.read_records(content, inside)
    except (archive.DamagedError, archive.PackedError) as error:
        raise CheckpointError(str(error)) from error
    records = {name.removeprefix(top): data for name, data in found.items()}

    def read(name: str, most: int | None) -> bytes:
        if most is not None and len(records[name]) > most:
            raise CheckpointError(_too_large(name, most))
        return bytes(records[name])

    return Records(tuple(records), read, sha256_of(content))


def _names(path: Path) -> Collection[str]:
    """Return what may be a bundle's names in a folder or an archive; empty for any other file."""
    if path.is_dir():
        return files_of(path)
    with open_regular(path) as file:
        if file.read(len(archive.MAGIC)) != archive.MAGIC:
            return ()
        file.seek(0)
        entries = archive.directory(file, os.fstat(file.fileno()).st_size)
    top = _top(entries)
    return [entry.filename.removeprefix(top) for entry in entries]


def _top(entries: Collection[object]) -> str:
    """Return the folder that an archive's bundle lies in: its top, or the one folder there."""
    names = [str(getattr(entry, "filename", "")) for entry in entries]
    for name in names:
        if PurePosixPath(name).name.startswith("inference.") and name.count("/") <= 2:
            for config in CONFIGS:
                if name == config or name.endswith(f"/{config}"):
                    return name.removesuffix(config)
    return ""


def _whole(path: Path) -> bytes:
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if lack := lacking(2 * size):
            raise CheckpointError(f"it {lack}: close other programs")
        return file.read(size + 1)


def _from_disk(path: Path, name: str, most: int | None) -> bytes:
    try:
        return read_regular(path, most)
    except OSError as error:
        if most is not None and getattr(error, "errno", None) == 27:
            raise CheckpointError(_too_large(name, most)) from error
        raise CheckpointError(f"{name} cannot be read ({error.strerror})") from error


def _too_large(name: str, most: int) -> str:
    return f"{name} holds more than {most >> 10} kB, where a short configuration was expected"
