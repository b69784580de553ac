"""Who may write to a folder of results: one run alone, or jobs that have their own cases each.

Whoever comes passes a gate, one after another, and looks behind it who is there already: so two
that exclude each other never both begin, and none waits for work that takes hours.
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from napari_ies.cohort.record import FOLDER, records_folder
from napari_ies.errors import CohortError
from napari_ies.regular_files import read_json
from napari_ies.results.dataset import describe_dataset
from napari_ies.results.storage.writing import disk_errors, json_writer, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_ies.cohort.cases import CohortCase

RUN = "run.json"
"""In the cohort's folder: who runs there alone."""
_ALONE, _GATE = "lock", "gate"
_OF_A_CASE = ".lock"
_AT_THE_GATE_S = 120.0
"""As long is waited at the gate: for hundreds of jobs that begin at once, on a slow disk."""
MOST_LOCKS = 200
"""Of a job's own cases: a file is open for each. A job that has more takes the folder alone."""


@contextmanager
def locked(folder: Path, cases: Sequence[CohortCase], *, alone: bool = True) -> Iterator[None]:
    """Keep others out of a folder of results, or out of some of its cases.

    What describes the dataset is written here, with all datasets that the images lie in: it is what
    jobs share, so each changes it while no other does.

    Parameters
    ----------
    folder
        The folder of results.
    cases
        What is worked on.
    alone
        Whether nobody else may write to the folder; else nobody else may work on these cases.

    Raises
    ------
    CohortError
        If somebody is there.
    ResultsError
        If the disk refuses.
    """
    place = folder / FOLDER
    with ExitStack() as held:
        with disk_errors(place):
            records_folder(folder).mkdir(parents=True, exist_ok=True)
            gate = FileLock(place / _GATE)
            if not _taken(gate, _AT_THE_GATE_S):
                raise CohortError(
                    f"Other jobs keep {place / _GATE} locked, each only for a moment; give the "
                    "same command again, and see that the disk answers."
                )
            try:
                _enter(folder, cases, alone or len(cases) > MOST_LOCKS, held)
                images = [path for case in cases for path in case.images.values()]
                describe_dataset(folder, images)
            finally:
                gate.release()
        yield


@contextmanager
def case_locked(folder: Path, case: CohortCase) -> Iterator[None]:
    """Work on a case while no other worker does, even one that the scheduler has lost.

    One that lives on without its run is waited for: then the case is done. A run that comes
    meanwhile is told that somebody works there.
    """
    with disk_errors(folder), FileLock(records_folder(folder) / f"{case.name}{_OF_A_CASE}"):
        yield


def _enter(folder: Path, cases: Sequence[CohortCase], alone: bool, held: ExitStack) -> None:
    place, records = folder / FOLDER, records_folder(folder)
    whole = FileLock(place / _ALONE)
    if not _taken(whole):
        raise CohortError(
            f"Another run writes to {folder}{_who(place)}; wait for it, or choose another folder."
        )
    held.callback(whole.release)
    own = [records / f"{case.name}{_OF_A_CASE}" for case in cases]
    for path in sorted(records.glob(f"*{_OF_A_CASE}")) if alone else own:
        lock = FileLock(path)
        if not _taken(lock):
            raise CohortError(
                f"Another job works on {path.name.removesuffix(_OF_A_CASE)} in {folder}; wait for "
                "it, or choose another folder."
            )
        if alone:
            lock.release()
        else:
            held.callback(lock.release)
    if not alone:
        whole.release()
        return
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    write(
        place,
        {RUN: json_writer({"Host": platform.node(), "Process": os.getpid(), "Started": now})},
    )


def _taken(lock: FileLock, seconds: float = 0) -> bool:
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        return False
    return True


def _who(place: Path) -> str:
    """Say in a clause whose run it is, as far as it told."""
    try:
        said = read_json(place / RUN)
        return f" (process {said['Process']} on {said['Host']}, since {said['Started']})"
    except (OSError, ValueError, LookupError, TypeError, json.JSONDecodeError):
        return ""
