"""The page on how the project is built names files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("src", "tests")
    for path in (ROOT / folder).rglob("*.py")
]
ROOMS = sorted({path.parent.relative_to(ROOT / "src/napari_ies").as_posix()
                for path in (ROOT / "src/napari_ies").rglob("__init__.py")} - {"."})  # fmt: skip


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`([\w/]+\.py)`", PAGE))))
def test_each_file_that_is_named_is_there(named):
    assert any(f"/{file}".endswith(f"/{named}") for file in FILES)


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_on_the_map(room):
    tree = PAGE.partition("```")[2].partition("```")[0]
    assert f"{room.rpartition('/')[2]}/" in tree or room.startswith("viewer/canvas/")
