"""The options that say where many cases are, in the original scripts' words and others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

ClaimedModel = Literal["unet-", "unetr", "swin_unetr", "nn-unet"]


def _about_cases(*declared: str, **more: Any) -> Any:
    return typer.Option(*declared, rich_help_panel="Many cases", **more)


ModelCheckpoint = Annotated[
    Path | None, _about_cases(metavar="FILE", help="The same as CHECKPOINT.")
]
InputPaths = Annotated[
    list[str] | None,
    _about_cases(
        metavar="DIR...",
        help="For each input of the network, in order, a folder that holds PATIENT/VISIT/PREFIX.",
    ),
]
InputPrefixes = Annotated[
    list[str] | None,
    _about_cases(
        metavar="NAME...",
        help="For each of these, what the image's file is called, such as flair.nii.gz.",
    ),
]
TargetPath = Annotated[str | None, _about_cases(metavar="DIR", help="The same for the references.")]
TargetPrefix = Annotated[
    str | None, _about_cases(metavar="NAME", help="What the references' files are called.")
]
Bids = Annotated[
    Path | None,
    _about_cases(
        metavar="DIR",
        help="A BIDS dataset; --image NAME=PATTERN and --reference PATTERN then say what files are "
        "called.",
    ),
]
Table = Annotated[
    Path | None,
    _about_cases(
        metavar="FILE",
        help="A tab-separated table with a row per case and a column per input of the network.",
    ),
]
NnUNet = Annotated[Path | None, _about_cases(metavar="DIR", help="A folder imagesTs of nnU-Net.")]
Model = Annotated[
    ClaimedModel | None,
    _about_cases(help="What kind of network it is: checked against the weights."),
]
InputSize = Annotated[
    float | None,
    _about_cases(help="Size of the images that a UNETR takes: checked against the weights."),
]
Workers = Annotated[
    int,
    _about_cases(
        min=1,
        help="Processes on this machine, with a graphics card each where there are several; CPU "
        "threads are divided.",
    ),
]
Scheduler = Annotated[
    str | None,
    _about_cases(
        metavar="ADDRESS",
        help="A running dask.distributed cluster, whose workers see the same paths.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would be done, how long, and how much disk."),
]
Data = Annotated[str | None, _about_cases(help="Has no effect.")]
NumWorkers = Annotated[int | None, _about_cases(help="Has no effect.")]
CacheRate = Annotated[float | None, _about_cases(help="Has no effect.")]
