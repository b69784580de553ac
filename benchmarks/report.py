"""What a run prints and writes: its table of ratios, and the work per row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BEGIN, END = "<!-- results: written by benchmarks/saliency.py -->", "<!-- end of results -->"
HEADINGS = ("What", "Ours", "Against", "Ratio", "Target", "Reached", "Note")


@dataclass(frozen=True)
class Target:
    """What a ratio should be.

    Parameters
    ----------
    limit
        The number to reach.
    aim
        The number to aim at, or None.
    at_least
        Whether larger is better.
    unit
        Written behind the numbers.
    """

    limit: float
    aim: float | None = None
    at_least: bool = True
    unit: str = "×"

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        aim = "" if self.aim is None else f" (aim {self.aim:g}{self.unit})"
        return f"{sign} {self.limit:g}{self.unit}{aim}"

    def reached_by(self, value: float) -> bool:
        """Whether a measured value is good enough."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Parameters
    ----------
    what
        What was measured, and on what.
    ours, against
        The measured times or sizes, in words.
    value
        The ratio (or size) that the target is about; None where it could not be measured.
    target
        What it should be, or None where nothing is asked.
    note
        How it was measured, or why it was not.
    """

    what: str
    ours: str = ""
    against: str = ""
    value: float | None = None
    target: Target | None = None
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return the row's texts, as many as `HEADINGS`."""
        unit = "×" if self.target is None else self.target.unit
        nothing = "" if self.target is None else "not measured"
        value = nothing if self.value is None else f"{self.value:.3g}{unit}"
        reached = ""
        if self.value is not None and self.target is not None:
            reached = "yes" if self.target.reached_by(self.value) else "no"
        target = "" if self.target is None else str(self.target)
        return self.what, self.ours, self.against, value, target, reached, self.note


@dataclass
class Report:
    """The results of a run.

    Parameters
    ----------
    environment
        On what it was made.
    settings
        With what it was made.
    results
        In the order of measuring.
    title
        Of the table on the terminal.
    marks
        Between which the results stand in a Markdown file.
    """

    environment: Mapping[str, str]
    settings: Mapping[str, str]
    results: list[Result] = field(default_factory=list)
    title: str = "The saliency engine"
    marks: tuple[str, str] = (BEGIN, END)

    def table(self) -> Table:
        """Return the results as a table for the terminal."""
        caption = "; ".join(f"{k}: {v}" for k, v in {**self.environment, **self.settings}.items())
        table = Table(title=self.title, caption=caption, show_lines=True)
        for heading in HEADINGS:
            table.add_column(heading, overflow="fold")
        for result in self.results:
            table.add_row(*result.cells())
        return table

    def markdown(self) -> str:
        """Return the results as Markdown."""
        lines = [
            f"- {key}: {value}" for key, value in {**self.environment, **self.settings}.items()
        ]
        lines += ["", _line(HEADINGS), _line(["---"] * len(HEADINGS))]
        lines += [_line(result.cells()) for result in self.results]
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> None:
        """Write the results between the marks of a Markdown file, else as a file of their own."""
        text = path.read_text() if path.exists() else ""
        begin, end = self.marks
        if begin in text and end in text:
            before, after = text.partition(begin)[0], text.partition(end)[2]
            path.write_text(f"{before}{begin}\n\n{self.markdown()}\n{end}{after}")
        else:
            path.write_text(self.markdown())


def duration(value: float) -> str:
    """Write a time in seconds as a person would."""
    if value < 1e-3:
        return f"{1e6 * value:.3g} µs"
    if value < 1:
        return f"{1000 * value:.3g} ms"
    if value < 120:
        return f"{value:.3g} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.3g} h"


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
