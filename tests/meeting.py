"""The program in two processes that are both in the middle of their work before either goes on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier


def program_meeting(meeting: Barrier, arguments: list[str]) -> None:
    """Run the command line in this process, which waits for the other before a case is written."""
    from napari_ies.cli import app
    from napari_ies.cohort import one_case

    save = one_case.save_segmentation
    met = False

    def meets(*given, **named):
        nonlocal met
        if not met:
            meeting.wait(timeout=120)
            met = True
        return save(*given, **named)

    one_case.save_segmentation = meets
    sys.argv[1:] = arguments
    app()
