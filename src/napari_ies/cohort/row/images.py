"""The images given on the command line become the case that the checkpoint takes."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_ies.errors import CaseError
from napari_ies.patient.images.image_files import check_there
from napari_ies.patient.images.volume import expanded
from napari_ies.patient.loading import load_case
from napari_ies.patient.sequence_names import another_contrast, guess_sequences
from napari_ies.printable import joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_ies.patient.case import Case

logger = logging.getLogger("napari_ies")


def open_case(
    images: Mapping[str, Path],
    sequences: Sequence[str],
    subject: str | None = None,
    visit: str | None = None,
    *,
    assumed: bool = False,
) -> Case:
    """Load the images that a network takes, in its order and under its names.

    Parameters
    ----------
    images
        File by the name that was given; the first one gives the grid.
    sequences
        The network's inputs, in order.
    subject, visit
        Labels of patient and visit as typed, or None to take them from the paths.
    assumed
        Whether the names of the inputs are: an image of another name may then be right, and the
        case's notes say what it was taken as.

    Raises
    ------
    CaseError
        If an input has no image, or one of another name than its own, or an image cannot be used.
    """
    assigned, by_order = assign(tuple(images), sequences)
    named = {sequence: name for name, sequence in assigned.items()}
    others = [one for one in sequences if another_contrast(one, named[one])]
    if others and not assumed:
        raise CaseError(
            f"{joined(f'{named[one]} is given and {one} expected' for one in others)}: the network "
            f"takes {joined(sequences)}, so give the {joined(others)} image as --image "
            f"{others[0]}=FILE, or state the network's sequences in its profile if it takes others."
        )
    if by_order:
        logger.warning(
            "No name says which image is %s; the rest is taken in the order given.",
            " or ".join(by_order),
        )
    for sequence in sequences:
        if named[sequence] != sequence:
            logger.warning("The image %s is taken as %s.", named[sequence], sequence)
    unused = [name for name in images if name not in assigned]
    if unused:
        logger.warning(
            "The network takes %s; not used: %s.", ", ".join(sequences), ", ".join(unused)
        )
    files = {assigned[name]: images[name] for name in images if name in assigned}
    case = load_case(files, subject=subject, visit=visit).select(sequences)
    taken = [
        f"The image given as {named[one]} was taken as {one}, a name that is assumed of the "
        "network: state its sequences in a profile, and give each image by its own name."
        for one in others
    ]
    return replace(case, notes=(*case.notes, *taken)) if taken else case


def check_given(*files: Path | None) -> None:
    """Refuse masks that cannot be opened before a network is loaded and tested."""
    check_there(*(None if file is None else expanded(file) for file in files))


def assign(names: Sequence[str], sequences: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Assign images to a network's inputs, by name and else by order.

    Parameters
    ----------
    names
        Names of the images, in the order given.
    sequences
        Names of the network's inputs.

    Returns
    -------
    Sequence by the image's name, in the order of `names`; and the sequences that no name says:
    they were assigned in the order given.

    Raises
    ------
    CaseError
        If an input is left without an image.
    """
    guess = guess_sequences(sequences, {name: name for name in names})
    missing = [sequence for sequence in sequences if sequence not in guess]
    left = [name for name in names if name not in guess.values()]
    if missing and len(left) != len(missing):
        raise CaseError(
            f"The network takes {' and '.join(sequences)}, the images given are "
            f"{', '.join(names)}; add an --image NAME=FILE for {' and '.join(missing)}."
        )
    if missing:
        guess |= dict(zip(missing, left, strict=True))
    sequence_of = {name: sequence for sequence, name in guess.items()}
    return {name: sequence_of[name] for name in names if name in sequence_of}, missing
