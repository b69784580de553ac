"""Cases as nnU-Net lays them: ``imagesTs/CASE_0000.nii.gz``, a number for each sequence."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from napari_ies.cohort.cases import CohortCase, distinct
from napari_ies.cohort.discovery.what_lies_there import check_complete, none_found
from napari_ies.errors import CohortError
from napari_ies.patient.identity import identify
from napari_ies.patient.sequence_names import guess_sequences
from napari_ies.regular_files import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FILE = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})(?P<ending>\.nii(\.gz)?|\.nrrd|\.mha)$")


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
    endings: dict[str, str] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if named := _FILE.match(path.name):
            channels[int(named["channel"])][named["case"]] = path
            endings[named["case"]] = named["ending"]
    if not channels:
        raise none_found(str(folder / "CASE_0000.nii.gz"), folder)
    numbers = _numbers(folder, sorted(channels), sequences)
    check_complete({f"CASE_{channel:04d}": channels[channel] for channel in sorted(channels)})
    labels = folder.with_name(folder.name.replace("images", "labels", 1))
    cases = []
    for name, ending in sorted(endings.items()):
        images = {sequence: channels[number][name] for sequence, number in numbers.items()}
        identity = identify(list(images.values())[:1])
        reference = labels / f"{name}{ending}"
        cases.append(
            CohortCase(
                subject=identity.subject,
                visit=identity.visit,
                images=images,
                reference=reference if labels != folder and reference.exists() else None,
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
        return {sequence: int(guess[sequence]) for sequence in sequences}
    if len(channels) != len(sequences):
        raise CohortError(
            f"{folder} holds images numbered {', '.join(f'{one:04d}' for one in channels)}, and "
            f"the network takes {', '.join(sequences)}; expected a number for each."
        )
    return dict(zip(sequences, channels, strict=True))
