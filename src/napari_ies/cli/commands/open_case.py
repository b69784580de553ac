"""``napari-ies open``: a lesion of a folder of results in the viewer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ies.cli import options
from napari_ies.cli.terminal import reporting


def open_case(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A folder of results of cohort or explain."),
    ],
    case: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The case, as the names of its files begin: sub-07 or sub-07_ses-1.",
        ),
    ],
    lesion: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="The lesion to look at first."),
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the patients' images, searched with all below it, if the results do "
            "not lead to them; repeat for more. Only the very images are taken (SHA-256).",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The network's weights, so that the viewer finds them at once."
        ),
    ] = None,
    no_window: Annotated[
        bool,
        typer.Option("--no-window", help="Write the session and do not open it."),
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Open a case in napari with all its maps, at a lesion.

    The case becomes a session in FOLDER/sessions, which is kept with what is added to it; any
    napari opens it by dropping that folder.
    """
    with reporting(debug) as terminal:
        from napari_ies.cohort.report.as_session import session_of_case
        from napari_ies.cohort.report.images import Images
        from napari_ies.errors import NapariIESError

        place = session_of_case(
            folder, case, Images(images or (), folder), lesion=lesion, checkpoint=checkpoint
        )
        terminal.show(str(place))
        if no_window:
            return
        try:
            from napari_ies.viewer.opening import run_session

            run_session(place)
        except ImportError as error:
            raise NapariIESError(
                f"The viewer cannot be opened ({error}); install what it needs with: "
                "pip install 'napari-ies[all]'."
            ) from error
