"""What a person sees in the terminal: results on standard output, all else on standard error."""

from __future__ import annotations

import logging
import sys
import time
import traceback
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.console import Console

from napari_ies.cli.failures import sentence_of
from napari_ies.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from rich.table import Table
    from rich.text import Text

    from napari_ies.progress import Progress

T = TypeVar("T")
K = TypeVar("K", bound="Hashable")

logger = logging.getLogger("napari_ies")

PIPE_WIDTH = 200
"""Width of tables that go to a file or another program, where no column may be cut."""
LONGEST_TRACE = 100_000
"""Characters of a traceback."""
LONGEST_STEP = 80
"""Characters beside a progress bar."""
INTERRUPTED = 130
"""Exit status of a program ended by Ctrl-C: 128 + SIGINT."""


class _PlainConsole(Console):
    """A console that takes a text as a text: no markup, no emoji codes, nothing unprintable."""

    def render_str(self, text: str, *arguments: Any, **options: Any) -> Text:
        options |= {"markup": False, "emoji": False}
        return super().render_str(printable(text), *arguments, **options)


class Terminal:
    """Standard output for results, standard error for progress, notes and errors."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else PIPE_WIDTH
        self.out = _PlainConsole(width=width, highlight=False)
        self.err = _PlainConsole(stderr=True, highlight=False)

    def note(self, text: str) -> None:
        """Say something on standard error, in one line."""
        self.err.print(" ".join(printable(text).split()), markup=False, soft_wrap=True)

    def show(self, result: Table | str) -> None:
        """Print a result on standard output."""
        if isinstance(result, str):
            self.out.print(printable(result), markup=False, soft_wrap=True)
        else:
            self.out.print(result)

    def show_trace(self, error: BaseException) -> None:
        """Show where an error comes from on standard error, for developers."""
        text = "".join(traceback.format_exception(error))
        self.err.print(printable(text, LONGEST_TRACE), markup=False, soft_wrap=True)

    def follow(self, reports: Iterator[Progress[T]], step: str) -> T:
        """Run a computation to its end, with a progress bar where there is a terminal.

        Parameters
        ----------
        reports
            The computation.
        step
            What is done, for the bar and for the line that says it is done.

        Returns
        -------
        The finished result.
        """
        (result,) = self.follow_each(((step, report) for report in reports), str)
        return result[1]

    def follow_each(
        self, reports: Iterator[tuple[K, Progress[T]]], step: Callable[[K], str]
    ) -> Iterator[tuple[K, T]]:
        """Run computations that take turns; give each result as soon as it is finished.

        Parameters
        ----------
        reports
            Keys, each with a report on the computation of that key.
        step
            Says what is done for a key.

        Yields
        ------
        Key and finished result.
        """
        started: dict[K, float] = {}
        with self.bar() as show:
            for key, report in reports:
                started.setdefault(key, time.monotonic())
                show(step(key), report)
                if report.finished and report.result is not None:
                    logger.info("%s: %s", step(key), _duration(time.monotonic() - started[key]))
                    yield key, report.result
                del report  # or its result would live on while the next one is computed

    @contextmanager
    def bar(self) -> Iterator[Callable[[str, Progress[Any]], None]]:
        """Give what shows a step and its report on a bar, if there is a terminal."""
        if not self.err.is_terminal:
            yield lambda _step, _report: None
            return
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        with Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} {task.fields[unit]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.err,
            transient=True,
        ) as bar:
            task = bar.add_task("", total=None, unit="")

            def show(step: str, report: Progress[Any]) -> None:
                if report.done < bar.tasks[task].completed:  # the next one begins
                    bar.reset(task)
                bar.update(
                    task,
                    description=" ".join(printable(step, LONGEST_STEP).split()),
                    completed=report.done,
                    total=report.total,
                    unit=report.unit,
                )

            yield show


@contextmanager
def reporting(debug: bool) -> Iterator[Terminal]:
    """Give a terminal to a command's work, and turn what goes wrong into one line.

    Parameters
    ----------
    debug
        Whether an error shows its traceback too.

    Raises
    ------
    typer.Exit
        With status 1 if the work failed, 130 if it was interrupted.
    """
    terminal = Terminal()
    try:
        with _logging_to(terminal), warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")  # of other libraries, and not for this reader
            warnings.showwarning = lambda text, kind, *_: terminal.note(f"{kind.__name__}: {text}")
            yield terminal
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        terminal.note("Interrupted; files that were written before are whole.")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if debug:
            terminal.show_trace(error)
        terminal.note(f"Error: {sentence_of(error)}")
        raise typer.Exit(1) from error


@contextmanager
def _logging_to(terminal: Terminal) -> Iterator[None]:
    """Show the core's log in the terminal, without breaking the progress bar."""
    handler = _TerminalHandler(terminal)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


class _TerminalHandler(logging.Handler):
    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        self._terminal.note(record.getMessage())


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"
