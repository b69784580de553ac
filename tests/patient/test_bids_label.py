from __future__ import annotations

import hashlib
import re
import unicodedata

import pytest

from napari_ies.patient.bids_label import bids_label


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("P-07", "P07"),
        ("Müller, Hans", "MullerHans"),
        ("Groß", "Gross"),
        ("Sørensen", "Sorensen"),
        ("Łukasz Wójcik", "LukaszWojcik"),
        ("Ægir", "AEgir"),
        ("Þórður", "THordur"),
        ("①②", "12"),
        ("_-", ""),
    ],
)
def test_letters_are_spelled_in_ascii(name, label):
    assert bids_label(name) == label


@pytest.mark.parametrize("name", ["ФЛЕР", "患者七", "σ_-", "Ελένη"])
def test_a_script_without_counterparts_gives_a_label_of_its_own(name):
    expected = hashlib.sha256(name.encode()).hexdigest()[:8]
    assert bids_label(name) == f"x{expected}"


def test_names_that_lose_letters_never_share_a_label():
    names = ["患者7", "病人7", "7", "Иванов 7", "Петров 7", "患者", "病人", "患 者", "患-者"]
    labels = [bids_label(name) for name in names]
    assert len(set(labels)) == len(names)
    assert all(re.fullmatch("[A-Za-z0-9]+", label) for label in labels)


def test_the_label_does_not_depend_on_how_the_disk_composes_letters():
    for name in ("Müller", "がん患者"):
        composed = unicodedata.normalize("NFC", name)
        assert bids_label(unicodedata.normalize("NFD", name)) == bids_label(composed)


def test_a_label_is_its_own_label():
    for name in ("P07", "x1a2b3c4d"):
        assert bids_label(name) == name
