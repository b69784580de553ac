"""Work that takes long is announced before it starts, and above an hour it is agreed to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from napari_ies.duration import MINUTE
from napari_ies.saliency.expected.expected_time import expected_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike

    from napari_ies.cli.terminal import Terminal
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.saliency.request import SaliencyRequest


def announce(
    terminal: Terminal,
    model: SegmentationModel,
    case: Case,
    footprints: Iterable[ArrayLike],
    request: SaliencyRequest,
    memory_gib: float | None,
    jacobian: str,
    agreed: bool,
) -> None:
    """Say how long explanations will take, from a minute on, and ask above an hour.

    Parameters
    ----------
    terminal
        Where it is said.
    model, case, footprints, request, memory_gib, jacobian
        See :func:`~napari_ies.saliency.expected.expected_time.expected_time`.
    agreed
        Whether they may take as long as they will.

    Raises
    ------
    typer.BadParameter
        If they take more than an hour, nobody agreed, and there is no terminal to ask at.
    typer.Abort
        If a person does not want to start.
    """
    expected = expected_time(
        model, case, footprints, request, jacobian=jacobian, memory_gib=memory_gib
    )
    if expected.seconds is None or expected.seconds < MINUTE:
        return
    shorter = f"with {expected.shorter_with}"
    if agreed or not expected.long:
        more = "" if agreed else f"; it is shorter {shorter}"
        terminal.note(f"This will take {expected.text}{more}.")
        return
    if at_a_terminal(terminal):
        terminal.note(f"This will take {expected.text}; it is shorter {shorter}.")
        typer.confirm("Start it?", abort=True, err=True)
        return
    raise typer.BadParameter(
        f"this will take {expected.text}: give --yes to start it all the same, or make it shorter "
        f"{shorter}."
    )


def at_a_terminal(terminal: Terminal) -> bool:
    """Whether there is somebody to ask, and not a script or a pipe."""
    return sys.stdin.isatty() and terminal.err.is_terminal
