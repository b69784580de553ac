"""The program, killed in the middle of its work."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

replace = Path.replace


def program_dying(moves: int, arguments: list[str]) -> None:
    """Run the command line in this process, which dies before one more file comes to its place."""
    from napari_ies.cli import app

    left = moves

    def dies(*paths):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(*paths)

    Path.replace = dies
    sys.argv[1:] = arguments
    app()
