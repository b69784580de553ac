"""Which image is which sequence, guessed from names, and the words that tell of an image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_ies.patient.bids_label import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import PurePath

_SYNONYMS = (
    ("flair", "t2flair", "t2f"),
    ("t1", "t1w", "t1n", "mprage", "t1mprage", "spgr", "tfe"),
    ("t1ce", "t1c", "t1gd", "t1post"),
    ("t2", "t2w"),
    ("pd", "pdw"),
)
"""Names of the same contrast, letters and digits in lower case."""
_OTHERS = frozenset(("swi", "dwi", "adc", "dti", "dir", "psir", "t2s", "t2star", "gre", "tof"))
"""Words of contrasts that are none of these."""
_CALLED = ("FLAIR", "T1", "T1ce", "T2", "PD")
"""What a person calls each of them."""


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


SEQUENCES = words(
    "flair t1 t1w t1n t2 t2w t2f t2flair t1ce t1c t1gd t1post mprage mp2rage spgr tfe bravo space "
    "vista pd pdw pdt2 swi dwi adc dti trace t2s t2star dir psir gre tof cor sag tra ax axial "
    "sagittal coronal 3d 2d uni inv1 inv2 gd ce pre post"
)
"""Words of a file name that tell the sequence, the plane or the protocol."""
PROCESSING = words(
    "brain bet n4 hdbet skullstripped stripped reg registered coreg coregistered mni mni152 rigid "
    "affine native norm normalised normalized zscore zscored bias corrected biascorrected pp "
    "preproc preprocessed resampled iso isovox 1mm image img volume vol scan mri mr nii nifti head "
    "orig original raw final defaced masked cropped seg mask lesion lesions consensus gt"
)
"""Words of a file name that tell how the image was made, not of whom."""
CONTRASTS = words("flair t1 t1w t2 t2w t1ce t1c pd pdw mprage mp2rage dir psir swi dwi")
"""Words that make a folder one of a sequence, whatever else its protocol's name says."""
PARTS = words(
    "anat nifti niftis nii nifty scan scans mri mr mris raw preproc preprocessed preprocessing "
    "processed registered coregistered reg native mni brain images image imgs img sequences "
    "lesions seg"
)
"""Folders within the folder of a patient or visit: the one above it counts."""

MASKS = words(
    "mask masks seg segs segmentation segmentations dseg probseg lesion lesions label labels "
    "labelmap consensus gt groundtruth truth manual manualsegmentation annotation roi wmh saliency "
    "standarderror footprint network networkstandarderror memberspread"
)
"""Words that, behind the sequence, make a name that of a mask or map and not of an image."""
EXPERTS = words("consensus gt groundtruth truth reference manual manualsegmentation expert")
"""Words of a mask that an expert made, or several agreed on."""
NO_LESIONS = words("brain brainmask head skull tissue wm gm csf aseg wmparc saliency footprint")
"""Words of a mask or map that marks something else than lesions."""
MENDED = words("filled inpainted free removed")
"""Words that make an image of what was one with lesions."""

_COPY = re.compile(r"^(run|acq|rec|echo|e|ser|series|scan|img|image|copy|version|v)\d+$", re.I)
"""Words that number the images of one patient."""


def guess_sequences(wanted: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """Guess which image shows which sequence.

    Parameters
    ----------
    wanted
        Names of the sequences a network takes.
    names
        Name of each image, by its key.

    Returns
    -------
    Key of the guessed image by sequence; a sequence without a convincing name is left out, and
    no image serves twice. A mask or map is none, whatever sequence its name says.
    """
    scores = [
        (_score(sequence, name), -order, sequence, key)
        for sequence in wanted
        for order, (key, name) in enumerate(names.items())
        if not names_a_mask(name)
    ]
    guess: dict[str, str] = {}
    for score, _, sequence, key in sorted(scores, key=lambda s: (s[0], s[1]), reverse=True):
        if score > 0 and sequence not in guess and key not in guess.values():
            guess[sequence] = key
    return guess


def guessed_by_order(guess: Mapping[str, str], names: Mapping[str, str]) -> dict[str, list[str]]:
    """Return which images would have served as well: nothing but their order spoke against them.

    Parameters
    ----------
    guess, names
        What :func:`guess_sequences` returned, and was given.

    Returns
    -------
    Keys of the other images by sequence, for each sequence that has any.
    """
    free = {
        key: name
        for key, name in names.items()
        if key not in guess.values() and not names_a_mask(name)
    }
    equal = {
        sequence: [
            k for k, n in free.items() if _score(sequence, n) >= _score(sequence, names[key])
        ]
        for sequence, key in guess.items()
    }
    return {sequence: keys for sequence, keys in equal.items() if keys}


def names_a_mask(name: str) -> bool:
    """Return whether a name is that of a mask or map: it says so behind the sequence, if any.

    ``FLAIR_lesions`` is one, ``MS_lesions_FLAIR`` and ``T1_lesion_filled`` are images.
    """
    said = [re.sub(r"\d+$", "", word) or word for word in _words_of(name)]
    last = next((n for n in reversed(range(len(said))) if said[n] in MASKS or _tells(said[n])), -1)
    return last >= 0 and said[last] in MASKS and not MENDED.intersection(said)


def telling_of_lesions(name: str) -> int:
    """Say how telling a name is of a mask of lesions: 3 an expert's, 2 lesions, 1 a mask, 0 not."""
    said = {re.sub(r"\d+$", "", word) or word for word in _words_of(name)}
    if NO_LESIONS & said or "probseg" in said or not (names_a_mask(name) or said <= EXPERTS):
        return 0
    if EXPERTS & said:
        return 3
    return 2 if {"lesion", "lesions", "wmh"} & said else 1


def _tells(word: str) -> bool:
    """Return whether a word tells the sequence."""
    return word in CONTRASTS or "flair" in word or any(word in names for names in _SYNONYMS)


def _score(sequence: str, name: str) -> int:
    """Say how convincing a name is for a sequence: 4 the same, 3 a synonym, 1 a part, 0 not."""
    wanted, whole = _letters(sequence), _letters(name)
    own = next((names for names in _SYNONYMS if wanted in names), (wanted,))
    if whole == wanted:
        return 4
    if whole in own:
        return 3
    words = _words_of(name)
    # "T2_FLAIR" is a FLAIR: the more telling word wins over the weighting it is based on.
    if "flair" not in own and any("flair" in word for word in words):
        return 0
    if any(word in own for word in words):
        return 3
    return 1 if any(len(one) > 2 and one in word for one in own for word in words) else 0


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def contradicted(files: Mapping[str, PurePath]) -> list[str]:
    """Say in plain sentences which files, by sequence, are given as one but named as another.

    Where a file's own name says nothing of any of them, its folder's does, if each file has a
    folder of its own. A name that says both, such as ``T1_to_FLAIR.nii.gz``, contradicts nothing.
    """
    own_folders = 1 < len(files) == len({path.parent for path in files.values()})
    said = []
    for sequence, path in files.items():
        names = [name_of(path), *([path.parent.name] if own_folders else [])]
        # What is called "sequence 1" may be any; but no FLAIR is a T2, whatever else is given.
        known = [*files, *(_CALLED if _contrast(sequence) else ())]
        name = next((n for n in names if any(_score(other, n) for other in known)), names[0])
        own = _contrast(sequence) or (sequence,)
        others = [
            other
            for other in known
            if other != sequence and _contrast(other) != own and _score(other, name) >= 3
        ]
        if others and not _mentions(sequence, name):
            shown = path.name if name == names[0] else f"{path.parent.name}/{path.name}"
            said.append(
                f"{shown} is given as {sequence}, though its name says {others[0]}; it was taken "
                "as given, so check that the images are not swapped."
            )
    return said


def another_contrast(sequence: str, name: str) -> bool:
    """Return whether a name says another contrast than that of a sequence, both being known.

    ``T2_TSE``, ``SWI`` and ``T1_post`` are no T1; what says nothing may be any.
    """
    own = _contrast(sequence)
    if not own or _letters(name) in own:
        return False
    if _contrast(name):
        return True
    words = _words_of(name)
    said = [one for one in words if "flair" in one] or words
    known = [one for one in said if "flair" in one or one in _OTHERS or _contrast(one)]
    own_said = any(one in own or ("flair" in own and "flair" in one) for one in known)
    return bool(known) and not own_said


def _contrast(sequence: str) -> tuple[str, ...]:
    """Return the names of the contrast that a sequence has, or none where it is not known."""
    wanted = _letters(sequence)
    return next((names for names in _SYNONYMS if wanted in names), ())


def _mentions(sequence: str, name: str) -> bool:
    """Return whether a name may say a sequence, in one word or more (``T1w_post``)."""
    wanted, whole = _letters(sequence), _letters(name)
    own = next((names for names in _SYNONYMS if wanted in names), (wanted,))
    return any(one in _words_of(name) for one in own) or any(
        len(one) > 2 and (one in whole or one in whole.replace("t1w", "t1")) for one in own
    )


def _words_of(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]


def of_an_image(word: str) -> bool:
    """Return whether a word of a file's name, in lower case, tells of the image, not of whom."""
    return word in SEQUENCES or word in PROCESSING or "flair" in word or bool(_COPY.fullmatch(word))
