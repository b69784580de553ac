"""What commands that explain many cases ask alike: as one class, whose fields are their options."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from napari_ies.cli import options
from napari_ies.cli.usage import refusing
from napari_ies.saliency.request import SaliencyRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.checkpoints import CheckpointSource
    from napari_ies.cohort.settings import CohortSettings
    from napari_ies.network.model import SegmentationModel


class Kind(StrEnum):
    """Lesions by their match with the reference."""

    ALL = "all"
    TP = "TP"
    FP = "FP"
    FN = "FN"


class Method(StrEnum):
    """`options.Method`, of which there may be several."""

    SMOOTHGRAD = "smoothgrad"
    GRADCAM = "gradcam++"


class Aggregation(StrEnum):
    """`options.Aggregation`, of which there may be several."""

    MEAN = "mean"
    SUM = "sum"
    MAX = "max"


CASES, LESIONS, MAPS = "Cases", "Lesions", "Maps"
"""Panels of the help."""

CHECKPOINT = typer.Option(
    "--model-checkpoint",
    "--checkpoint",
    metavar="FILE",
    help="The network's weights, as for the other commands.",
)


@dataclass(frozen=True)
class Asked:
    """What is asked of every case: its lesions, their maps, the network and how it is run."""

    derivatives: Annotated[
        list[Path] | None,
        typer.Option(
            "--derivatives",
            "-d",
            metavar="DIR",
            help="Of a BIDS dataset: a dataset of derivatives whose images and references are "
            "taken before the raw ones; repeat for more.",
            rich_help_panel=CASES,
        ),
    ] = None
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATTERN",
            help="Of a BIDS dataset: what the file of an input is called, such as "
            "FLAIR=*_acq-3D_FLAIR.nii.gz (default: by its suffix).",
            rich_help_panel=CASES,
        ),
    ] = None
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Of a BIDS dataset: what the references are called, such as "
            "*_label-lesion_mask.nii.gz.",
            rich_help_panel=CASES,
        ),
    ] = None
    lesions: Annotated[
        list[Kind] | None,
        typer.Option(
            case_sensitive=False,
            help="Which lesions are explained; of TP, FP and FN there may be several (default: "
            "all).",
            rich_help_panel=LESIONS,
        ),
    ] = None
    smallest_volume: Annotated[
        float | None,
        typer.Option(metavar="MM3", min=0, help="Only lesions as large.", rich_help_panel=LESIONS),
    ] = None
    largest_volume: Annotated[
        float | None,
        typer.Option(metavar="MM3", min=0, help="Only lesions as small.", rich_help_panel=LESIONS),
    ] = None
    largest: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=1,
            help="Only the K largest of these in each case.",
            rich_help_panel=LESIONS,
        ),
    ] = None
    lesions_from: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Label maps of lesions from elsewhere, explained in place of the network's own: a "
            "file's name in the folder of the first image, or a path with {subject}, {visit}, "
            "{case} or {folder}.",
            rich_help_panel=LESIONS,
        ),
    ] = None
    threshold: options.Threshold = None
    smallest: options.Smallest = None
    segment_forward: Annotated[
        options.Forward,
        typer.Option(
            help="How the network is applied to find the lesions; --forward says how to explain "
            "them.",
            rich_help_panel=LESIONS,
        ),
    ] = "sliding-window"
    method: Annotated[
        list[Method] | None,
        typer.Option(
            help="Methods, one or more (default: both, as the original scripts).",
            rich_help_panel=MAPS,
        ),
    ] = None
    aggregation: Annotated[
        list[Aggregation] | None,
        typer.Option(
            help="Aggregations of SmoothGrad, one or more, from the same forwards (default: mean).",
            rich_help_panel=MAPS,
        ),
    ] = None
    samples: options.Samples = SaliencyRequest.n_samples
    noise: options.Noise = SaliencyRequest.noise
    seed: options.Seed = SaliencyRequest.seed
    noise_version: options.NoiseVersion = SaliencyRequest.noise_version
    forward: Annotated[
        options.Forward | None,
        typer.Option(
            help="How the network is applied to explain (default, as the original scripts: one "
            "pass over the whole volume with a U-Net, sliding windows with other networks).",
            rich_help_panel=MAPS,
        ),
    ] = None
    layer: options.Layer = None
    tolerance: options.Tolerance = None
    class_name: options.Class = None
    precision: options.PrecisionOption = "float32"
    memory_gib: options.MemoryGib = None
    orientation: options.Orientation = None
    spacing: options.Spacing = None
    folds: options.Folds = None
    mirroring: options.Mirroring = None
    trust: options.Trust = False
    device: options.Device = "auto"
    use_checkpoint: Annotated[
        bool,
        typer.Option(
            "--use-checkpoint",
            help="Compute activations again and do not keep them, where the network's layers can: "
            "less memory, slower, the same maps.",
        ),
    ] = False
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Processes on this machine, with a graphics card each where there are several; "
            "CPU threads are divided.",
        ),
    ] = 1
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A running dask.distributed cluster, whose workers see the same paths.",
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be done, how long, and how much disk."),
    ] = False
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace also what other commands wrote, what was changed since, and maps of "
            "other noise (--noise-version).",
        ),
    ] = False
    debug: options.Debug = False

    def source(self, checkpoint: Path) -> CheckpointSource:
        """Return where the network comes from."""
        from napari_ies.checkpoints import CheckpointSource

        chosen = options.choices(self.folds, self.mirroring)
        place = (checkpoint, self.device, self.orientation, self.spacing)
        return CheckpointSource(*place, chosen, self.class_name, self.trust)


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of :class:`Asked`, where its parameter ``asked`` stands."""
    own = inspect.signature(command, eval_str=True)
    hints = get_type_hints(Asked, include_extras=True)
    shared = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=one.default,
            annotation=hints[one.name],
        )
        for one in fields(Asked)
    ]
    parameters: list[inspect.Parameter] = []
    for one in own.parameters.values():
        alone = one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += shared if one.name == "asked" else [alone]

    @wraps(command)
    def taking(**values: Any) -> None:
        asked = Asked(**{one.name: values.pop(one.name) for one in fields(Asked)})
        command(asked=asked, **values)

    # What typer reads.
    taking.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    taking.__annotations__ = {one.name: one.annotation for one in parameters}
    return taking


def scripts_forward(model: SegmentationModel) -> str:
    """Return how the original scripts explain such a network."""
    return "whole-volume" if model.profile.architecture == "UNet" else "sliding-window"


def settings_of(
    model: SegmentationModel, asked: Asked, *, layout: str = "bids", claimed: str | None = None
) -> CohortSettings:
    """Make the settings of a run from options.

    Raises
    ------
    typer.BadParameter
        If they contradict each other or the network.
    """
    from napari_ies.cohort.selection import Selection
    from napari_ies.cohort.settings import CohortSettings
    from napari_ies.saliency.case_explanations import completed
    from napari_ies.saliency.gradcam import layer_named

    with refusing():
        shared: dict[str, Any] = {
            "n_samples": asked.samples,
            "noise": asked.noise,
            "seed": asked.seed,
            "forward": asked.forward or scripts_forward(model),
            "layer": asked.layer,
            "tolerance": asked.tolerance,
            "precision": asked.precision,
            "class_index": model.profile.explained_class if asked.class_name else None,
        }
        if asked.layer is not None:
            layer_named(model.network, asked.layer)
        # Grad-CAM++ adds no noise: its maps stay what they are, whatever the noise of others.
        own: dict[str, dict[str, Any]] = {"smoothgrad": {"noise_version": asked.noise_version}}
        methods = [one.value for one in asked.method or ()] or ["gradcam++", "smoothgrad"]
        ways = [one.value for one in asked.aggregation or ()] or ["mean"]
        requests = [
            SaliencyRequest(method=method, aggregation=way, **shared, **own.get(method, {}))
            for method in methods
            for way in (ways if method == "smoothgrad" else ("mean",))
        ]
        for request in requests:
            completed(request, model)  # what no case can have is said before the first one
        suffix = "" if claimed is None else f"_{claimed}"  # as ies_maxpool_nets.py
        return CohortSettings(
            requests=tuple(requests),
            selection=Selection(
                kinds=tuple(kind.value for kind in asked.lesions or () if kind != "all"),
                at_least_mm3=asked.smallest_volume,
                at_most_mm3=asked.largest_volume,
                largest=asked.largest,
            ),
            threshold=asked.threshold,
            smallest=asked.smallest,
            segmented_by=asked.segment_forward,
            memory_gib=asked.memory_gib,
            layout=layout,
            scripts_folder=f"attention_maps{suffix}",
            overwrite=asked.overwrite,
        )
