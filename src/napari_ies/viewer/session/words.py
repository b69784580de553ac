"""What is told of a session that was opened: what is missing, moved, or left over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.results.session import Session

TOLD_PROBLEMS = 6
"""More problems than this are counted, not told one by one."""


INCOMPLETE = (
    "What is saved can be looked at, but nothing new can be computed until this is put right:"
)
LOADED = (
    "The file of the checkpoint is missing or changed, but its network is loaded in this window, "
    "so more can be computed until that is closed:"
)


def problems(session: Session, loaded: str) -> list[str]:
    """Return what must be known of a session that was opened; nothing where all is as it was.

    Parameters
    ----------
    session
        As it was read.
    loaded
        SHA-256 of the checkpoint that is loaded, or an empty text.
    """
    checkpoint = session.checkpoints[0]
    told = [*session.problems, *session.moved, *unused(session)]
    if not told:
        return []
    network = loaded == checkpoint.sha256 != ""
    if not session.complete or (checkpoint.path is None and not network):
        return [INCOMPLETE, *first(told)]
    return [LOADED, *first(told)] if checkpoint.path is None else first(told)


def first(told: Sequence[str]) -> list[str]:
    """Return the first of some sentences, and how many there are besides."""
    more = len(told) - TOLD_PROBLEMS
    return [*told[:TOLD_PROBLEMS], *([f"And {more} more of this kind."] if more > 0 else [])]


def unused(session: Session) -> list[str]:
    """Name the files of former maps and regions that are left."""
    if not session.unused:
        return []
    count = len(session.unused)
    files = f"{count} files" if count > 1 else "A file"
    count_no_more = "count no more" if count > 1 else "counts no more"
    told = (
        f"{files} of former maps or regions in {session.folder} {count_no_more} and can be removed "
        f"by hand, the first is {session.unused[0]}; session.json lists all under Obsolete."
    )
    if not session.annotated:
        return [told]
    name, *others = session.annotated
    them = f"{name} and {len(others)} more of them were" if others else f"{name} was"
    return [
        told,
        f"{them} changed by hand or given a second name, so look at that before you remove it.",
    ]
