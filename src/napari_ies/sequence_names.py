"""Which image is which sequence, guessed from names; a person can always change the guess."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SYNONYMS = (
    ("flair", "t2flair"),
    ("t1", "t1w", "mprage", "t1mprage", "spgr", "tfe"),
    ("t1ce", "t1c", "t1gd", "t1post"),
    ("t2", "t2w"),
    ("pd", "pdw"),
)
"""Names of the same contrast, letters and digits in lower case."""


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
    no image serves twice.
    """
    scores = [
        (_score(sequence, name), -order, sequence, key)
        for sequence in wanted
        for order, (key, name) in enumerate(names.items())
    ]
    guess: dict[str, str] = {}
    for score, _, sequence, key in sorted(scores, key=lambda s: (s[0], s[1]), reverse=True):
        if score > 0 and sequence not in guess and key not in guess.values():
            guess[sequence] = key
    return guess


def _score(sequence: str, name: str) -> int:
    """Say how convincing a name is for a sequence: 4 the same, 3 a synonym, 1 a part, 0 not."""
    wanted, whole = _letters(sequence), _letters(name)
    own = next((names for names in _SYNONYMS if wanted in names), (wanted,))
    if whole == wanted:
        return 4
    if whole in own:
        return 3
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    # "T2_FLAIR" is a FLAIR: the more telling word wins over the weighting it is based on.
    if "flair" not in own and any("flair" in word for word in words):
        return 0
    if any(word in own for word in words):
        return 3
    return 1 if any(len(one) > 2 and one in word for one in own for word in words) else 0


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
