"""Which of some files and folders are one patient's images, reference mask and checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.errors import CaseError
from napari_ies.patient.identity import identify
from napari_ies.patient.images.volume import READABLE, stem_of
from napari_ies.patient.sequence_names import (
    guess_sequences,
    guessed_by_order,
    names_a_mask,
    telling_of_lesions,
)
from napari_ies.printable import joined
from napari_ies.regular_files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CHECKPOINTS = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".ts", ".pt2", ".zip")
"""Endings, in lower case, of files of weights, and of bundles in an archive."""
MOST_IMAGES = 12
"""More images whose names say nothing are those of many patients, or the slices of one."""
DEEPEST = 3
"""So many folders below a patient's are looked into: ``sub-01/ses-1/anat``."""
MOST_ENTRIES = 5000
"""A folder that holds more than this is no patient's."""
NAMED = 4
"""So many files are named one by one."""
_NOT_HIS = ("napari-ies", "derivatives")
"""Folders of results."""


@dataclass(frozen=True)
class PatientFiles:
    """What was recognised among files and folders."""

    images: Mapping[str, Path]
    """By sequence, those whose names say it."""
    others: tuple[Path, ...] = ()
    """Images to be opened as well: as good by their names, or what may be the missing ones."""
    reference: Path | None = None
    """An expert's mask of lesions."""
    checkpoint: Path | None = None
    """A file of weights."""
    notes: tuple[str, ...] = field(default=())
    """What else lies there, or was chosen by order alone: plain sentences."""

    @property
    def opened(self) -> tuple[Path, ...]:
        """All images, those of the sequences first."""
        return (*self.images.values(), *self.others)


def patient_files(paths: Sequence[Path], sequences: Sequence[str]) -> PatientFiles:
    """Say which files are a patient's images, reference and checkpoint, by their names.

    Parameters
    ----------
    paths
        Files, all of which are meant, and folders, of which only what is needed is taken.
    sequences
        Names of what the network takes, in order.

    Raises
    ------
    CaseError
        If there is no image, or there are those of several patients, in one sentence.
    """
    given = [path for path in paths if not path.is_dir()]
    folders = [path for path in paths if path.is_dir()]
    found = [path for folder in folders for path in images_in(folder)]
    checkpoints = [path for path in given if path.name.lower().endswith(CHECKPOINTS)]
    every = [path for path in dict.fromkeys((*given, *found)) if path not in checkpoints]
    results = [path for path in every if is_result(path)]
    rest = [path for path in every if path not in results]
    masks = {path: telling_of_lesions(stem_of(path)) for path in rest}
    best = max(masks.values(), default=0)
    references = [path for path, telling in masks.items() if telling == best > 0]
    images = [path for path in rest if masks[path] == 0 and not names_a_mask(stem_of(path))]
    if not images and not checkpoints:
        raise CaseError(_nothing_in(paths, every))
    names = {str(path): stem_of(path) for path in images}
    guess = guess_sequences(sequences, names)
    rivals = guessed_by_order(guess, names)
    _check_one_patient(folders, guess, rivals)
    taken = {sequence: Path(guess[sequence]) for sequence in sequences if sequence in guess}
    equal = [Path(key) for keys in rivals.values() for key in keys]
    left = [path for path in images if path not in taken.values() and path not in equal]
    missing = [sequence for sequence in sequences if sequence not in guess]
    wanted = [path for path in left if path in given]
    if missing and len(left) > MOST_IMAGES:
        where = joined([path.name for path in paths[:NAMED]])
        raise CaseError(
            f"{len(left)} images lie in {where} whose names do not say {' or '.join(missing)}; "
            "choose the files of one patient."
        )
    others = [*equal, *(left if missing else wanted)]
    told = [
        *_left_out([path for path in left if path not in others], "is not asked for", "are not"),
        *_left_out(
            [path for path in masks if path not in (*images, *references)], "is a mask", "are masks"
        ),
        *_left_out(results, "is a result of napari-ies", "are results of napari-ies"),
    ]
    if len(references) > 1:
        told.append(
            f"{joined([path.name for path in references[:NAMED]])} may each be the reference: "
            f"{references[0].name} was taken, so check which one is meant."
        )
    return PatientFiles(
        taken,
        tuple(others),
        references[0] if references else None,
        checkpoints[0] if checkpoints else None,
        tuple(told),
    )


def _each(names: object) -> list[object]:
    """Return the one name, or those of a list."""
    return names if isinstance(names, list) else [names]


def is_result(path: Path) -> bool:
    """Whether a file is a result of this program, such as a map: the JSON beside it says so."""
    beside = path.with_name(f"{stem_of(path)}.json")
    try:
        content = read_json(beside)
        # What a session saved of an image that had no file has no JSON: it is an image.
        named = [name for names in content["Files"].values() for name in _each(names)]
        return path.name in named and bool({"Images", "Provenance"} & content.keys())
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return False


def images_in(folder: Path) -> list[Path]:
    """Return the image files of a patient's folder, or of the folders below where it has none.

    Raises
    ------
    CaseError
        If it cannot be read, or holds far too much.
    """
    level = [folder]
    try:
        for _ in range(1 + DEEPEST):
            entries = [entry for one in level for entry in sorted(one.iterdir())]
            if len(entries) > MOST_ENTRIES:
                break
            found = [e for e in entries if e.name.lower().endswith(READABLE) and e.is_file()]
            if found:
                return list(_once(found))
            level = [
                entry
                for entry in entries
                if entry.name not in _NOT_HIS and not entry.name.startswith(".") and entry.is_dir()
            ]
    except OSError as error:
        raise CaseError(
            f"{folder} cannot be read ({error.strerror or error}); choose a folder that can."
        ) from error
    return []


def _once(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the header of a pair of files, and leave out its other half."""
    halves = {".img": ".hdr", ".brik": ".head"}
    names = {path.name.lower() for path in paths}
    for path in paths:
        stem, ending = stem_of(path), path.name[len(stem_of(path)) :].lower()
        whole = next((other for half, other in halves.items() if ending.startswith(half)), None)
        if whole is None or f"{stem}{whole}".lower() not in names:
            yield path


def _check_one_patient(
    folders: Sequence[Path], guess: Mapping[str, str], rivals: Mapping[str, Sequence[str]]
) -> None:
    """Refuse a folder in which a sequence is there of several patients or visits."""
    where = folders[0].name if folders else "What was chosen"
    for sequence, others in rivals.items():
        shown = sorted({identify([Path(key)]).text for key in (guess[sequence], *others)})
        if len(shown) > 1:
            more = f" and {len(shown) - NAMED} more" if len(shown) > NAMED else ""
            raise CaseError(
                f"{where} holds images of several patients or visits "
                f"({', '.join(shown[:NAMED])}{more}); open the folder, or the files, of one of "
                "them."
            )


def _left_out(paths: Sequence[Path], one: str, several: str) -> list[str]:
    if not paths:
        return []
    names = [path.name for path in paths[:NAMED]]
    shown = joined([*names, f"{len(paths) - NAMED} more"] if len(paths) > NAMED else names)
    return [f"Not opened: {shown}, which {one if len(paths) == 1 else several}."]


def _nothing_in(paths: Sequence[Path], masks: Sequence[Path]) -> str:
    where = joined([path.name for path in paths[:NAMED]]) if paths else "what was chosen"
    what = "masks and results, but no image" if masks else "no image"
    return (
        f"{where} holds {what} of a patient; expected NIfTI files, or a folder with them, such as "
        "FLAIR.nii.gz and T1.nii.gz."
    )
