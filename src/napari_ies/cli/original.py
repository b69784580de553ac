"""The original scripts' way to write options: ``--input_val_paths P1 P2`` and underscores."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from collections.abc import Iterable


_SHORT = re.compile(r"-[a-zA-Z]")


class OriginalSpelling(TyperCommand):
    """A command whose options may be written as the original scripts take them.

    Its arguments come first. Hyphens and underscores mean the same, and an option that can be given
    more than once takes all words up to the next option, as argparse does with ``nargs="+"``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Rewrite the words as this program spells them, and read them."""
        many = {
            name
            for param in self.params
            if getattr(param, "multiple", False)
            for name in param.opts
        }
        return super().parse_args(ctx, rewritten(args, many))


def rewritten(words: Iterable[str], many: set[str]) -> list[str]:
    """Return the words of a command with options as this program spells them.

    Parameters
    ----------
    words
        As typed.
    many
        The options that can be given more than once, spelled with hyphens.
    """
    result: list[str] = []
    current = ""
    given = 0
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            name = name.replace("_", "-")
            current, given = ("" if equals else name), 0
            result.append(f"{name}{equals}{value}")
            continue
        if _SHORT.fullmatch(word):
            current, given = word, 0
            result.append(word)
            continue
        if current in many and given and not word.startswith("-"):
            result.append(current)
        result.append(word)
        given += 1
    return result


class OneCaseOrOriginal(OriginalSpelling):
    """A command with arguments that takes the original scripts' options, too.

    Words are read in the scripts' way only where one of them is of the scripts': in the other way a
    word after an option's value may be an argument.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Read the words in the way that they are written in."""
        if any(word.replace("_", "-").startswith("--input-val-paths") for word in args):
            return super().parse_args(ctx, args)
        return TyperCommand.parse_args(self, ctx, args)
