"""Cases of a BIDS dataset: ``sub-XX[/ses-YY]/anat``, of the dataset and of derivatives.

Entities and folders are read as `patient.identity` reads them everywhere; an index of the dataset
(pybids) would bring a database along for one glob per session.
"""

from __future__ import annotations

from fnmatch import fnmatch
from functools import partial
from typing import TYPE_CHECKING

from napari_ies.cohort.cases import CohortCase, distinct
from napari_ies.cohort.discovery.what_lies_there import none_found
from napari_ies.errors import CohortError
from napari_ies.patient.bids_label import bids_label, name_of
from napari_ies.patient.sequence_names import guess_sequences
from napari_ies.printable import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_ENDINGS = (".nii.gz", ".nii")


def find_cases(
    root: Path,
    sequences: Sequence[str],
    *,
    derivatives: Sequence[Path] = (),
    patterns: Mapping[str, str] | None = None,
    reference: str | None = None,
) -> list[CohortCase]:
    """Find the cases of a dataset, by name: a session each, or a subject without sessions.

    Parameters
    ----------
    root
        The dataset.
    sequences
        The network's inputs, in order.
    derivatives
        Datasets laid out alike, of which images are taken before the raw ones.
    patterns
        For a sequence, what its file is called (``*`` and the like serve); by default a file whose
        suffix says the sequence.
    reference
        What the masks of an expert are called; none without it. A case may lack one.

    Raises
    ------
    CohortError
        If there is no case with an image. One that lacks an image, or has several for a sequence,
        is a case with a trouble.
    """
    roots = [*derivatives, root]
    for one in derivatives:
        if not one.is_dir():
            raise none_found(str(one / "sub-*" / "**" / "anat"), one)
    stated = dict(patterns or {})
    unknown = [name for name in stated if name not in sequences]
    if unknown:
        raise CohortError(
            f"The network has no input {joined(unknown)}; it takes {', '.join(sequences)}."
        )
    cases = [
        _case(name, [one / name for one in roots], sequences, stated, reference)
        for name in _sessions(roots)
    ]
    cases = [case for case in cases if case.images or not case.trouble]
    if not cases:
        searched = ", ".join(f"{name} as {stated.get(name, f'*_{name}')}" for name in sequences)
        raise none_found(f"{root}/sub-*[/ses-*]/anat with {searched}", root)
    return distinct(cases)


def _sessions(roots: Sequence[Path]) -> list[str]:
    """Return the folders of sessions, or of subjects without, relative to a dataset."""
    found = set()
    for root in roots:
        for subject in root.glob("sub-*/"):
            sessions = [f"{subject.name}/{one.name}" for one in subject.glob("ses-*/")]
            found |= {*(sessions or [subject.name])}
    return sorted(name for name in found if not _is_above(name, found))


def _is_above(name: str, others: set[str]) -> bool:
    """Whether a subject has sessions in another dataset, so that it is no case itself."""
    return any(other.startswith(f"{name}/") for other in others)


def _case(
    name: str,
    folders: Sequence[Path],
    sequences: Sequence[str],
    patterns: Mapping[str, str],
    reference: str | None,
) -> CohortCase:
    images, troubles = {}, []
    for sequence in sequences:
        found = _first(folders, partial(_is_of, sequence=sequence, patterns=patterns))
        if len(found) == 1:
            images[sequence] = found[0]
        elif found:
            troubles.append(
                f"{name} has {len(found)} images for {sequence} "
                f"({joined([file.name for file in found[:3]])}); say which with --image "
                f"{sequence}=PATTERN."
            )
        else:
            troubles.append(f"{name} has no image for {sequence}.")
    masks = []
    if reference is not None:
        masks = _first(folders, lambda file: fnmatch(file.name, reference))
    if len(masks) > 1:
        troubles.append(
            f"{name} has {len(masks)} references ({joined([file.name for file in masks[:3]])}); "
            "give a pattern that fits one."
        )
    subject, _, visit = name.partition("/")
    return CohortCase(
        subject=bids_label(subject.removeprefix("sub-")),
        visit=bids_label(visit.removeprefix("ses-")),
        images=images,
        reference=masks[0] if len(masks) == 1 else None,
        place=name,
        trouble=" ".join(troubles),
    )


def _is_of(file: Path, sequence: str, patterns: Mapping[str, str]) -> bool:
    if sequence in patterns:
        return fnmatch(file.name, patterns[sequence])
    suffix = name_of(file).rpartition("_")[2]
    return bool(guess_sequences([sequence], {"": suffix}))


def _first(folders: Sequence[Path], wanted: Callable[[Path], bool]) -> list[Path]:
    """Return the files that are wanted from the first dataset that has some."""
    for folder in folders:
        found = [file for file in _images(folder) if wanted(file)]
        if found:
            return found
    return []


def _images(folder: Path) -> Iterator[Path]:
    anat = folder / "anat"
    for file in sorted(anat.iterdir()) if anat.is_dir() else ():
        if file.name.endswith(_ENDINGS):
            yield file
