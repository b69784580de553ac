"""Search: the files that a session refers to, found by their content (SHA-256)."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from napari_ies.checkpoints import checkpoint_sha256
from napari_ies.errors import CaseError
from napari_ies.patient.images.volume import Volume, read_volume
from napari_ies.progress import Progress
from napari_ies.regular_files import open_regular

if TYPE_CHECKING:
    from napari_ies.results.session.record import FileEntry

DEMO_NETWORK = "demo_unet.pth"
PIECE = 64 << 20
"""Bytes that are read between two reports: whoever waits can stop waiting there."""
MOST_KEPT = 4 << 30
"""Bytes of an image that are kept from checking it to unpacking it; a larger one is read again."""

Found = TypeVar("Found")
Searching = Generator[Progress[Any], None, Found]
"""A search under way: it reports how far it is, so that a file of any size can be given up."""


@dataclass(eq=False)
class Search:
    """Looks for files, and says what is not as it was."""

    folder: Path
    """Of the session."""
    problems: list[str] = field(default_factory=list)
    """Sentences about what is missing or changed; they grow."""
    moved: list[str] = field(default_factory=list)
    """Sentences about what lies elsewhere now; they grow."""

    def find_image(self, file: FileEntry) -> Searching[Volume | None]:
        """Return what an image file holds, if it has the content it had; else None and a problem.

        Raises
        ------
        CaseError
            If it cannot be read all the same.
        """
        kept = io.BytesIO()
        path = yield from self.find(file, kept)
        if path is None:
            return None
        volume = read_volume(path, constant_is_error=False, content=kept.getvalue())
        if volume.sha256 != file.sha256:  # a large one, read again
            raise CaseError(
                f"{path} was changed while the session was being opened; open it again."
            )
        return volume

    def find(
        self, file: FileEntry | None, kept: io.BytesIO | None = None
    ) -> Searching[Path | None]:
        """Return where a file lies with the content it had; else None and a problem.

        Parameters
        ----------
        file
            What is looked for.
        kept
            Takes the content, if that is not too large.
        """
        if file is None:
            return None
        there: list[Path] = []
        for place in _places(self.folder, file):
            try:
                same = yield from _holds(place, file.sha256, kept)
            except (OSError, ValueError):
                continue
            if not same:
                there.append(place)
                continue
            if place != _normal(Path(file.absolute)):
                self.moved.append(
                    f"{file.name} was found at {place} with the content it had; it lay at "
                    f"{file.absolute} before."
                )
            return place
        if there:
            self.problems.append(
                f"{there[0]} has changed since the session was saved, so it is not used; put the "
                "former file back and open the session again."
            )
        else:
            self.problems.append(
                f"{file.name} is missing: it lay at {file.absolute}; put it there or beside "
                f"{self.folder} and open the session again."
            )
        return None

    def fault(self, files: Mapping[str, str]) -> Searching[str]:
        """Say what is wrong with files of the session, SHA-256 by name, or nothing."""
        for name, digest in files.items():
            try:
                if not (yield from _holds(self.folder / name, digest)):
                    return f"{name} has changed since the session was saved"
            except FileNotFoundError:
                return f"{name} is missing"
            except (OSError, ValueError) as error:
                return f"{name} cannot be read ({getattr(error, 'strerror', None) or error})"
        return ""


def _holds(path: Path, digest: str, kept: io.BytesIO | None = None) -> Searching[bool]:
    """Whether a file has this content, or a folder that is a checkpoint."""
    if path.is_dir():
        yield Progress(f"Checking {path.name}", 0, 0, "")
        return checkpoint_sha256(path) == digest
    # No device, pipe or folder: reading one would not end.
    with open_regular(path) as file:
        total = os.fstat(file.fileno()).st_size
        found, done = hashlib.sha256(), 0
        step = f"Checking {path.name}"
        if kept is not None:
            kept.seek(0)
            kept.truncate()
        while piece := file.read(PIECE):
            found.update(piece)
            if kept is not None and total <= MOST_KEPT:
                kept.write(piece)
            done += len(piece)
            # Never its end: that is the whole session's to report.
            yield Progress(step, min(done, total - 1) >> 20, max(total >> 20, 1), "MB")
    return found.hexdigest() == digest


def _places(folder: Path, file: FileEntry) -> list[Path]:
    """Return where a file may lie, the likeliest first, each place once."""
    name = PurePath(file.name).name
    places = [] if file.relative is None else [folder / file.relative]
    places.append(Path(file.absolute))
    places += [parent / name for parent in (folder, *folder.absolute().parents[:2])]
    if name == DEMO_NETWORK:  # it lies wherever this program is installed now
        places.append(Path(str(files("napari_ies") / "demo" / name)))
    return list(dict.fromkeys(map(_normal, places)))


def _normal(path: Path) -> Path:
    """Return an absolute path without ``..``, links as they are."""
    return Path(os.path.normpath(path.absolute()))
