"""The command line, called as a person calls it."""

from __future__ import annotations

from functools import cache

from typer import testing
from typer.testing import CliRunner

from napari_ies.cli import app

# Typer makes all commands anew at each call.
testing._get_command = cache(testing._get_command)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def one_line(result) -> str:
    """Return the error of a command that failed, which must be one line and no traceback."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert result.exit_code == 1, result.output
    assert len(errors) == 1, result.output
    assert "Traceback" not in result.output
    return errors[0]
