"""Public networks that are known: what their authors' code says and their weights do not tell.

A JSON file for each. ``source`` names code, commit and licence; ``profile`` holds fields as in a
profile file, of which the architecture and its arguments are what a network is known by, and the
others what is told of it; ``known_by`` says it in words where that is not the weights' shapes;
``sha256`` holds the names of its authors' files by their SHA-256, as far as these are public;
``open`` says of fields what could not be verified, or is done otherwise here, and under
``ensemble`` what holds but where all ``members`` of its authors are averaged. Nobody's weights lie
beside them, so that another network of the very same shapes is taken for one of them: it is said,
but for a file of such a hash.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.profile_file import checked
from napari_ies.network.profile import Guess
from napari_ies.printable import joined

if TYPE_CHECKING:
    from collections.abc import Mapping


_BY_SHAPES = "whose weights have these shapes"


@dataclass(frozen=True)
class Known:
    """A public network.

    Parameters
    ----------
    name
        What it is called.
    architecture, arguments
        What it is known by: of the arguments those that its weights tell.
    fields
        The other fields of its profile.
    guessed
        What has to be said with it, by field.
    files
        Names of its authors' files by their SHA-256.
    source
        Where that is from.
    members
        How many networks its authors average; 0 where it is one alone.
    """

    name: str
    architecture: str
    arguments: Mapping[str, Any]
    fields: Mapping[str, Any]
    guessed: Mapping[str, Guess]
    files: Mapping[str, str]
    source: str
    members: int = 0

    def said(self, *digests: str) -> Mapping[str, Guess]:
        """Return what has to be said of a checkpoint whose files have these SHA-256."""
        file = next((self.files[one] for one in digests if one in self.files), None)
        if file is None:
            return self.guessed
        told = Guess(
            f"It is {self.name} ({file}, by its SHA-256): {joined(self.fields)} are those of "
            f"{self.source}."
        )
        return {**self.guessed, "known": told}


@cache
def known_networks() -> tuple[Known, ...]:
    """Return them all."""
    there = sorted(files(__name__).iterdir(), key=lambda one: one.name)
    return tuple(
        _read(file.name, json.loads(file.read_text(encoding="utf-8")))
        for file in there
        if file.name.endswith(".json")
    )


def known_network(architecture: str, arguments: Mapping[str, Any]) -> Known | None:
    """Return the public network of an architecture and its recognised arguments, if it is one."""
    for known in known_networks():
        shared = known.arguments.keys() & arguments.keys()
        if known.architecture == architecture and all(
            known.arguments[name] == arguments[name] for name in shared
        ):
            return known
    return None


def said_of_one(members: int) -> frozenset[str]:
    """Return what is no more true where as many members are averaged, as their authors do."""
    averaged = (one for one in known_networks() if one.members == members > 0)
    return frozenset(one.guessed["ensemble"] for one in averaged)


def _read(file: str, content: Mapping[str, Any]) -> Known:
    fields = checked(content["profile"], file)
    name, architecture, arguments = (fields.pop(k) for k in ("name", "architecture", "arguments"))
    said = Guess(
        f"It is taken for {name}, {content.get('known_by', _BY_SHAPES)}: {joined(fields)} are "
        f"those of {content['source']}. State them in a profile file if it is another network."
    )
    left = {
        key: Guess(text, key if key in fields else "", fields.get(key))
        for key, text in content["open"].items()
    }
    return Known(
        *(name, architecture, arguments, fields, {"known": said, **left}),
        content.get("sha256", {}),
        content["source"],
        content.get("members", 0),
    )
