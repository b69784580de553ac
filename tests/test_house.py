"""The rules of the house hold for the package, and each one can fail."""

from __future__ import annotations

from pathlib import Path

import house as rules
import pytest
from house import House

import napari_ies

PACKAGE = Path(napari_ies.__file__).parent
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


@pytest.fixture(scope="module")
def house() -> House:
    return House(PACKAGE)


def assert_none(breaches: list[str]) -> None:
    if breaches:
        pytest.fail("\n".join(breaches), pytrace=False)


@pytest.mark.slow
def test_no_circle_among_modules(house):
    assert_none(rules.circles_of_modules(house))


def test_no_circle_among_the_cores_rooms(house):
    assert_none(rules.circles_of_rooms(house))


def test_no_qt_in_the_state_or_below_it(house):
    assert_none(rules.qt_in_state(house))


def test_no_feature_knows_another_or_the_widget(house):
    assert_none(rules.features_that_know_others(house))


def test_the_core_knows_neither_viewer_nor_command_line(house):
    assert_none(rules.core_that_knows_the_window(house))


def test_no_folder_is_full(house):
    assert_none(rules.full_folders(house))


def test_no_module_is_long(house):
    assert_none(rules.long_modules(house))


def test_no_dependency_is_idle(house):
    assert_none(rules.idle_dependencies(house, PYPROJECT))


def test_the_whole_package_is_read(house):
    """A rule about rooms that are not there would hold for ever."""
    assert {"napari_ies", "napari_ies.cli.app", "napari_ies.viewer.widget"} <= house.files.keys()
    assert (house.folder / "viewer" / "state").is_dir()
    assert {
        *("colouring", "comparing", "explaining", "figure", "help", "lesions", "planes"),
        *("preparing", "readout", "regions", "session"),
    } <= set(rules.features(house))
    for when in (rules.AT_ONCE, rules.IN_CALLS, rules.FOR_TYPES):
        assert sum(map(len, house.among(when).values())) > 50


@pytest.fixture
def build(tmp_path):
    """Write a small package: the text of each file by its path in the package."""

    def write(**texts: str) -> House:
        package = tmp_path / "small"
        for path, text in {"__init__": "", **texts}.items():
            file = package / f"{path}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return House(package)

    return write


TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "


@pytest.mark.parametrize(
    "back",
    [
        "import small.rise",
        "from small import rise",
        "from small.rise import height",
        "from . import rise",
        "from .rise import height",
        "def late():\n    from small.rise import height",
        "class Late:\n    async def late(self):\n        import small.rise",
        "late = lambda: import_module('small.rise')",
        "if True:\n    try:\n        import small.rise\n    except ImportError:\n        pass",
        f"{TYPES}from small.rise import height",
        "import typing\nif typing.TYPE_CHECKING:\n    import small.rise as r",
    ],
)
def test_a_circle_is_found_however_it_is_imported(build, back):
    house = build(
        rise="from small.fall import depth\nheight = 1", fall=back, aside="import small.rise"
    )
    assert rules.circles_of_modules(house) == ["small.fall → small.rise → small.fall"]
    assert rules.circles_of_rooms(house) == ["fall → rise → fall"]


def test_a_circle_through_the_door_of_a_folder_is_found(build):
    house = build(**{"room/__init__": "from .deep import depth", "room/deep": "import small.room"})
    assert rules.circles_of_modules(house) == ["small.room → small.room.deep → small.room"]


def test_a_circle_is_told_by_its_shortest_way_and_all_who_are_in_it(build):
    house = build(
        a="import small.b",
        b="import small.c",
        c="import small.a, small.d",
        d="import small.c",
        e="import small.a",
    )
    assert rules.circles_of_modules(house) == [
        "small.c → small.d → small.c; with them small.a, small.b"
    ]


def test_two_rooms_that_need_each_other_are_found_without_a_circle_of_modules(build):
    texts = {
        "low/__init__": "",
        "low/one": "import small.high.one",
        "low/two": "",
        "high/__init__": "",
        "high/one": "",
        "high/two": f"{TYPES}from ..low import two",
        "viewer/__init__": "import small.low.one",
    }
    house = build(**texts)
    assert rules.circles_of_modules(house) == []
    assert rules.circles_of_rooms(house) == ["high → low → high"]
    assert rules.circles_of_rooms(build(**{**texts, "high/two": ""})) == []


def test_qt_is_found_in_the_state_and_below_it(build):
    house = build(
        **{
            "viewer/__init__": "",
            "viewer/state/__init__": "",
            "viewer/state/plain": "def show():\n    from napari import Viewer",
            "viewer/state/deep": "from small.core import value",
            "viewer/state/typed": f"{TYPES}from qtpy.QtWidgets import QWidget",
            "viewer/state/fine": "import small.late\nimport numpy",
            "core/__init__": "import superqt.utils",
            "core/value": "",
            "late": f"def paint():\n    import vispy\n{TYPES}import magicgui",
        }
    )
    assert rules.qt_in_state(house) == [
        "small.viewer.state.deep → small.core → superqt.utils",
        "small.viewer.state.plain imports napari.Viewer",
        "small.viewer.state.typed imports qtpy.QtWidgets.QWidget",
    ]


def test_a_feature_that_knows_another_or_the_widget_is_found(build):
    house = build(
        **{
            "viewer/__init__": "",
            "viewer/widget": "import small.viewer.lesions.table, small.viewer.readout.plot",
            "viewer/state/__init__": "",
            "viewer/state/look": "",
            "viewer/lesions/__init__": "",
            "viewer/lesions/table": "from . import row\nimport small.viewer.state.look",
            "viewer/lesions/row": f"{TYPES}from small.viewer.widget import Panel",
            "viewer/readout/__init__": "",
            "viewer/readout/plot": "def draw():\n    from ..lesions import table",
        }
    )
    assert rules.features(house) == ["lesions", "readout"]
    assert rules.features_that_know_others(house) == [
        "small.viewer.lesions.row imports small.viewer.widget for types",
        "small.viewer.readout.plot imports small.viewer.lesions.table when a function runs",
    ]


def test_a_core_that_knows_the_window_is_found(build):
    demo = "def demo():\n    from small.viewer import start"
    house = build(
        **{
            "viewer/__init__": "import small.cli.app, small.core",
            "cli/__init__": "",
            "cli/app": demo,
            "cli/other": "def figure():\n    from small.viewer import start",
            "cli/early": "import small.viewer",
            "core": f"{TYPES}from small.viewer import Panel",
            "deep/__init__": "def run():\n    import small.cli.app",
            "deep/demo": demo,
            "__main__": "from small.cli import app",
        }
    )
    assert rules.core_that_knows_the_window(house) == [
        "small.cli.early imports small.viewer when it is imported",
        "small.cli.other imports small.viewer when a function runs",
        "small.core imports small.viewer for types",
        "small.deep imports small.cli.app when a function runs",
        "small.deep.demo imports small.viewer when a function runs",
    ]


def test_full_folders_and_long_modules_are_found(build):
    names = [f"full/m{number}" for number in range(16)]
    house = build(**dict.fromkeys(["full/__init__", "some/__init__", *names, *names[:15]], ""))
    assert rules.full_folders(house) == ["small/full holds 16 modules"]
    house = build(short="x = 1\n" * 350, long="x = 1\n" * 351)
    assert rules.long_modules(house) == ["small.long has 351 lines"]


def test_an_idle_dependency_is_found(build, tmp_path):
    project = tmp_path / "pyproject.toml"
    project.write_text(
        '[project]\ndependencies = ["einops>=0.7", "magicgui>=0.10", "numpy", "scikit-image~=0.24",'
        ' "some-thing[more]>=1; python_version > \'3\'", "rich"]'
    )
    house = build(
        one="import numpy.linalg\nfrom skimage import draw", two="import some_thing, magic"
    )
    assert rules.idle_dependencies(house, project) == [
        "magicgui is a dependency, and no module imports it",
        "rich is a dependency, and no module imports it",
    ]
