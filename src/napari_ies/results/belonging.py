"""Whose results lie in a folder: patients who share a label are told apart, never overwritten."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ies.errors import ResultsError
from napari_ies.patient.identity import Identity
from napari_ies.results.dataset import anat_folder
from napari_ies.results.provenance import data_digest
from napari_ies.results.storage.json_files import read_sidecar
from napari_ies.results.storage.writing import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ies.patient.case import Case


def told_apart(folder: str | Path, case: Case) -> tuple[Case, str]:
    """Give a case a label under which no results of other images lie in a folder.

    Results belong to a case if they were computed from at least one image with the same content
    (SHA-256 of the file; of the values for an image without one). If those under the case's label
    do not, its label gets ``x2``, ``x3``, … behind it: the one under which its own results lie,
    or else the first that is free. The same images always come to the same label.

    Parameters
    ----------
    folder
        The folder of results, there or not.
    case
        The patient to be written.

    Returns
    -------
    case, note
        The case, relabelled if need be, and a sentence that says so, which is then also among
        the case's notes; else the same case and an empty text.

    Raises
    ------
    ResultsError
        If the folder cannot be read.
    """
    folder = Path(folder).expanduser()
    contents = _Contents(case)
    with disk_errors(folder):
        owned = {name: contents.owns(folder, name) for name in _candidates(folder, case.subject)}
    if owned[case.subject]:
        return case, ""
    own = [label for label, belongs in owned.items() if belongs]
    free = [label for label, belongs in owned.items() if belongs is None]
    if not own and case.subject in free:
        return case, ""
    label = (own or free)[0]
    given = Identity(case.subject, case.visit).text
    note = (
        f"{folder.absolute().name} holds results of other images as {given}, so these are named "
        f"sub-{label}; give the patient another label if that is not wanted."
    )
    return replace(case, subject=label, notes=(*case.notes, note)), note


class _Contents:
    """The contents of a case's images, hashed where a file's own hash is not enough."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._files = {digest for digest in case.sha256 if digest}

    def owns(self, folder: Path, label: str) -> bool | None:
        """Whether the results under a label are of these images; None if there are none."""
        for path in _sidecars(folder, Identity(label, self._case.visit)):
            try:
                recorded = _recorded(read_sidecar(path))
            except (ResultsError, TypeError, AttributeError, KeyError):
                continue  # no result of ours
            if recorded is not None:
                files, data = recorded
                return bool(files & self._files) or bool(data and data & self._values)
        return None

    @cached_property
    def _values(self) -> set[str]:
        return {data_digest(values) for values in self._case.data}


def _recorded(content: dict[str, Any]) -> tuple[set[str], set[str]] | None:
    """Return the SHA-256 of files and of values that a sidecar names; None for no result."""
    if "Files" not in content:
        return None
    if "Images" in content:
        records = content["Images"]
        return (
            {record["SHA256"] for record in records if record.get("SHA256")},
            {record["DataSHA256"] for record in records if record.get("DataSHA256")},
        )
    # A saliency of version 0.1.
    records = (content.get("Provenance") or {}).get("images") or ()
    return {record["sha256"] for record in records if record.get("sha256")}, set()


def _candidates(folder: Path, label: str) -> list[str]:
    """Return a label, those made of it that are in use, and the first that is not."""
    pattern = re.compile(rf"^sub-{re.escape(label)}x(\d+)(?=$|_)")
    there = folder.iterdir() if folder.is_dir() else ()
    used = {int(found[1]) for path in there if (found := pattern.match(path.name))}
    free = next(number for number in range(2, len(used) + 3) if number not in used)
    return [label, *(f"{label}x{number}" for number in sorted({*used, free}))]


def _sidecars(folder: Path, identity: Identity) -> Iterator[Path]:
    """Yield the sidecars under some labels, those of flat folders (version 0.1) too."""
    for place in (anat_folder(folder, identity), folder):
        yield from sorted(place.glob(f"{identity.stem}_*.json"))
