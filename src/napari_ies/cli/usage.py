"""Wrong usage, told without what was typed reaching the terminal as it is."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from napari_ies.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_USAGE = 1000
"""Characters that a sentence on wrong usage may have."""


class Commands(TyperGroup):
    """The commands; what their options refuse is shown with every character printable."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read what stands before the command."""
        with _shown_printable():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Read a command's own arguments and run it."""
        with _shown_printable():
            return super().invoke(ctx)


@contextmanager
def _shown_printable() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # Typer's errors of usage: which package their classes are in depends on its version.
        if hasattr(error, "format_message") and isinstance(getattr(error, "message", None), str):
            error.message = printable(error.message, LONGEST_USAGE)  # type: ignore[attr-defined]
        raise


@contextmanager
def refusing() -> Iterator[None]:
    """Turn what is wrong with what was asked for into wrong usage."""
    from napari_ies.errors import CohortError, NoSuchClassError, ResultsError, SaliencyError

    try:
        yield
    except (CohortError, NoSuchClassError, ResultsError, SaliencyError) as error:
        raise typer.BadParameter(str(error)) from error
