"""``napari-ies figure``: from maps to pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ies.cli.options import (
    Debug,
    FigureFormat,
    FigureInterpolation,
    FigureLayout,
    FigureLimits,
    FigureTheme,
    parse_images,
)
from napari_ies.cli.terminal import reporting


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
        FigureFormat | None,
        typer.Option("--format", help="Kind of file (default: by --out's ending, or png)."),
    ] = None,
    layout: Annotated[
        FigureLayout, typer.Option(help="Three planes at the lesion, or axial slices through it.")
    ] = "planes",
    theme: Annotated[FigureTheme, typer.Option(help="The page around the images.")] = "light",
    width: Annotated[
        float,
        typer.Option(metavar="MM", help="Of the page: 88 for one column, 180 for two."),
    ] = 180.0,
    margin: Annotated[
        float, typer.Option(metavar="MM", help="How far the images reach around the lesion.")
    ] = 15.0,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="Show whole slices, not the lesion's surroundings."),
    ] = False,
    at: Annotated[
        tuple[float, float, float] | None,
        typer.Option(
            metavar="X Y Z",
            help="Centre the figure here, in mm of the scanner's coordinates (towards right, "
            "anterior, superior, as the images' affine has them), not on the lesion.",
        ),
    ] = None,
    sequence: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Show this sequence; repeat for more (default: all)."),
    ] = None,
    slices: Annotated[int, typer.Option(metavar="N", help="Montage: number of slices.")] = 6,
    limits: Annotated[
        FigureLimits,
        typer.Option(
            help="One colour limit for all sequences, so that they can be compared, or for each "
            "its own, with a colour bar each."
        ),
    ] = "shared",
    limit: Annotated[
        float | None,
        typer.Option(metavar="VALUE", help="Where the colours end (default: the map's own limit)."),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(metavar="FRACTION", help="Of the limit, up to which the overlay is clear."),
    ] = 0.1,
    opacity: Annotated[
        float, typer.Option(metavar="FRACTION", help="Of the overlay, up to 1.")
    ] = 1.0,
    plain: Annotated[
        bool, typer.Option("--plain/--no-plain", help="Show each image without overlay too.")
    ] = True,
    outline: Annotated[
        bool, typer.Option("--outline/--no-outline", help="Outline the lesion.")
    ] = True,
    interpolation: Annotated[
        FigureInterpolation, typer.Option(help="Between voxels; nearest shows each as a box.")
    ] = "linear",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace figures of the same name.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Draw figures for papers of saved saliencies: images, overlay, outline, scales, method."""
    images = parse_images(image or [])
    with reporting(debug) as terminal:
        from napari_ies.cli import drawing
        from napari_ies.figures import FigureSettings

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
            interpolation=interpolation,
        )
        files = drawing.figure_files(result, out, form, settings, overwrite)
        reports = drawing.draw_figures(files, images, settings, overwrite)
        for path in terminal.follow(reports, "Figures"):
            terminal.show(str(path))
