"""What was done with a case, on disk: by it a run knows what is left to do."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_ies.errors import ResultsError
from napari_ies.regular_files import file_sha256, read_json
from napari_ies.results.storage.writing import json_writer, prepare, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from napari_ies.cohort.cases import CohortCase

FOLDER = "cohort"
"""In the folder of results: what belongs to no case alone."""
_CASES = "cases"
NETWORK = "network"
"""What the checkpoint is called among the places of a record."""


class CaseRecord(BaseModel):
    """What was done with a case."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    format: Literal[1] = 1
    state: Literal["running", "done", "failed"]
    inputs: dict[str, str]
    """SHA-256 of each of the case's files, by what it is; empty where one could not be read."""
    places: dict[str, str] = {}
    """Where they were, and the checkpoint: looked for there later, and known by their content."""
    segmentation: str
    """:meth:`~napari_ies.cohort.settings.CohortSettings.segmentation_key`"""
    key: str
    """:meth:`~napari_ies.cohort.settings.CohortSettings.key`"""
    noise_version: int | None = None
    """:attr:`~napari_ies.cohort.settings.CohortSettings.noise_version`"""
    files: dict[str, str] = {}
    """SHA-256 of each file that was written, by its path in the folder of results."""
    row: dict[str, Any] = {}
    """Of the table of cases."""
    lesions: list[dict[str, Any]] = []
    """Rows of the table of lesions and sequences."""

    @property
    def sentence(self) -> str:
        """What went wrong; empty if nothing did."""
        return str(self.row.get("problem") or "")


def records_folder(folder: Path) -> Path:
    """Return where the records of a folder of results lie."""
    return folder / FOLDER / _CASES


def read_record(folder: Path, case: CohortCase) -> CaseRecord | None:
    """Read the record of a case; None where there is none, or none that can be believed."""
    return record_of(folder, case.name)


def record_of(folder: Path, name: str) -> CaseRecord | None:
    """Read the record of a case by its name, such as ``"sub-07_ses-1"``; None as above."""
    try:
        content = read_json(records_folder(folder) / f"{name}.json")
        return CaseRecord.model_validate(content)
    except (OSError, ValueError, ValidationError, RecursionError):
        return None


def write_record(folder: Path, case: CohortCase, record: CaseRecord) -> None:
    """Write the record of a case, whole or not at all.

    Raises
    ------
    ResultsError
        If the disk refuses.
    """
    name = f"{case.name}.json"
    place = prepare(records_folder(folder), [name], overwrite=True)
    write(place, {name: json_writer(record.model_dump())})


def hashes(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the SHA-256 of files by what they are; empty if one cannot be read."""
    try:
        return {what: file_sha256(path.expanduser()) for what, path in files.items()}
    except (OSError, RuntimeError):
        return {}


def written(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of files by their paths in a folder of results."""
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted({*paths})}


def still_there(record: CaseRecord | None, folder: Path) -> dict[str, str]:
    """Return the files of a record that are as they were: those of lesions chosen before, too."""
    found = {}
    for name, sha in ({} if record is None else record.files).items():
        with contextlib.suppress(OSError):
            if file_sha256(folder / name) == sha:
                found[name] = sha
    return found


def renewed(
    record: CaseRecord | None, folder: Path, files: Mapping[str, str], numbered: str
) -> dict[str, str]:
    """Return what a case's record says of its files now: those of lesions chosen before stay.

    Parameters
    ----------
    record
        As it was before.
    folder
        Of the results.
    files
        What is of this run.
    numbered
        A folder whose names number the lesions of a run: what it held before is removed.
    """
    kept = still_there(record, folder)
    for name in [one for one in kept if one.startswith(f"{numbered}/") and one not in files]:
        with contextlib.suppress(OSError):
            (folder / name).unlink()
        del kept[name]
    return {**kept, **files}


def other_noise(record: CaseRecord | None, noise_version: int | None) -> int | None:
    """Return which definition of the noise a case's maps have, if it is another one.

    It belongs to the settings, so a case of the other noise is not taken for done; but its numbers
    differ from the new ones for no reason that the command's options show.
    """
    there = None if record is None else record.noise_version
    if record is not None and record.state == "failed" and not record.files:
        return None
    return None if None in (there, noise_version) or there == noise_version else there


def replaced_maps(record: CaseRecord | None, noise_version: int | None) -> str:
    """Say in a clause which maps of a case give way to those of another definition of the noise."""
    there = other_noise(record, noise_version)
    if there is None:
        return ""
    return f"in place of maps with the noise that --noise-version {there} gives again"


def refuse_other_noise(
    folder: Path, cases: Iterable[CohortCase], noise_version: int | None
) -> None:
    """Refuse to replace maps of another definition of the noise, as the command explain does.

    Raises
    ------
    ResultsError
        If there are some.
    """
    there = [other_noise(read_record(folder, case), noise_version) for case in cases]
    others = [version for version in there if version is not None]
    if others:
        raise ResultsError(
            f"{folder} holds maps of {len(others)} of these cases with the noise that "
            f"--noise-version {others[0]} gives again; go on with that, choose another folder, or "
            "replace them with --overwrite."
        )


def refuse_others(record: CaseRecord | None, folder: Path, paths: Iterable[Path]) -> None:
    """Refuse to replace what no run over the cohort wrote, or what was changed since.

    Parameters
    ----------
    record
        Of the case, as it was before; None where there was none.
    folder
        Of the results.
    paths
        Files that would be replaced, as far as they are there.

    Raises
    ------
    ResultsError
        If one is not the cohort's own. A run that was stopped did not come to record what it
        wrote: what is not recorded may be its own, then.
    """
    known = {} if record is None else record.files
    stopped = record is not None and record.state == "running"
    for path in paths:
        digest = known.get(path.relative_to(folder).as_posix())
        if not path.exists() or (stopped and digest is None) or file_sha256(path) == digest:
            continue
        whose = "was changed since" if digest else "is no file of this cohort's run"
        raise ResultsError(
            f"{path} is there already, {whose} and is not what would be computed; choose another "
            "folder, or allow overwriting with --overwrite."
        )


def is_done(record: CaseRecord, folder: Path, inputs: Mapping[str, str], key: str) -> bool:
    """Whether a case was done with these inputs and settings, and all files are as they were."""
    same = inputs and (record.inputs, record.key) == (inputs, key)
    if record.state != "done" or not same:
        return False
    try:
        return all(file_sha256(folder / name) == sha for name, sha in record.files.items())
    except OSError:
        return False


def remove_outdated(
    record: CaseRecord | None, folder: Path, inputs: Mapping[str, str], segmentation: str
) -> None:
    """Remove what was written for other images, or for lesions of other numbers.

    A file that somebody changed since stays as it is.
    """
    if record is None or not inputs:
        return
    if record.inputs == inputs and record.segmentation == segmentation:
        return
    for name in still_there(record, folder):
        with contextlib.suppress(OSError):
            (folder / name).unlink()
