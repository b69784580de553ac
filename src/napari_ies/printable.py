"""Texts made fit for a terminal, a dialog and a file: what comes from files is only ever shown."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_WORD = 300
"""Characters of a name in a sentence; of a longer one, beginning and end are shown."""
LONGEST = 4000
"""Characters of a text for a person."""

_BREAKS = dict.fromkeys(map(ord, "\n\t"))
_LONG = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Controls (escape codes among them), turns of direction, halves of characters, unassigned ones."""


def printable(text: str, longest: int = LONGEST) -> str:
    r"""Return a text that can be shown: no control characters, no name without end.

    Parameters
    ----------
    text
        Whatever came from a file or its name.
    longest
        Characters that may be shown; more are cut out of the middle.

    Returns
    -------
    The text. Line breaks and tabs stay; every other character that is not to be seen is shown by
    its number, such as ``\x1b``; of a name that Python could not decode, the bytes.
    """
    # Cut first: what is far too long is not looked at letter by letter.
    text = _shortened(text, longest)
    text = _LONG.sub(lambda word: _shortened(word.group(), LONGEST_WORD), text)
    if text.translate(_BREAKS).isprintable():
        return text
    return "".join(_seen(letter) for letter in text)


def _seen(letter: str) -> str:
    if letter in "\n\t" or unicodedata.category(letter) not in _UNSEEN:
        return letter
    number = ord(letter)
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a name that is not UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    head = longest * 2 // 3
    return f"{text[:head]}…{text[len(text) - (longest - head - 1) :]}"


def joined(names: Iterable[object]) -> str:
    """List things in words: ``"a, b and c"``."""
    *first, last = map(str, names)
    return f"{', '.join(first)} and {last}" if first else last


def counted(count: int, word: str) -> str:
    """Return such as ``1 map`` or ``2 maps``."""
    return f"{count} {word}{'s' if count != 1 else ''}"
