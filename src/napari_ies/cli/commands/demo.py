"""``napari-ies demo``: the viewer with a patient that nobody is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ies.cli import options
from napari_ies.cli.terminal import reporting


def demo(
    screenshot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a picture of the viewer (PNG) and exit."),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Open the viewer with a synthetic patient and network, ready to click a lesion."""
    with reporting(debug) as terminal:
        from napari_ies.errors import NapariIESError

        try:
            from napari_ies.viewer.demo import run_demo

            run_demo(screenshot)
        except ImportError as error:
            raise NapariIESError(
                f"The viewer cannot be opened ({error}); install what it needs with: "
                "pip install 'napari-ies[all]'."
            ) from error
        if screenshot is not None:
            terminal.show(f"Picture written to {screenshot}")
