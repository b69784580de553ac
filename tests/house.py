"""The rules of the house: what the package's modules may import, and how large rooms may grow.

Each rule is a function that returns one line for each breach, naming the modules.
"""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

QT = {"qtpy", "superqt", "napari", "vispy", "magicgui", "PyQt5", "PyQt6", "PySide2", "PySide6"}
SHARED_ROOMS = {"canvas", "panel", "state", "volumes", "work"}
"""The viewer's rooms that every feature may use; each other one is a feature."""
MOST_MODULES = 15
MOST_LINES = 350
IMPORTED_AS = {"pillow": "PIL", "pyyaml": "yaml", "scikit-image": "skimage"}
"""The name a distribution is imported by, where it is not its own."""
NOT_IMPORTED_HERE = {"einops": "MONAI's transformer networks import it and do not ask for it"}

MAY_OPEN = {"demo", "open_case"}
"""The commands that open the viewer."""

AT_ONCE, IN_CALLS, FOR_TYPES = "when it is imported", "when a function runs", "for types"


@dataclass(frozen=True)
class Import:
    """One import statement.

    Parameters
    ----------
    target
        What is imported: a module of the package, or the dotted name of another's.
    when
        One of `AT_ONCE`, `IN_CALLS` and `FOR_TYPES`.
    function
        The outermost function it stands in, or an empty string.
    """

    target: str
    when: str
    function: str = ""


@dataclass(repr=False)
class House:
    """The modules of a package and all that they import, read without running any.

    Parameters
    ----------
    folder
        Of the package, which is called as the folder is.
    files
        File of each module, by its dotted name.
    imports
        What each module imports, wherever in it: at the top, in functions and for types.
    """

    folder: Path
    files: dict[str, Path] = field(init=False)
    imports: dict[str, list[Import]] = field(init=False)

    def __post_init__(self) -> None:
        self.files = {}
        for file in sorted(self.folder.rglob("*.py")):
            parts = file.relative_to(self.folder.parent).with_suffix("").parts
            self.files[".".join(part for part in parts if part != "__init__")] = file
        self.imports = {name: list(self._imports(name)) for name in self.files}

    @property
    def name(self) -> str:
        """The package's name."""
        return self.folder.name

    def among(self, *when: str) -> dict[str, set[str]]:
        """Return which modules of the package each one imports, at any of these times."""
        return {
            name: {one.target for one in found if one.when in when and one.target in self.files}
            - {name}
            for name, found in self.imports.items()
        }

    def room(self, module: str) -> str:
        """Return the folder of the package that a module lies in, or its name if in none."""
        inside = module.removeprefix(self.name).removeprefix(".").split(".")
        return inside[0] or self.name

    def inside(self, module: str, *rooms: str) -> bool:
        """Whether a module is one of these, or lies in one: ``"viewer.state"``, ``"cli"``."""
        return any(f"{module}.".startswith(f"{self.name}.{room}.") for room in rooms)

    def _imports(self, module: str) -> Iterator[Import]:
        tree = ast.parse(self.files[module].read_text(encoding="utf-8"))
        for node, when, function in _statements(tree, AT_ONCE, ""):
            for target in self._targets(module, node):
                yield Import(self._known(target), when, function)

    def _targets(self, module: str, node: ast.AST) -> Iterator[str]:
        """Yield the dotted names that a statement imports."""
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                is_package = self.files[module].name == "__init__.py"
                above = module.split(".")[: None if is_package else -1]
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            name = node.args[0]
            if called == "import_module" and isinstance(name, ast.Constant):
                yield str(name.value)

    def _known(self, target: str) -> str:
        """Return the module that holds a name of the package; a name of another as it is."""
        if target.partition(".")[0] != self.name:
            return target
        while target not in self.files:
            target = target.rpartition(".")[0]
        return target


def _statements(node: ast.AST, when: str, function: str) -> Iterator[tuple[ast.AST, str, str]]:
    """Yield every node below one, with when it runs and the outermost function it stands in."""
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST):
                continue
            time, outer = when, function
            if isinstance(node, ast.If) and name == "body" and _asks_for_types(node.test):
                time = FOR_TYPES
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                time = IN_CALLS if time == AT_ONCE else time
                outer = function or getattr(child, "name", "a lambda")
            yield child, time, outer
            yield from _statements(child, time, outer)


def _asks_for_types(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


def circles(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return one line for each set of nodes that reach one another: a shortest way round."""
    reached = {node: _reachable(graph, node) for node in graph}
    told: set[str] = set()
    lines = []
    for node in sorted(graph):
        if node in told or node not in reached[node]:
            continue
        together = {other for other in reached[node] if node in reached[other]}
        told |= together
        way = min((_way_round(graph, one, together) for one in sorted(together)), key=len)
        others = sorted(together - set(way))
        lines.append(" → ".join(way) + (f"; with them {', '.join(others)}" if others else ""))
    return lines


def _reachable(graph: Mapping[str, Iterable[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = set(graph.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def _way_round(graph: Mapping[str, Iterable[str]], start: str, within: set[str]) -> list[str]:
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for following in sorted(set(graph[way[-1]]) & within):
            if following == start:
                return [*way, start]
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    raise AssertionError(f"no way leads round from {start}")


def circles_of_modules(house: House) -> list[str]:
    """No module needs itself by way of others, whenever it imports them."""
    return circles(house.among(AT_ONCE, IN_CALLS, FOR_TYPES))


def circles_of_rooms(house: House) -> list[str]:
    """The core's folders, and its modules that lie in none, have an order from low to high."""
    graph: dict[str, set[str]] = {}
    for module, targets in house.among(AT_ONCE, IN_CALLS, FOR_TYPES).items():
        rooms = {house.room(target) for target in targets}
        graph.setdefault(house.room(module), set()).update(rooms)
    core = graph.keys() - {"viewer"}
    return circles({room: (graph[room] & core) - {room} for room in core})


def qt_in_state(house: House) -> list[str]:
    """What the window knows is known without Qt: not imported there, nor by what it imports."""
    at_once = house.among(AT_ONCE)
    lines = []
    for module in sorted(house.files):
        if not house.inside(module, "viewer.state"):
            continue
        direct = {one.target for one in house.imports[module] if _outermost(one.target) in QT}
        lines += [f"{module} imports {target}" for target in sorted(direct)]
        # A module runs the __init__ of every folder it lies in before itself.
        ways = [[module]]
        seen = {module}
        for way in ways:
            for target in sorted(at_once[way[-1]]):
                for one in _with_parents(target):
                    if one not in seen:
                        seen.add(one)
                        ways.append([*way, one])
        for way in ways[1:]:
            found = {
                one.target
                for one in house.imports[way[-1]]
                if one.when == AT_ONCE and _outermost(one.target) in QT
            }
            lines += [f"{' → '.join(way)} → {target}" for target in sorted(found)]
    return lines


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: length + 1]) for length in range(len(parts))]


def _outermost(target: str) -> str:
    return target.partition(".")[0]


def features(house: House) -> list[str]:
    """Return the viewer's folders that are features."""
    return sorted(
        folder.name
        for folder in (house.folder / "viewer").iterdir()
        if folder.name not in SHARED_ROOMS and next(folder.glob("*.py"), None)
    )


def features_that_know_others(house: House) -> list[str]:
    """A feature imports neither another feature nor the widget that places them all."""
    names = features(house)
    lines = []
    for name in names:
        others = [f"viewer.{other}" for other in names if other != name]
        for module, imports in sorted(house.imports.items()):
            if house.inside(module, f"viewer.{name}"):
                lines += [
                    f"{module} imports {one.target} {one.when}"
                    for one in imports
                    if house.inside(one.target, "viewer.widget", *others)
                ]
    return lines


def core_that_knows_the_window(house: House) -> list[str]:
    """The core imports neither viewer nor cli; of cli, what opens the viewer alone imports it."""
    lines = []
    for module, imports in sorted(house.imports.items()):
        if house.inside(module, "viewer"):
            continue
        on_top = house.inside(module, "cli", "__main__")
        for one in imports:
            if house.inside(one.target, "viewer"):
                allowed = house.inside(module, "cli") and one.function in MAY_OPEN
            else:
                allowed = on_top or not house.inside(one.target, "cli")
            if not allowed:
                lines.append(f"{module} imports {one.target} {one.when}")
    return lines


def full_folders(house: House) -> list[str]:
    """A folder holds what one glance takes in."""
    counts: dict[Path, int] = {}
    for file in house.files.values():
        counts[file.parent] = counts.get(file.parent, 0) + (file.name != "__init__.py")
    return [
        f"{folder.relative_to(house.folder.parent).as_posix()} holds {count} modules"
        for folder, count in sorted(counts.items())
        if count > MOST_MODULES
    ]


def long_modules(house: House) -> list[str]:
    """A module is one idea."""
    lengths = {
        name: len(file.read_text(encoding="utf-8").splitlines())
        for name, file in house.files.items()
    }
    return [f"{name} has {n} lines" for name, n in sorted(lengths.items()) if n > MOST_LINES]


def idle_dependencies(house: House, pyproject: Path) -> list[str]:
    """What is installed with the package is imported by it."""
    asked = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"]
    names = [re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in asked]
    imported = {_outermost(one.target) for found in house.imports.values() for one in found}
    return [
        f"{name} is a dependency, and no module imports it"
        for name in names
        if IMPORTED_AS.get(name, name.replace("-", "_")) not in imported
        and name not in NOT_IMPORTED_HERE
    ]
