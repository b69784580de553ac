"""What a test runs as ``python -c`` would, in a fork of a process that has loaded the package."""

from __future__ import annotations

import os
import sys


def run_program(program: str, arguments: list[str], environment: dict[str, str], said: str) -> None:
    """Run a program there; what it prints, errors among it, goes to a file."""
    sys.stdout = sys.stderr = open(said, "w", encoding="utf-8", buffering=1)  # noqa: SIM115, PTH123
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    exec(program, {"__name__": "__main__"})  # noqa: S102
