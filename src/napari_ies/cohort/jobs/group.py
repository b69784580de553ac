"""What jobs of a case each have left in a folder of results, put together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ies.cohort.cases import CohortCase
from napari_ies.cohort.record import read_record, records_folder
from napari_ies.cohort.tables import write_tables
from napari_ies.errors import CohortError
from napari_ies.printable import joined

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_IMAGE = "image "
_SHOWN = 5


@dataclass(frozen=True)
class Recorded:
    """The cases of which a folder of results has a record."""

    cases: tuple[CohortCase, ...]
    """By name; they name no files."""
    sequences: tuple[str, ...]
    """The network's inputs; empty if no case's images could be read."""
    states: tuple[str, ...]
    """What came of each case: done, failed or running."""


def recorded(folder: Path) -> Recorded:
    """Read what jobs have left.

    Raises
    ------
    CohortError
        If there is nothing, or if it was made by other networks or settings.
    """
    cases, states, sequences = [], [], []
    keys: dict[str, str] = {}
    for path in sorted(records_folder(folder).glob("sub-*.json")):
        subject, _, visit = path.stem.removeprefix("sub-").partition("_ses-")
        case = CohortCase(subject, visit, {})
        record = read_record(folder, case)
        if record is None:
            continue
        cases.append(case)
        states.append(record.state)
        keys[case.name] = record.key
        sequences += [name for name in record.inputs if name.startswith(_IMAGE)]
    if not cases:
        raise CohortError(
            f"No participant was worked on in {folder}: there is no record in "
            f"{records_folder(folder)}; run the level participant first."
        )
    (usual, count), *others = Counter(keys.values()).most_common()
    if others:
        unlike = [name for name, key in keys.items() if key != usual]
        raise CohortError(
            f"{joined(unlike[:_SHOWN])}{' and more' if len(unlike) > _SHOWN else ''} of {folder} "
            f"{'was' if len(unlike) == 1 else 'were'} made with another network, version or "
            f"settings than {count} other{'' if count == 1 else 's'}, so the table would compare "
            "what is not alike; run the level participant for all with the same options."
        )
    names = dict.fromkeys(name.removeprefix(_IMAGE) for name in sequences)
    return Recorded(tuple(cases), tuple(names), tuple(states))


def put_together(
    folder: Path, found: Recorded, expected: Sequence[CohortCase]
) -> tuple[list[Path], list[str]]:
    """Write the tables of all cases; return their paths, and the names of cases not done.

    Parameters
    ----------
    folder
        The folder of results.
    found
        What jobs have left there.
    expected
        The cases of the dataset: those without a record are rows, too.

    Raises
    ------
    ResultsError
        If the disk refuses.
    """
    known = {case.name for case in found.cases}
    left = [case for case in expected if case.name not in known]
    cases = sorted([*found.cases, *left], key=lambda case: case.name)
    ended = zip(found.cases, found.states, strict=True)
    unfinished = [case.name for case, state in ended if state != "done"]
    return write_tables(folder, cases), sorted(unfinished + [case.name for case in left])
