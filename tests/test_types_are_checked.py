"""The type check sees what a feature does with its services, although Qt and napari are untyped.

A subclass of a class that mypy does not know takes any attribute. The services are plain classes,
so that a misspelt name is found by ``make lint``, and not by whoever presses the button.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.xdist_group("mypy"), pytest.mark.slow]  # one run of it serves all

ROOT = Path(__file__).parents[1]

FEATURE = '''"""A feature, as any of the viewer's folders has one."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from napari_ies.viewer.feature import Feature, Services


class Made(Feature):
    def attach(self) -> None:
        {feature}


class Form(QWidget):  # type: ignore[misc]
    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services

    def refresh(self) -> None:
        {form}
'''

STATEMENTS = {
    "state.selected": "state.selectted",
    "state.select(1)": "state.select(1.5)",
    "state.reading_changed.connect(print)": "state.reading_chnged.connect(print)",
    "state.reading_changed.emit(None)": "state.reading_changed.emit()",
    'tell.say("Segmented.")': 'tell.sayyy("Segmented.")',
    'tell.fail("Too large.")': "tell.fail(3)",
    "work.run": "work.rum",
    'work.cancel("explain")': "work.cancel(explain=True)",
    "scene.overlays": "scene.overlayss",
    "scene.overlays.toggle()": "scene.overlays.togle()",
    "link": "links",
}
"""What a feature may do with its services, and the same misspelt or given what it does not take."""

READ = """
[[tool.mypy.overrides]]
module = ["napari_ies.viewer.*", "napari_ies.segmentation.*"]
follow_imports = "normal"

[[tool.mypy.overrides]]
module = ["numpy.*", "pandas.*", "torch.*"]
follow_imports = "skip"
follow_imports_for_stubs = true
"""
"""The services and what they are given: to read all that these import takes ten times as long.

What is not read takes any attribute: were a service made of it, what is misspelt would pass.
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory) -> dict[str, list[str]]:
    """Check two modules; return the lines of each that mypy complains of, once a complaint."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed: it comes with the group dev")
    folder = tmp_path_factory.mktemp("features")
    for name, statements in (("right", STATEMENTS.keys()), ("wrong", STATEMENTS.values())):
        text = FEATURE.format(
            feature="\n        ".join(f"self.{one}" for one in statements),
            form="\n        ".join(f"self._services.{one}" for one in statements),
        )
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8") + READ
    (folder / "pyproject.toml").write_text(settings, encoding="utf-8")
    given = ["--config-file", "pyproject.toml", "--follow-imports", "skip", "right.py", "wrong.py"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", os.devnull, *given],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    lines = {}
    for name in ("right", "wrong"):
        text = (folder / f"{name}.py").read_text(encoding="utf-8").splitlines()
        found = re.findall(rf"\b{name}\.py:(\d+): error", done.stdout)
        lines[name] = [text[int(number) - 1].strip() for number in found]
    return lines


def test_what_a_feature_may_do_passes(checked):
    assert checked["right"] == []


def test_each_misspelt_name_is_found_in_a_feature_and_in_a_widget(checked):
    wrong = list(STATEMENTS.values())
    assert checked["wrong"] == [
        *(f"self.{one}" for one in wrong),
        *(f"self._services.{one}" for one in wrong),
    ]
