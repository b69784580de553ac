"""CohortCase: one patient's visit among many, by its files; nothing of it is read yet."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_ies.cohort.discovery.what_lies_there import is_there, what_lies
from napari_ies.errors import CohortError
from napari_ies.patient.identity import Identity
from napari_ies.printable import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class CohortCase:
    """One case of a cohort."""

    subject: str
    """Label of the patient, ASCII letters and digits."""
    visit: str
    """Label of the visit; empty if there is none."""
    images: Mapping[str, Path]
    """File of each sequence, by the network's name of it where that is known, in its order."""
    reference: Path | None = None
    """Mask of an expert."""
    lesions: Path | None = None
    """Labels of lesions that are explained in place of those that the network marks."""
    place: str = ""
    """What it was found under, such as ``"P07/ses1"``."""
    trouble: str = ""
    """Why it cannot be worked on, in one sentence; empty if it can, as far as is known."""

    @property
    def identity(self) -> Identity:
        """Patient and visit."""
        return Identity(self.subject, self.visit)

    @property
    def name(self) -> str:
        """What its files begin with, such as ``"sub-P07_ses-1"``."""
        return self.identity.stem

    @property
    def files(self) -> dict[str, Path]:
        """Every file that it is made of, by what it is."""
        masks = {"reference": self.reference, "lesions": self.lesions}
        return {
            **{f"image {name}": path for name, path in self.images.items()},
            **{name: path for name, path in masks.items() if path is not None},
        }


def distinct(cases: Sequence[CohortCase]) -> list[CohortCase]:
    """Return the cases if each has labels of its own.

    Raises
    ------
    CohortError
        If two would write the same files.
    """
    places: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        places[case.name.casefold()].append(case.place or case.name)
    for case in cases:
        shared = places[case.name.casefold()]
        if len(shared) > 1:
            raise CohortError(
                f"{joined(shared[:5])} would all be {case.identity.text} in the results, in whose "
                "names only letters and digits count, large or small alike; rename a folder or "
                "state other labels."
            )
    return list(cases)


def with_lesions_from(
    cases: Iterable[CohortCase], pattern: str, expanded: Callable[[str], Path]
) -> list[CohortCase]:
    """Return the cases with label maps of lesions from elsewhere.

    Parameters
    ----------
    cases
        The cases.
    pattern
        Path of a case's label map, in which ``{subject}``, ``{visit}``, ``{case}`` (such as
        ``sub-07_ses-1``) and ``{folder}`` (of its first image) stand for its own; a plain file
        name is looked for in that folder.
    expanded
        Makes a path of a text.

    Raises
    ------
    CohortError
        If the pattern holds other names, or no case has such a map.
    """
    found = []
    for case in cases:
        folder = str(next(iter(case.images.values())).parent) if case.images else ""
        own = {
            "subject": case.subject,
            "visit": case.visit,
            "case": case.name,
            "folder": folder,
        }
        whole = pattern if "/" in pattern or "\\" in pattern else f"{{folder}}/{pattern}"
        whole = pattern if pattern.startswith("{folder}") else whole
        try:
            path = expanded(whole.format(**own))
        except (LookupError, ValueError) as error:
            raise CohortError(
                f"{pattern} cannot be filled in for a case; it may hold {{subject}}, {{visit}}, "
                "{case} and {folder}, each in braces."
            ) from error
        found.append(replace(case, lesions=path))
    maps = [case.lesions for case in found if case.lesions is not None]
    if maps and not any(map(is_there, maps)):
        first = maps[0]
        raise CohortError(
            f"No label map of lesions was found: searched for {first} and its like for "
            f"{len(found)} cases; {what_lies(first.parent)}."
        )
    return found
