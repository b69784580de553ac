"""What comes from files is only ever shown: no escape code, no text without end."""

from __future__ import annotations

import os

import pytest

from napari_ies.errors import CaseError
from napari_ies.printable import LONGEST, LONGEST_WORD, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("FLAIR is missing.", "FLAIR is missing."),
        ("ФЛЕР und Größe, 脳", "ФЛЕР und Größe, 脳"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2Jgone\x07", "\\x1b[2Jgone\\x07"),
        ("\x9b31mred", "\\x9b31mred"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        (os.fsdecode(b"na\xffme"), "na\\xffme"),
        ("\ud800", "\\ud800"),
    ],
)
def test_only_what_can_be_seen_is_shown(text, shown):
    assert printable(text) == shown
    shown.encode("utf-8")


def test_a_long_name_keeps_its_beginning_and_its_end():
    shown = printable(f"There is no {'n' * 1_000_000}.nii here.")
    assert shown.startswith("There is no nnn")
    assert shown.endswith("nnn.nii here.") or "…" in shown
    assert len(shown) <= LONGEST
    assert len(printable(f"see {'x' * 1000}.nii now").split()[1]) == LONGEST_WORD
    assert printable(f"see {'x' * 1000}.nii now").endswith("x.nii now")


def test_errors_are_printable():
    assert str(CaseError("\x1b]0;owned\x07.nii is empty")) == "\\x1b]0;owned\\x07.nii is empty"
    assert len(str(CaseError("word " * 100_000))) <= LONGEST
