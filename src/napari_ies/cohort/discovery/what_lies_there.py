"""What is said where no case was found, or where cases lack files."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.errors import CohortError
from napari_ies.printable import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SHOWN = 5
"""As many names are shown."""
_DEPTH = 4


def none_found(searched: str, folder: Path) -> CohortError:
    """Return the error that nothing was found: what was searched, and what lies there instead."""
    return CohortError(f"No case was found: searched for {searched}; {what_lies(folder)}.")


def what_lies(folder: Path) -> str:
    """Say in a clause what lies in a folder: some of its files, or that it is not there."""
    if not folder.is_dir():
        above = next((one for one in folder.parents if one.is_dir()), Path(folder.anchor))
        there = "is not a folder" if folder.exists() else "is not there"
        return f"{folder} {there}, and {above} holds {some_of(_entries(above))}"
    files = islice(_files(folder, _DEPTH), SHOWN + 1)
    names = [f"{path.relative_to(folder).as_posix()}{'/' * path.is_dir()}" for path in files]
    return f"{folder} holds {some_of(names or _entries(folder))}"


def is_there(path: Path) -> bool:
    """Whether a path leads to something that may be looked at."""
    try:
        return path.exists()
    except OSError:
        return False


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder, by name; none of a folder that is not there.

    Hidden ones are left out: macOS writes ``._NAME`` beside a NAME on disks of others.

    Raises
    ------
    CohortError
        If it may not be read.
    """
    return _listed(folder, lambda entry: not entry.is_dir())


def folders_in(folder: Path, prefix: str) -> list[Path]:
    """Return the folders in a folder whose names begin so, as :func:`files_in` does files."""
    return _listed(folder, lambda entry: entry.name.startswith(prefix) and entry.is_dir())


def _listed(folder: Path, wanted: Callable[[os.DirEntry[str]], bool]) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [one.name for one in entries if not one.name.startswith(".") and wanted(one)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CohortError(
            f"{folder} cannot be read ({error.strerror}); ask for the right to, or check the disk."
        ) from error
    return [folder / name for name in sorted(names)]


def check_complete(found: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse a cohort of which some cases lack a file.

    Parameters
    ----------
    found
        For each kind of file, by what it is called, the cases that have one.

    Raises
    ------
    CohortError
        If they are not the same cases, in one sentence: how many have which, and who lacks what.
    """
    every = list(dict.fromkeys(case for cases in found.values() for case in cases))
    lacking = {kind: [case for case in every if case not in cases] for kind, cases in found.items()}
    if not any(lacking.values()):
        return
    counts = ", ".join(f"{len(cases):,} of {kind}" for kind, cases in found.items())
    missing = joined(
        [f"{kind} is missing in {some_of(names)}" for kind, names in lacking.items() if names]
    )
    raise CohortError(
        f"Not every case has all its files (there are {counts}): {missing}; add what is missing, "
        "or move these cases away."
    )


def some_of(names: Sequence[str]) -> str:
    """Say the first of some names, and whether there are more."""
    if not names:
        return "nothing"
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (" and more" if more > 0 else "")


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(f"{entry.name}{'/' * entry.is_dir()}" for entry in os.scandir(folder))
    except OSError:
        return []


def _files(folder: Path, depth: int) -> Iterable[Path]:
    """Yield the files of a folder and of those in it; of the deepest ones only themselves."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for path in entries:
        if path.name.startswith("."):
            continue
        if depth > 1 and path.is_dir():
            yield from _files(path, depth - 1)
        else:
            yield path
