"""Cases as the original scripts lay them: ``PATH/PATIENT/VISIT/PREFIX``.

https://github.com/federicospagnolo/IES, ``datasets.py``: ``sorted(glob(PATH/*/*/PREFIX))`` by the
number that all digits of a path make.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.cohort.cases import CohortCase, distinct
from napari_ies.cohort.discovery.what_lies_there import check_complete, none_found
from napari_ies.errors import CohortError
from napari_ies.patient.bids_label import bids_label
from napari_ies.patient.identity import Identity, identify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def find_cases(
    paths: Sequence[str],
    prefixes: Sequence[str],
    sequences: Sequence[str],
    target_path: str | None = None,
    target_prefix: str | None = None,
) -> list[CohortCase]:
    """Find the cases, in the order in which the scripts take them.

    Parameters
    ----------
    paths, prefixes
        For each sequence a folder of patients, and the name of its file (``*`` and the like serve).
    sequences
        The network's inputs, in order.
    target_path, target_prefix
        The same for the masks of an expert; the folder of the first sequence where only the name
        is given.

    Raises
    ------
    CohortError
        If there is none, cases lack files, or two would have the same labels.
    """
    if not len(paths) == len(prefixes) == len(sequences):
        raise CohortError(
            f"{_counted(len(paths), 'path')} and {_counted(len(prefixes), 'prefix', 'prefixes')} "
            f"were given, and the network takes {len(sequences)} images "
            f"({', '.join(sequences)}): expected one of each, in this order."
        )
    searched = dict(zip(sequences, zip(paths, prefixes, strict=True), strict=True))
    if target_path is not None and target_prefix is None:
        raise CohortError(
            "There is a path of the references and no name of their files; give --target_prefix."
        )
    if target_prefix is not None:
        searched["the reference"] = (target_path or paths[0], target_prefix)
    found = {name: _found(*where) for name, where in searched.items()}
    for name, (path, prefix) in searched.items():
        if not found[name]:
            raise none_found(_pattern(path, prefix), Path(path))
    check_complete({f"{searched[name][1]} ({name})": files for name, files in found.items()})
    cases = []
    for place, first in sorted(found[sequences[0]].items(), key=lambda item: _order(*item)):
        identity = _identity(place, first)
        cases.append(
            CohortCase(
                subject=identity.subject,
                visit=identity.visit,
                images={name: found[name][place] for name in sequences},
                reference=found.get("the reference", {}).get(place),
                place=place,
            )
        )
    return distinct(cases)


def _pattern(path: str, prefix: str) -> str:
    return str(Path(os.path.abspath(Path(path).expanduser()), "*", "*", prefix))  # noqa: PTH100


def _found(path: str, prefix: str) -> Mapping[str, Path]:
    """Return the files by ``PATIENT/VISIT``."""
    folder = os.path.abspath(Path(path).expanduser())  # noqa: PTH100 - links name patients
    root = glob.escape(folder) if Path(folder).is_dir() else folder
    files: dict[str, Path] = {}
    for name in glob.glob(str(Path(root, "*", "*", prefix))):  # noqa: PTH207 - as the scripts do
        file = Path(name)
        place = "/".join(file.parent.parts[-2:])
        if place in files:
            raise CohortError(
                f"{file.parent} holds more than one file that {prefix} stands for "
                f"({files[place].name}, {file.name}); give a name that fits one."
            )
        files[place] = file
    return files


def _order(place: str, file: Path) -> tuple[int, str]:
    real = str(Path(os.path.realpath(file.parents[2]), place, file.name))
    digits = re.sub(r"[^0-9]", "", real)[:1000]
    return int(digits or 0), place


def _identity(place: str, file: Path) -> Identity:
    """Name patient and visit as the command explain does, if these are what the folders say."""
    patient, visit = place.split("/")
    own = Identity(bids_label(patient), bids_label(visit))
    if not (own.subject and own.visit):
        raise CohortError(
            f"{file.parent} has no letter or digit by which patient and visit could be named; "
            "rename it."
        )
    known = identify([file])
    says = own.subject.endswith(known.subject) and known.visit
    return known if says and own.visit.endswith(known.visit) else own


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or f'{one}s'}"
