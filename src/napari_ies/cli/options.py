"""The options that commands share, and how their values are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Method = Literal["smoothgrad", "gradcam++"]
Aggregation = Literal["mean", "sum", "max"]
Forward = Literal["sliding-window", "whole-volume"]
Precision = Literal["float32", "tf32", "bf16"]
FigureFormat = Literal["png", "svg", "pdf"]
FigureLayout = Literal["planes", "montage"]
FigureTheme = Literal["light", "dark"]
FigureLimits = Literal["shared", "own"]
FigureInterpolation = Literal["linear", "nearest"]


def _probability(value: float | None) -> float | None:
    if value is not None and not 0 < value < 1:
        raise typer.BadParameter(f"{value:g} is not above 0 and below 1, as a threshold must be.")
    return value


Checkpoint = Annotated[
    Path,
    typer.Argument(
        metavar="CHECKPOINT",
        help="The network's weights: a state dict of MONAI's UNet, DynUNet, SwinUNETR or UNETR. "
        "NAME.profile.json beside it overrides what is recognised.",
    ),
]
Images = Annotated[
    list[str],
    typer.Option(
        "--image",
        metavar="NAME=FILE",
        help="One sequence of the patient, such as FLAIR=flair.nii.gz; once for each input of the "
        "network. The results lie on the grid of the first one.",
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Reference mask: lesions are TP, FP or FN, and the missed ones get labels too.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="0<P<1",
        callback=_probability,
        help="Probability above which a voxel is lesion (default: the network's).",
    ),
]
ForwardOption = Annotated[
    Forward,
    typer.Option(
        help="How the network is applied: blended windows, or one pass over the whole volume."
    ),
]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        help="Of the network's convolutions; tf32 (CUDA only) and bf16 are faster on a GPU, and "
        "the map differs a little."
    ),
]
MemoryGib = Annotated[
    float | None,
    typer.Option(
        metavar="GIB",
        min=0,
        help="Memory in GiB that may be taken beyond the network and one forward of it (default: "
        "half of what is free).",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda:0|mps",
        help="Where to compute; auto takes a GPU if there is one.",
    ),
]
Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder for the results; made if need be.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace results of the same name in the folder.")
]
Subject = Annotated[
    str | None,
    typer.Option(
        metavar="LABEL",
        help="The patient's label in file names (default: from the images' paths).",
    ),
]
Visit = Annotated[
    str | None,
    typer.Option(
        metavar="LABEL",
        help="The visit's label in file names, the session of BIDS (default: from the paths; '' "
        "for none).",
    ),
]
Orientation = Annotated[
    str | None,
    typer.Option(
        metavar="LAS",
        help="Axis codes of the images the network was trained on: each case is turned to them, "
        "exactly (default: the profile's, else as stored).",
    ),
]
Spacing = Annotated[
    tuple[float, float, float] | None,
    typer.Option(
        metavar="X Y Z",
        help="Voxel size in mm that the network is run at, along its axes (default: the images').",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Start, even if it will take more than an hour.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show a traceback if something fails.")]


def parse_images(values: list[str]) -> dict[str, Path]:
    """Read ``NAME=FILE`` values.

    Returns
    -------
    File by name, in the order given.

    Raises
    ------
    typer.BadParameter
        If one has another form, or a name comes twice.
    """
    images: dict[str, Path] = {}
    for value in values:
        name, equals, file = (part.strip() for part in value.partition("="))
        if not (name and equals and file):
            raise typer.BadParameter(
                f"{value!r} is not of the form NAME=FILE, such as FLAIR=flair.nii.gz.",
                param_hint="--image",
            )
        if name in images:
            raise typer.BadParameter(
                f"the sequence {name} was given twice; each image needs a name of its own.",
                param_hint="--image",
            )
        images[name] = Path(file)
    return images
