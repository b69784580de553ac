"""Whose images these are: the labels of patient and visit, read from the paths as given."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from napari_ies.bids_label import bids_label

if TYPE_CHECKING:
    from collections.abc import Iterable

UNKNOWN = "patient"
"""Label of a patient of whom no path and no person says anything."""

_EXTENSIONS = re.compile(r"(\.nii|\.mgz|\.mgh|\.img|\.hdr|\.mnc)?(\.gz|\.bz2|\.zst)?$", re.I)
_SESSION_WORD = re.compile(r"^(sessions?|sess|ses)[-_ .]*(?=\w)", re.I)

_NNUNET = re.compile(r"^(images|labels)(tr|ts|val)", re.I)
_NNUNET_CHANNEL = re.compile(r"_\d{4}$")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CONTAINERS = _words(
    "data dataset datasets database download downloads desktop documents input inputs output "
    "outputs images image imgs img in out test testing train training val validation tmp temp "
    "home root users user mnt media share shared work rawdata sourcedata derivatives bids nnunet "
    "cases patients subjects"
)
"""Folders that hold many patients, or anything: their names say nothing of a patient."""
_PARTS = _words(
    "anat nifti niftis nii nifty scan scans mri mr mris raw preproc preprocessed preprocessing "
    "processed registered coregistered reg native mni brain images image imgs img sequences "
    "lesions seg"
)
"""Folders within the folder of a patient or visit: the one above it counts."""

_SEQUENCES = _words(
    "flair t1 t1w t1n t2 t2w t2f t2flair t1ce t1c t1gd t1post mprage mp2rage spgr tfe bravo space "
    "vista pd pdw pdt2 swi dwi adc dti trace t2s t2star dir psir gre tof cor sag tra ax axial "
    "sagittal coronal 3d 2d uni inv1 inv2 gd ce pre post"
)
_PROCESSING = _words(
    "brain bet n4 hdbet skullstripped stripped reg registered coreg coregistered mni mni152 rigid "
    "affine native norm normalised normalized zscore zscored bias corrected biascorrected pp "
    "preproc preprocessed resampled iso isovox 1mm image img volume vol scan mri mr nii nifti head "
    "orig original raw final defaced masked cropped seg mask lesion lesions consensus gt"
)
"""Words of a file name that tell how the image was made, not of whom."""

_COPY = re.compile(r"^(run|acq|rec|echo|e|ser|series|scan|img|image|copy|version|v)\d+$", re.I)
"""Words that number the images of one patient."""

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


@dataclass(frozen=True)
class Identity:
    """Whose result it is, as file names say it.

    Parameters
    ----------
    subject
        Label of the patient, ASCII letters and digits.
    visit
        Label of the visit (the BIDS session); empty if there is none.
    notes
        What a reader must know of how they were found: plain sentences.
    """

    subject: str
    visit: str = ""
    notes: tuple[str, ...] = field(default=(), compare=False)

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
    sequence where its folder says nothing (``data/patient07_FLAIR.nii.gz``), and else the
    folder's name (``patient07/FLAIR.nii.gz``).

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
    their own names.
    """
    given = [_absolute(Path(path).expanduser()) for path in paths if path is not None]
    typed_subject = _typed(subject, "sub-") if subject else ""
    typed_visit = None if visit is None else _typed(visit, "ses-")
    found_subject = typed_subject or _first(given, "sub-")
    found_visit = typed_visit if typed_visit is not None else _first(given, "ses-")
    if given and not (found_subject and (found_visit or typed_visit is not None)):
        laid_subject, laid_visit = _layout(given[0])
        if typed_visit is None and not found_visit:
            found_visit = laid_visit
        found_subject = found_subject or laid_subject
    notes = []
    if not typed_subject:
        notes += _contradictions(given, "sub-", "patient", "--subject")
    if typed_visit is None:
        notes += _contradictions(given, "ses-", "visit", "--visit")
    return Identity(found_subject or UNKNOWN, found_visit or "", tuple(notes))


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - links as they are


def _typed(text: str, prefix: str) -> str:
    return bids_label(text.strip().removeprefix(prefix))


def _first(paths: Iterable[Path], entity: str) -> str:
    return next((value for path in paths if (value := _entity(path, entity))), "")


def _entity(path: PurePath, entity: str) -> str:
    """Return the value of an entity in a file's name or else its folders', nearest first."""
    for part in (_stem(path), *(parent.name for parent in path.parents)):
        for word in part.split("_"):
            if word.startswith(entity) and (value := bids_label(word.removeprefix(entity))):
                return value
    return ""


def _contradictions(paths: list[Path], entity: str, what: str, option: str) -> list[str]:
    """Name the files that name another patient or visit than the first that names one."""
    named = [(path.name, value) for path in paths if (value := _entity(path, entity))]
    return [
        f"{name} is named as of {what} {value}, {named[0][0]} as of {what} {named[0][1]}; the "
        f"result is named after {named[0][1]}, so check that the images are one {what}'s, or say "
        f"which with {option}."
        for name, value in named[1:]
        if value != named[0][1]
    ]


def _layout(path: PurePath) -> tuple[str, str]:
    """Return patient and visit of a path without BIDS entities; either may be empty."""
    stem, folders = _stem(path), [parent.name for parent in path.parents]
    if _NNUNET.match(folders[0]):
        return bids_label(_NNUNET_CHANNEL.sub("", stem)), ""
    # A folder of images within that of a patient says nothing, unless it stands alone.
    within = [name for name in folders if name]
    while len(within) > 1 and _is_part(within[0]) and not _holds_many(within[1]):
        within.pop(0)
    nearest, above = ([*within, "", ""])[:2]
    visit = ""
    if _VISIT.match(nearest) or (_SHORT_VISIT.match(nearest) and above and not _holds_many(above)):
        visit = bids_label(_SESSION_WORD.sub("", nearest))
        nearest = above
    own = _of_a_person(stem) if not nearest or _says_nothing(folders[0]) or visit else ""
    if visit and not _says_nothing(nearest):
        own = ""
    return own or bids_label(nearest), visit


def _stem(path: PurePath) -> str:
    return _EXTENSIONS.sub("", path.name)


def _is_part(folder: str) -> bool:
    return folder.casefold() in _PARTS or folder.casefold() in _SEQUENCES


def _holds_many(folder: str) -> bool:
    return folder.casefold() in _CONTAINERS


def _says_nothing(folder: str) -> bool:
    return not folder or _is_part(folder) or _holds_many(folder)


def _of_a_person(stem: str) -> str:
    """Return what a file's name says besides sequence and processing, as a label."""
    words = [word for word in re.split(r"[-_. ]+", stem) if word]
    left = [word for word in words if not _of_an_image(word.casefold())]
    # Numbers alone are a patient's only where the name begins with them.
    numbers = all(word.isdecimal() for word in left)
    return "" if not left or (numbers and left[0] != words[0]) else bids_label("".join(left))


def _of_an_image(word: str) -> bool:
    return (
        word in _SEQUENCES or word in _PROCESSING or "flair" in word or bool(_COPY.fullmatch(word))
    )
