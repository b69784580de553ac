"""``napari-ies figure``: from maps to pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ies.cli import options
from napari_ies.cli.terminal import reporting
from napari_ies.figures.settings import FigureSettings


def figure(
    result: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULT",
            help="A saliency that explain wrote: any one of its files. One figure for each.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE_OR_DIR",
            help="The figure's file (.png, .svg, .pdf), or the folder for the figures.",
        ),
    ],
    image: Annotated[
        list[str] | None,
        typer.Option(
            "--image",
            metavar="NAME=FILE",
            help="Where an image that the result was computed from is now, if it is not beside it.",
        ),
    ] = None,
    form: Annotated[
        options.FigureFormat | None,
        typer.Option("--format", help="Kind of file (default: by --out's ending, or png)."),
    ] = None,
    layout: options.LayoutOption = "planes",
    theme: options.ThemeOption = "light",
    width: options.Width = FigureSettings.width,
    margin: options.Margin = 15.0,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="Show whole slices, not the lesion's surroundings."),
    ] = False,
    at: options.At = None,
    sequence: options.Sequences = None,
    slices: options.Slices = FigureSettings.slices,
    limits: options.LimitsOption = "auto",
    limit: options.Limit = None,
    threshold: options.ClearBelow = FigureSettings.threshold,
    opacity: options.Opacity = FigureSettings.opacity,
    plain: options.Plain = True,
    outline: options.Outline = True,
    outline_width: options.OutlineWidth = FigureSettings.outline_width,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Mask of the reference, on the images' grid or near it."),
    ] = None,
    outline_reference: options.OutlineReference = True,
    letters: options.Letters = False,
    interpolation: options.InterpolationOption = "linear",
    captions: Annotated[
        bool,
        typer.Option("--caption", help="Print a caption to paste after each figure's path."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace figures of the same name.")
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Draw figures for papers of saved saliencies: images, overlay, outline, scales, method."""
    images = options.parse_images(image or [])
    with reporting(debug) as terminal:
        from napari_ies.cli import drawing

        settings = FigureSettings(
            layout=layout,
            theme=theme,
            width=width,
            margin=None if whole else margin,
            at=at,
            sequences=tuple(sequence) if sequence else None,
            plain=plain,
            slices=slices,
            limits=limits,
            limit=limit,
            threshold=threshold,
            opacity=opacity,
            outline=outline,
            outline_width=outline_width,
            outline_reference=outline_reference,
            letters=letters,
            interpolation=interpolation,
        )
        files = drawing.figure_files(result, out, form, settings, overwrite)
        reports = drawing.draw_figures(files, images, settings, overwrite, reference)
        for drawn in terminal.follow(reports, "Figures"):
            terminal.show(str(drawn.path))
            if captions:
                terminal.show(drawn.caption)
