"""Whose images these are: the labels of patient and visit, read from the paths as given."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from napari_ies.patient.bids_label import bids_label, entity_of, name_of
from napari_ies.patient.sequence_names import (
    CONTRASTS,
    PARTS,
    PROCESSING,
    SEQUENCES,
    of_an_image,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

UNKNOWN = "patient"
"""Label of a patient of whom no path and no person says anything."""

_SESSION_WORD = re.compile(r"^(sessions?|sess|ses)[-_ .]*(?=\w)", re.I)

_NNUNET = re.compile(r"^(images|labels)(tr|ts|val)", re.I)
_NNUNET_CHANNEL = re.compile(r"_\d{4}$")

_CONTAINERS = words(
    "data dataset datasets database download downloads desktop documents input inputs output "
    "outputs images image imgs img in out test testing train training val validation tmp temp "
    "home root users user mnt media share shared work rawdata sourcedata derivatives bids nnunet "
    "cases patients subjects"
)
"""Folders that hold many patients, or anything: their names say nothing of a patient."""
_LONG = (
    "ses|sess|session|visit|vis|tp|timepoint|time|months?|mo|weeks?|wk|years?|yr|days?|fu|"
    "followup|scan"
)
_VISIT = re.compile(
    rf"""^(?:
    (?:{_LONG})[-_ .]?\d+[a-z]? | follow[-_ ]?up[-_ ]?\d* | fu
    | baseline | bl | screening | initial
    | \d+[-_ ]?(?:months?|mo|mths?|m|weeks?|wks?|w|years?|yrs?|y|days?|d)
    | (?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])(?:[-_T]?\d{{4,6}})?
    | (?:0?[1-9]|[12]\d|3[01])[-_.](?:0?[1-9]|1[0-2])[-_.](?:19|20)\d\d
    )$""",
    re.I | re.X,
)
"""Names of folders that say when, not who."""
_SHORT_VISIT = re.compile(r"^[vmwyd][-_ ]?\d+$", re.I)
"""``v1``, ``m12``: a visit only where the folder above may be a patient's."""
_COUNTED_VISIT = re.compile(r"^(?:study|stud|mri?|scan|exam)?[-_ .]?(\d+)$", re.I)
"""``1``, ``study1``, ``MRI_2020``: a visit only where the folder above is clearly a patient's."""
_VISIT_WORD = re.compile(rf"^(?:(?:{_LONG}|study)-?\d+[a-z]?|baseline|followup\d*)$", re.I)
"""Words of a file's name that say when, after one that says who."""

_SERIES = re.compile(r"(?:run|acq|rec|echo|se|ser|series|img|image)[-_ ]?\d+", re.I)
"""Folders that number the images of one patient."""
_CLEARLY = re.compile(
    r"(?:patients?|pat|pt|subjects?|subj|sub|cases?|participant|proband)[-_ .]?\d+[a-z]?"
    r"|[pscm]\d{2,}",
    re.I,
)
"""``patient01``, ``P07``: a patient, whatever lies around."""
_BEGINS_CLEARLY = re.compile(rf"(?:{_CLEARLY.pattern})(?![a-z\d])", re.I)
_PERSON_FIRST = re.compile(r"[a-z]+[-_]?\d+(?![a-z\d])", re.I)
_NUMBERED = re.compile(r"(?!(?:19|20)\d\d$)[a-z]{0,3}[-_ .]?\d+", re.I)
"""``MS012``, ``07``: a patient, where what lies below is numbered too."""


@dataclass(frozen=True)
class Identity:
    """Whose result it is, as file names say it."""

    subject: str
    """Label of the patient, ASCII letters and digits."""
    visit: str = ""
    """Label of the visit (the BIDS session); empty if there is none."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What a reader must know of how they were found: plain sentences."""

    @property
    def text(self) -> str:
        """The two as a person reads them, such as ``"sub-P07, ses-1"``."""
        return f"sub-{self.subject}" + (f", ses-{self.visit}" if self.visit else "")

    @property
    def stem(self) -> str:
        """The two as names begin with them, such as ``"sub-P07_ses-1"``."""
        return "_".join(self.folders)

    @property
    def folders(self) -> tuple[str, ...]:
        """The two as folders, such as ``("sub-P07", "ses-1")``."""
        visit = (f"ses-{bids_label(self.visit)}",) if self.visit else ()
        return (f"sub-{bids_label(self.subject)}", *visit)


def identify(
    paths: Iterable[str | Path | None], *, subject: str | None = None, visit: str | None = None
) -> Identity:
    """Say whose images these are.

    What a person typed counts first; then the BIDS entities ``sub-…`` and ``ses-…``, in a file's
    name before its folders and in near folders before far ones, of the first path that has them;
    then the layout of the first path: nnU-Net's ``imagesTs/CASE_0000.nii.gz``, a folder per
    visit within one per patient (``P07/ses1/flair.nii.gz``), a file name that says more than a
    sequence where its folder says nothing (``data/patient07_FLAIR.nii.gz``) or that is clearly a
    patient's where its folder is not (``ljubljana/patient01_study1_FLAIR.nii.gz``), and else the
    folder's name (``patient07/FLAIR.nii.gz``). Folders that hold anything name nobody.

    Paths are taken as they are given, relative ones from the working folder; links are not
    followed, because what they lead to may be named by a store (git-annex) or be another's.

    Parameters
    ----------
    paths
        The files of the images, the one that counts most first; None for an image without one.
    subject, visit
        As a person typed them, with or without ``sub-`` and ``ses-``; None, or an empty subject,
        for not typed. An empty visit means that there is none.

    Returns
    -------
    Labels of patient and visit; the notes name files that belong to another patient or visit by
    their own names, or by their place where they lie just as the first one does.
    """
    given = [_absolute(Path(path).expanduser()) for path in paths if path is not None]
    typed_subject = _typed(subject, "sub-") if subject else ""
    typed_visit = None if visit is None else _typed(visit, "ses-")
    found_subject = typed_subject or _first(given, "sub-")
    found_visit = typed_visit if typed_visit is not None else _first(given, "ses-")
    if given and not (found_subject and (found_visit or typed_visit is not None)):
        laid = _layout(given[0])
        if typed_visit is None and not found_visit:
            found_visit = laid.visit
        found_subject = found_subject or laid.subject
    notes = [] if typed_subject else _differences(given, "sub-", "patient", "--subject")
    if typed_visit is None and not notes:
        notes = _differences(given, "ses-", "visit", "--visit")
    return Identity(found_subject or UNKNOWN, found_visit or "", tuple(notes))


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - links as they are


def _typed(text: str, prefix: str) -> str:
    text = text.strip()
    return bids_label(text[len(prefix) :] if text.casefold().startswith(prefix) else text)


def _first(paths: Iterable[Path], entity: str) -> str:
    return next((value for path in paths if (value := entity_of(path, entity))), "")


def _differences(paths: list[Path], entity: str, what: str, option: str) -> list[str]:
    """Name the files that name another patient or visit than the first that names one.

    And those that lie as the first one does, but with another patient or visit.
    """
    named = [(path.name, value) for path in paths if (value := entity_of(path, entity))]
    said = [
        f"{name} is named as of {what} {value}, {named[0][0]} as of {what} {named[0][1]}; "
        + _check(named[0][1], what, option)
        for name, value in named[1:]
        if value != named[0][1]
    ]
    plain = [path for path in paths if not entity_of(path, entity)]
    laid = [_layout(path) for path in plain]
    for path, other in zip(plain[1:], laid[1:], strict=True):
        (label, at), (first, first_at) = other.of(what), laid[0].of(what)
        alike = len(path.parts) == len(plain[0].parts) and at == first_at
        if not alike or not label or not first or label == first:
            continue
        if at == 0 and what == "patient" and not _names_differ(path, plain[0]):
            continue
        here, there = (
            "/".join(file.parts[-1 - max(one.patient_at, one.visit_at) :])
            for file, one in ((path, other), (plain[0], laid[0]))
        )
        how, as_well = ("lies in the folder", "in that") if at else ("is named as", "as")
        said.append(
            f"{here} {how} of {what} {label}, {there} {as_well} of {what} {first}; "
            + _check(first, what, option)
        )
    return said


def _check(first: str, what: str, option: str) -> str:
    return (
        f"the result is named after {first}, so check that the images are one {what}'s, or say "
        f"which with {option}."
    )


@dataclass(frozen=True)
class _Layout:
    """Patient and visit of a path without BIDS entities, and how far above the file each is.

    The file's own name is at 0, its folder at 1; labels may be empty.
    """

    subject: str = ""
    visit: str = ""
    patient_at: int = 0
    visit_at: int = 0

    def of(self, what: str) -> tuple[str, int]:
        if what == "patient":
            return self.subject, self.patient_at
        return self.visit, self.visit_at


def _layout(path: PurePath) -> _Layout:
    stem, folders = name_of(path), [parent.name for parent in path.parents if parent.name]
    if folders and _NNUNET.match(folders[0]):
        return _Layout(bids_label(_NNUNET_CHANNEL.sub("", stem)))
    own, own_visit = _of_a_person(stem)
    # A folder of images within that of a patient says nothing, unless it stands alone.
    at = 0
    while at + 1 < len(folders) and _is_within(*folders[at : at + 3]):
        at += 1
    nearest, above = ([*folders[at:], "", ""])[:2]
    visit, visit_at = _visit_of(nearest, above), 0
    if visit:
        at, nearest, visit_at = at + 1, above, at + 1
    visit = visit or own_visit
    # Else the file's name counts where it is clear, or all that lies between says nothing.
    clear = own_visit or _BEGINS_CLEARLY.match(stem) or (at and not visit_at)
    if own and (_says_nothing(nearest) or (clear and not _CLEARLY.fullmatch(nearest))):
        return _Layout(own, visit, 0, visit_at)
    return _Layout("" if _says_nothing(nearest) else bids_label(nearest), visit, at + 1, visit_at)


def _is_within(folder: str, above: str, upper: str = "") -> bool:
    """Return whether a folder is a part of the one above it, which is a patient's or visit's."""
    if _visit_of(folder, above):
        return False
    if folder.isdecimal() and _is_part(above):  # a number of a series
        return bool(_CLEARLY.fullmatch(upper) or _visit_of(upper, ""))
    clear = bool(_CLEARLY.fullmatch(above) or _VISIT.match(above))
    return (_is_part(folder) and not _holds_many(above)) or (_says_nothing(folder) and clear)


def _visit_of(folder: str, above: str) -> str:
    """Return the label of the visit that a folder is for, or nothing."""
    if _VISIT.match(folder) or (_SHORT_VISIT.match(folder) and above and not _says_nothing(above)):
        return bids_label(_SESSION_WORD.sub("", folder))
    counted = _COUNTED_VISIT.match(folder)
    person = _NUMBERED.fullmatch(above) and not _says_nothing(above) and not _VISIT.match(above)
    if counted and (person or _CLEARLY.fullmatch(above)):
        return bids_label(counted.group(1) if folder[:3].casefold() != "stu" else folder)
    return ""


def _split(name: str) -> list[str]:
    return [word for word in re.split(r"[-_. ]+", name.casefold()) if word]


def _is_part(folder: str) -> bool:
    said = set(_split(folder))
    if _SERIES.fullmatch(folder) or (said & CONTRASTS and not any(map(_CLEARLY.fullmatch, said))):
        return True
    known = PARTS | SEQUENCES
    if len(said) > 1:  # "Preprocessed_Data"
        return bool(said & known) and said <= known | PROCESSING | _CONTAINERS
    return said <= known


def _holds_many(folder: str) -> bool:
    return folder.casefold() in _CONTAINERS


def _says_nothing(folder: str) -> bool:
    return not folder or _is_part(folder) or _holds_many(folder)


def _of_a_person(stem: str) -> tuple[str, str]:
    """Return what a file's name says besides sequence and processing: patient and visit."""
    who, *when = re.split(r"_ses-(?=\w)", stem, maxsplit=1, flags=re.I)
    if _CLEARLY.match(who):
        who = _NNUNET_CHANNEL.sub("", who)
    said = [word for word in re.split(r"[-_. ]+", who) if word]
    left = [word for word in said if not of_an_image(word.casefold())]
    at = next((i for i, word in enumerate(left) if i and _VISIT_WORD.match(word)), len(left))
    visit = when[0].partition("_")[0] if when else _SESSION_WORD.sub("", "".join(left[at : at + 1]))
    # Numbers alone are a patient's only where the name begins with them.
    if not left or (left[0] != said[0] and all(word.isdecimal() for word in left)):
        return "", ""
    return bids_label("".join(left[:at])), bids_label(visit)


def _names_differ(one: Path, other: Path) -> bool:
    """Return whether two files' names name two patients: numbers alone may be those of series."""
    if _NNUNET.match(one.parent.name):
        return True
    first, second = _PERSON_FIRST.match(one.name), _PERSON_FIRST.match(other.name)
    if first is None or second is None or of_an_image(_split(name_of(one))[0]):
        return False
    return first.group().casefold() != second.group().casefold()
