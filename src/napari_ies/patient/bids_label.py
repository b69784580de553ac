"""The values of BIDS entities: those in a path, and one of any name in any script."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import PurePath

_EXTENSIONS = re.compile(r"(\.nii|\.mgz|\.mgh|\.img|\.hdr|\.mnc)?(\.gz|\.bz2|\.zst)?$", re.I)

_SPELLED = {
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O",
    "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH",
    "ħ": "h", "Ħ": "H", "ı": "i", "ŋ": "n", "Ŋ": "N", "ĸ": "k", "ŧ": "t", "Ŧ": "T",
}  # fmt: skip
"""Latin letters that Unicode does not take apart into a letter and its mark."""
_DIGITS = 8
"""Hexadecimal digits of the SHA-256 that stands for letters with no counterpart."""


@lru_cache(maxsize=4096)  # a list of a cohort asks for the same few a hundred thousand times
def bids_label(text: str) -> str:
    """Reduce a name to the value of a BIDS entity.

    Marks are left out (``Müller`` → ``Muller``), letters that are no ASCII letter with a mark are
    spelled (``ß`` → ``ss``), and what is neither letter nor digit is dropped. Where a letter has
    no counterpart (``ФЛЕР``, ``患者7``), ``x`` and eight hexadecimal digits of the name's SHA-256
    (in UTF-8, composed) come after what is left, so that two such names never share a label.

    Returns
    -------
    ASCII letters and digits; empty for a text without any letter or digit of any script.
    """
    composed = unicodedata.normalize("NFC", text).strip()
    spelled = "".join(_SPELLED.get(letter, letter) for letter in composed)
    kept, lost = [], False
    for sign in unicodedata.normalize("NFKD", spelled):
        if sign.isascii():
            kept.append(sign if sign.isalnum() else "")
        else:
            lost = lost or sign.isalnum()
    label = "".join(kept)
    if lost:
        label += (
            "x" + hashlib.sha256(composed.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
        )
    return label


def name_of(path: PurePath) -> str:
    """Return the name of an image's file without its extensions."""
    return _EXTENSIONS.sub("", path.name)


def entity_of(path: PurePath, entity: str) -> str:
    """Return the value of an entity in a file's name or else its folders', nearest first.

    Parameters
    ----------
    path
        Of a file.
    entity
        With its hyphen, such as ``"sub-"``; in the path it may be in capitals.

    Returns
    -------
    The value as a label; empty where the path has none.
    """
    for part in (name_of(path), *(parent.name for parent in path.parents)):
        for word in part.split("_"):
            if word.casefold().startswith(entity) and (value := bids_label(word[len(entity) :])):
                return value
    return ""
