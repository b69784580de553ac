"""The configuration of a MONAI bundle, read as data.

MONAI's own parser evaluates every text that begins with ``$`` and makes whatever ``_target_``
names; here references are followed and nothing else is done. A person who trusts a bundle has
MONAI's parser do the rest.
"""

from __future__ import annotations

import copy
import json
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_ies.errors import CheckpointError, UntrustedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TARGET = "_target_"
_MOST_VALUES = 20_000
"""Values that references may lead to: a few of them can name one another exponentially often."""
_DEEPEST = 40
_SHOWN = 120

Id = tuple[str | int, ...]
"""Where a value stands: ``("preprocessing", "transforms", 3, "axcodes")``."""


class Config:
    """A configuration.

    Parameters
    ----------
    name
        Of its file.
    content
        Of its file: JSON or YAML.
    root
        The bundle's folder, if it may be run; else None.
    """

    def __init__(self, name: str, content: bytes, root: Path | None, trust: bool) -> None:
        self.name, self._root, self._trust = name, root, trust
        try:
            self._text = content.decode("utf-8-sig")
            self._values = _parsed(name, self._text)
        except (ValueError, RecursionError) as error:
            why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise CheckpointError(f"{name} cannot be read ({' '.join(why.split())})") from error
        if not isinstance(self._values, dict):
            raise CheckpointError(f"{name} holds no table of named parts")
        self._left = _MOST_VALUES

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def raw(self, place: Id) -> Any:
        """Return what stands at a place, or None."""
        value: Any = self._values
        for step in place:
            if isinstance(value, dict):
                value = value.get(step, value.get(str(step)))
            elif isinstance(value, list) and str(step).isdecimal() and int(step) < len(value):
                value = value[int(step)]
            else:
                return None
        return value

    def value(self, place: Id, default: Any = None) -> Any:
        """Return what stands at a place as plain values, all references followed.

        Raises
        ------
        UntrustedError
            If it is an expression, or refers to one.
        CheckpointError
            If a reference leads nowhere, or round and round.
        """
        found = self.raw(place)
        return default if found is None else self._resolved(place, found, 0)

    def target(self, place: Id) -> str:
        """Return the class that a component names, or an empty string where there is none."""
        place = self.followed(place)
        name = self.raw((*place, TARGET))
        return name if isinstance(name, str) else ""

    def arguments(self, place: Id) -> dict[str, Any]:
        """Return the plain keyword arguments of a component."""
        place = self.followed(place)
        keys = [key for key in self.raw(place) if not (key[:1] == key[-1:] == "_")]
        return {key: self.value((*place, key)) for key in keys}

    def argument(self, place: Id, name: str, default: Any = None) -> Any:
        """Return one of them, and look at no other."""
        return self.value((*self.followed(place), name), default)

    def followed(self, place: Id) -> Id:
        """Return where a reference leads, if there is one at a place."""
        for _ in range(_DEEPEST):
            found = self.raw(place)
            if not (isinstance(found, str) and found.startswith("@")):
                return place
            place = self._referred(found)
        raise CheckpointError(f"a reference of {self.name} leads to itself{self.line(found)}")

    def made(self, place: Id) -> Any:
        """Have MONAI's parser make what stands at a place; the bundle is trusted.

        Raises
        ------
        UntrustedError
            If it is not.
        CheckpointError
            If MONAI cannot.
        """
        if not self._trust:
            found = self.raw(place)
            shown = found if isinstance(found, str) else self.target(place)
            raise UntrustedError(f"it would run {_short(shown)}{self.line(shown)}")
        from monai.bundle import ConfigParser

        parser = ConfigParser(copy.deepcopy(self._values))
        if self._root is not None:
            parser["bundle_root"] = str(self._root)
        try:
            with _importing_from(self._root):
                return parser.get_parsed_content("::".join(map(str, place)))
        # It runs whatever the bundle's author wrote.
        except Exception as error:
            said = " ".join(str(error)[:_SHOWN].split()) or type(error).__name__
            raise CheckpointError(
                f"MONAI cannot make its {place[0]} ({said.rstrip('.')})"
            ) from error

    def line(self, text: Any) -> str:
        """Say in which line of the file a text stands first, if it is found."""
        for sought in (json.dumps(text), json.dumps(text, ensure_ascii=False), str(text)):
            at = self._text.find(sought)
            if at >= 0:
                return f" ({self.name}, line {self._text.count(chr(10), 0, at) + 1})"
        return f" ({self.name})"

    def _resolved(self, place: Id, found: Any, depth: int) -> Any:
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise CheckpointError(f"its {place[0]} has more parts than a network's description")
        if isinstance(found, dict):
            return {
                key: self._resolved((*place, key), each, depth + 1) for key, each in found.items()
            }
        if isinstance(found, list):
            return [self._resolved((*place, i), each, depth + 1) for i, each in enumerate(found)]
        if not isinstance(found, str):
            return found
        if found.startswith("$"):
            return self.made(place)
        if found.startswith("@"):
            there = self._referred(found)
            return self._resolved(there, self.raw(there), depth + 1)
        if found.startswith("%"):
            raise CheckpointError(
                f"its macro {_short(found)} is not read{self.line(found)}: write there what it "
                "stands for"
            )
        return found

    def _referred(self, text: str) -> Id:
        """Return where a reference leads, which has to be somewhere."""
        place: Id = tuple(re.split("::|#", text[1:]))
        if self.raw(place) is None:
            raise CheckpointError(f"its reference {_short(text)} leads nowhere{self.line(text)}")
        return place


def _parsed(name: str, text: str) -> Any:
    if name.endswith(".json"):
        return json.loads(text)
    import yaml  # type: ignore[import-untyped]

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


@contextmanager
def _importing_from(root: Path | None) -> Iterator[None]:
    """Have a bundle's own modules found, and forgotten: each bundle calls them ``scripts``."""
    if root is None:
        yield
        return
    before = set(sys.modules)
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and str(file).startswith(str(root)):
                del sys.modules[name]
