"""The options that commands share, and how their values are read."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from napari_ies.cohort.context.growth import Growth
from napari_ies.figures.settings import FigureSettings
from napari_ies.network.profile import Profile
from napari_ies.parameters import parameters_of
from napari_ies.saliency.request import SaliencyRequest

Method = Literal["smoothgrad", "gradcam++"]
Aggregation = Literal["mean", "sum", "max"]
Forward = Literal["sliding-window", "whole-volume"]
Precision = Literal["float32", "tf32", "bf16"]
Jacobian = Literal["auto", "windowed", "batched", "loop"]
FigureFormat = Literal["png", "svg", "pdf"]


def _option(
    taker: type, field: str, *declared: str, limited: bool = True, added: str = "", **more: Any
) -> Any:
    """Return an option as a field of a class is described, declared by its name or otherwise."""
    about = parameters_of(taker)[field]
    if limited:
        limits = zip(("min", "max"), about.limits, strict=True)
        more = {name: end for name, end in limits if math.isfinite(end)} | more
    return typer.Option(*(declared or (f"--{about.name}",)), help=about.help + added, **more)


_of_request = partial(_option, SaliencyRequest)
_of_network = partial(_option, Profile)
_of_growth = partial(_option, Growth, limited=False)
# What is out of their limits the settings themselves refuse, and say why.
_of_figure = partial(_option, FigureSettings, limited=False)


_FOLD = re.compile(r"(fold_)?(\d+|all)")


def _folds(value: str | None) -> str | None:
    for name in () if value is None else value.split(","):
        if not _FOLD.fullmatch(name.strip()):
            said = f"{name.strip()!r} is no fold" if value and value.strip() else "it names no fold"
            raise typer.BadParameter(
                f"{said}: expected their numbers, such as 0 or 0,2, or all; leave --folds out for "
                "those that nnU-Net takes."
            )
    return value


def _probability(value: float | None) -> float | None:
    if value is not None and not 0 < value < 1:
        raise typer.BadParameter(f"{value:g} is not above 0 and below 1, as a threshold must be.")
    return value


Checkpoint = Annotated[
    Path,
    typer.Argument(
        metavar="CHECKPOINT",
        help="The network: a state dict of MONAI, the results folder of an nnU-Net, a MONAI bundle "
        "(folder or zip), TorchScript or torch.export. NAME.profile.json beside it overrides what "
        "is recognised.",
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
    _of_network("threshold", limited=False, metavar="0<P<1", callback=_probability),
]
Smallest = Annotated[int | None, _of_network("smallest_lesion")]
MethodOption = Annotated[Method, _of_request("method")]
AggregationOption = Annotated[Aggregation, _of_request("aggregation")]
Samples = Annotated[int, _of_request("n_samples")]
Noise = Annotated[float, _of_request("noise")]
Seed = Annotated[int, _of_request("seed")]
NoiseVersion = Annotated[int, _of_request("noise_version")]
ForwardOption = Annotated[Forward, _of_request("forward")]
Layer = Annotated[
    str | None,
    _of_request("layer", metavar="NAME", added=" The command inspect --layers lists them."),
]
Tolerance = Annotated[float | None, _of_request("tolerance")]
Class = Annotated[
    str | None, _of_network("explained_class", "--class", limited=False, metavar="CLASS")
]
PrecisionOption = Annotated[Precision, _of_request("precision")]
JacobianOption = Annotated[
    Jacobian,
    typer.Option(
        help="How SmoothGrad's gradients are computed, which changes the time and, but for "
        "rounding, not the map: by what each voxel depends on (windowed), or by passes through "
        "whole windows, several voxels at once (batched) or one after another (loop).",
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
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="The checkpoint may run what it holds: expressions and classes of its own, or "
        "programs. They can do to this computer whatever you can.",
    ),
]
Folds = Annotated[
    str | None,
    typer.Option(
        metavar="0,1",
        callback=_folds,
        help="Of an nnU-Net results folder, the folds that are averaged (default: as nnU-Net, all "
        "of them).",
    ),
]
Mirroring = Annotated[
    bool | None,
    typer.Option(
        "--mirroring/--no-mirroring",
        help="With an nnU-Net network, whether it sees each window in mirrors too, as nnU-Net "
        "does by default: up to eight times as long.",
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
Orientation = Annotated[str | None, _of_network("orientation", metavar="LAS")]
Spacing = Annotated[
    tuple[float, float, float] | None, _of_network("spacing", limited=False, metavar="X Y Z")
]
LayoutOption = Annotated[Literal["planes", "montage"], _of_figure("layout")]
ThemeOption = Annotated[Literal["light", "dark"], _of_figure("theme")]
Width = Annotated[float, _of_figure("width", metavar="MM")]
Margin = Annotated[float, _of_figure("margin", metavar="MM")]
At = Annotated[tuple[float, float, float] | None, _of_figure("at", metavar="X Y Z")]
Sequences = Annotated[list[str] | None, _of_figure("sequences", metavar="NAME")]
Slices = Annotated[int, _of_figure("slices", metavar="N")]
LimitsOption = Annotated[Literal["auto", "shared", "own"], _of_figure("limits")]
Limit = Annotated[float | None, _of_figure("limit", metavar="VALUE")]
ClearBelow = Annotated[float, _of_figure("threshold", metavar="FRACTION")]
Opacity = Annotated[float, _of_figure("opacity", metavar="FRACTION")]
Plain = Annotated[bool, _of_figure("plain", "--plain/--no-plain")]
Outline = Annotated[bool, _of_figure("outline", "--outline/--no-outline")]
OutlineWidth = Annotated[float, _of_figure("outline_width", metavar="PT")]
OutlineReference = Annotated[
    bool, _of_figure("outline_reference", "--outline-reference/--no-outline-reference")
]
Letters = Annotated[bool, _of_figure("letters", "--letters/--no-letters")]
InterpolationOption = Annotated[Literal["linear", "nearest"], _of_figure("interpolation")]
GrowthStep = Annotated[float | None, _of_growth("step_mm", metavar="MM", added=" Default: 1.")]
GrowthFarthest = Annotated[
    float | None, _of_growth("farthest_mm", metavar="MM", added=" Default: 35.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Start, even if it will take more than an hour.")]
WriteProfile = Annotated[
    bool,
    typer.Option(
        "--write-profile",
        help="Write what is known to NAME.profile.json beside the checkpoint, and what is not, to "
        "be completed there.",
    ),
]
ReplaceProfile = Annotated[
    bool, typer.Option("--overwrite", help="Replace a profile that is there.")
]
Layers = Annotated[
    bool, typer.Option("--layers", help="List every layer that Grad-CAM++ can look at.")
]
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


def choices(folds: str | None, mirroring: bool | None) -> tuple[tuple[str, Any], ...]:
    """Return what is chosen of an nnU-Net folder, as `CheckpointSource` takes it."""
    chosen: dict[str, Any] = {}
    if folds is not None:
        chosen["folds"] = tuple(part.strip() for part in folds.split(","))
    if mirroring is not None:
        chosen["mirroring"] = mirroring
    return tuple(chosen.items())
