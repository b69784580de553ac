"""Cases as nnU-Net lays them: ``imagesTs/CASE_0000.nii.gz``, a number for each sequence."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from napari_ies.cohort.cases import CohortCase, distinct
from napari_ies.cohort.discovery.what_lies_there import (
    check_complete,
    files_in,
    none_found,
    what_lies,
)
from napari_ies.errors import CohortError
from napari_ies.patient.identity import identify
from napari_ies.patient.sequence_names import guess_sequences
from napari_ies.regular_files import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_ENDING = re.compile(r"\.nii(\.gz)?$|\.nrrd$|\.mha$", re.I)
_FILE = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")


def find_cases(folder: Path, sequences: Sequence[str]) -> list[CohortCase]:
    """Find the cases of a folder of images, by name.

    The masks of an expert are those of the folder beside it, ``labelsTs`` for ``imagesTs``, where
    there are some. Which number is which sequence says ``dataset.json`` in the folder above, by
    names; without it they stand for the network's inputs in order.

    Raises
    ------
    CohortError
        If there is none, cases lack files, or the numbers are not as many as the inputs.
    """
    channels: dict[int, dict[str, Path]] = defaultdict(dict)
    for path in files_in(folder):
        stem = _ENDING.sub("", path.name)
        named = None if stem == path.name else _FILE.fullmatch(stem)
        if named:
            there = channels[int(named["channel"])].setdefault(named["case"], path)
            if there != path:
                raise CohortError(
                    f"{folder} holds {there.name} and {path.name}, both image {named['channel']} "
                    f"of {named['case']}; move one away."
                )
    if not channels:
        raise none_found(str(folder / "CASE_0000.nii.gz"), folder)
    numbers = _numbers(folder, sorted(channels), sequences)
    used = sorted({*numbers.values()})
    check_complete({f"CASE_{number:04d}": channels[number] for number in used})
    labels = folder.with_name(folder.name.replace("images", "labels", 1))
    masks: dict[str, Path] = {}
    if labels != folder:
        masks = {_ENDING.sub("", path.name): path for path in files_in(labels)}
    names = sorted(channels[used[0]])
    if masks and not masks.keys() & {*names}:
        raise CohortError(
            f"No case of {folder} has a reference: searched for {labels / 'CASE.nii.gz'}; "
            f"{what_lies(labels)}; name them as the cases, or move the folder away."
        )
    cases = []
    for name in names:
        images = {sequence: channels[number][name] for sequence, number in numbers.items()}
        identity = identify(list(images.values())[:1])
        cases.append(
            CohortCase(
                subject=identity.subject,
                visit=identity.visit,
                images=images,
                reference=masks.get(name),
                place=name,
            )
        )
    return distinct(cases)


def _numbers(folder: Path, channels: list[int], sequences: Sequence[str]) -> dict[str, int]:
    """Return the number of each of the network's inputs."""
    names = {}
    description = folder.parent / "dataset.json"
    if description.is_file():
        try:
            content = read_json(description)
            stated = content.get("channel_names") or content.get("modality") or {}
            names = {str(int(number)): str(name) for number, name in stated.items()}
        except (OSError, ValueError, AttributeError) as error:
            raise CohortError(
                f"{description} cannot be read ({error}); correct it, or move it away and the "
                "images are taken in the order of their numbers."
            ) from error
    guess = guess_sequences(sequences, names)
    if len(guess) == len(sequences):
        numbers = {sequence: int(guess[sequence]) for sequence in sequences}
        for sequence, number in numbers.items():
            if number not in channels:
                raise CohortError(
                    f"{description} says that {sequence} is number {number}, and {folder} holds "
                    f"images numbered {', '.join(f'{one:04d}' for one in channels)} alone; "
                    f"expected CASE_{number:04d}.nii.gz."
                )
        return numbers
    if len(channels) != len(sequences):
        raise CohortError(
            f"{folder} holds images numbered {', '.join(f'{one:04d}' for one in channels)}, and "
            f"the network takes {', '.join(sequences)}; expected a number for each."
        )
    return dict(zip(sequences, channels, strict=True))
