"""Cases of a BIDS dataset: ``sub-XX[/ses-YY]/anat``, of the dataset and of derivatives.

Entities and folders are read as `patient.identity` reads them everywhere; an index of the dataset
(pybids) would bring a database along for one glob per session.
"""

from __future__ import annotations

import logging
from fnmatch import fnmatch
from functools import partial
from typing import TYPE_CHECKING

from napari_ies.cohort.cases import CohortCase, distinct
from napari_ies.cohort.discovery.what_lies_there import (
    files_in,
    folders_in,
    none_found,
    some_of,
    what_lies,
)
from napari_ies.errors import CohortError
from napari_ies.patient.bids_label import bids_label, entity_of, name_of
from napari_ies.patient.sequence_names import guess_sequences
from napari_ies.printable import joined
from napari_ies.regular_files import read_json
from napari_ies.results.dataset import DESCRIPTION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

logger = logging.getLogger("napari_ies")

_ENDINGS = (".nii.gz", ".nii")


def find_cases(
    root: Path,
    sequences: Sequence[str],
    *,
    derivatives: Sequence[Path] = (),
    patterns: Mapping[str, str] | None = None,
    reference: str | None = None,
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
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
    participants, sessions
        Only these, with ``sub-`` and ``ses-`` or without; all if there are none.

    Raises
    ------
    CohortError
        If there is no case with an image, or a participant or session is not there. One that
        lacks an image, or has several for a sequence, is a case with a trouble.
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
        for name in _sessions(roots, participants, sessions)
    ]
    cases = [case for case in cases if case.images or not case.trouble]
    if not cases:
        searched = ", ".join(f"{name} as {stated.get(name, f'*_{name}')}" for name in sequences)
        raise none_found(f"{root}/sub-*[/ses-*]/anat with {searched}", root)
    without = [case.place for case in cases if case.reference is None and not case.trouble]
    if reference is not None and all(case.reference is None for case in cases):
        anats = [one / cases[0].place / "anat" for one in roots]
        shown = next((anat for anat in anats if anat.is_dir()), root)
        raise CohortError(
            f"No reference was found: searched for {reference} in sub-*[/ses-*]/anat of "
            f"{joined([str(one) for one in roots])}; {what_lies(shown)}."
        )
    if reference is not None and without:
        logger.warning("Without a reference: %s.", some_of(without))
    return distinct(cases)


def check_dataset(root: Path, out: Path, anything: bool = False) -> None:
    """Refuse a folder that is no BIDS dataset, or results that would lie among its raw images.

    Parameters
    ----------
    root
        The dataset.
    out
        The folder of results.
    anything
        Whether a folder without ``dataset_description.json`` will do.

    Raises
    ------
    CohortError
        In one sentence.
    """
    if out.exists() and root.exists() and out.samefile(root):
        raise CohortError(
            f"The results would lie among the raw images of {root}; choose another folder, such as "
            f"{root / 'derivatives' / 'napari-ies'}."
        )
    description = root / DESCRIPTION
    if anything or not root.is_dir():
        return
    try:
        content = read_json(description)
        version = content.get("BIDSVersion") if isinstance(content, dict) else None
    except (OSError, ValueError, RecursionError):
        version = None
    if not version:
        raise CohortError(
            f"{root} is no BIDS dataset: searched for {DESCRIPTION} with a BIDSVersion; "
            f"{what_lies(root)}; name the dataset's own folder, or give --skip-bids-validation."
        )


def _sessions(
    roots: Sequence[Path], participants: Sequence[str], sessions: Sequence[str]
) -> list[str]:
    """Return the folders of sessions, or of subjects without, relative to a dataset."""
    subjects = {path.name for root in roots for path in folders_in(root, "sub-")}
    found = set()
    for subject in _chosen(subjects, "sub-", participants, roots[-1]):
        if not bids_label(subject.removeprefix("sub-")):
            raise CohortError(
                f"{roots[-1] / subject} has no letter or digit by which the patient could be "
                "named; rename it."
            )
        own = [root / subject for root in roots]
        within = {f"{subject}/{path.name}" for one in own for path in folders_in(one, "ses-")}
        if within and any((one / "anat").is_dir() for one in own):
            logger.warning("%s has sessions; its images outside them are not used.", subject)
        found |= within or {subject}
    if sessions:
        by_session = {name: name.partition("/")[2] for name in found}
        kept = _chosen(set(filter(None, by_session.values())), "ses-", sessions, roots[-1])
        found = {name for name, session in by_session.items() if session in kept}
    return sorted(found)


def _chosen(there: set[str], prefix: str, asked: Sequence[str], root: Path) -> set[str]:
    wanted = {f"{prefix}{one.removeprefix(prefix)}" for one in asked}
    missing = sorted(wanted - there)
    if missing and there:
        raise CohortError(
            f"{joined(missing)} {'is' if len(missing) == 1 else 'are'} not in {root}; there "
            f"{'is' if len(there) == 1 else 'are'} {some_of(sorted(there))}."
        )
    return wanted & there if asked else there


def _case(
    name: str,
    folders: Sequence[Path],
    sequences: Sequence[str],
    patterns: Mapping[str, str],
    reference: str | None,
) -> CohortCase:
    images, troubles = {}, []
    listed = [_images(folder) for folder in folders]
    for sequence in sequences:
        found = _first(listed, partial(_is_of, sequence=sequence, patterns=patterns))
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
    if not troubles and len(patterns) < len(sequences):
        troubles += filter(None, [_apart(name, images)])
    masks = []
    if reference is not None:
        masks = _first(listed, lambda file: fnmatch(file.name, reference))
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


def _first(listed: Sequence[Sequence[Path]], wanted: Callable[[Path], bool]) -> list[Path]:
    """Return the files that are wanted from the first dataset that has some."""
    return next((found for files in listed if (found := [*filter(wanted, files)])), [])


def _images(folder: Path) -> list[Path]:
    return [file for file in files_in(folder / "anat") if file.name.lower().endswith(_ENDINGS)]


def _apart(name: str, images: Mapping[str, Path]) -> str:
    """Say in a sentence that images lie in different spaces by their names; empty if they do not.

    One in the space of another's suffix (``space-T1w`` beside a raw ``T1w``) lies with it.
    """
    spaces = {sequence: entity_of(file, "space-") for sequence, file in images.items()}
    suffixes = {
        bids_label(name_of(file).rpartition("_")[2]).casefold()
        for sequence, file in images.items()
        if not spaces[sequence]
    }
    if len({space for space in spaces.values() if space.casefold() not in suffixes}) < 2:
        return ""
    said = joined([f"{images[one].name} in {space or 'its own'}" for one, space in spaces.items()])
    return f"{name} has images in different spaces ({said}); say which with --image NAME=PATTERN."
