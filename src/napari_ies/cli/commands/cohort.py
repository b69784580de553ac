"""``napari-ies cohort``: many patients, in the original scripts' words or others."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from napari_ies.cli import options
from napari_ies.cli.terminal import reporting
from napari_ies.saliency.request import SaliencyRequest

ClaimedModel = Literal["unet-", "unetr", "swin_unetr", "nn-unet"]
Layout = Literal["bids", "ies"]


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


_CASES, _LESIONS, _MAPS, _RUN = "Cases", "Lesions", "Maps", "The run"


def cohort(
    model_checkpoint: Annotated[
        Path,
        typer.Option(
            "--model-checkpoint",
            "--checkpoint",
            metavar="FILE",
            help="The network's weights, as for the other commands.",
        ),
    ],
    input_val_paths: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR...",
            help="For each input of the network, in order, a folder that holds "
            "PATIENT/VISIT/PREFIX.",
            rich_help_panel=_CASES,
        ),
    ] = None,
    input_prefixes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME...",
            help="For each of these, what the image's file is called, such as flair.nii.gz.",
            rich_help_panel=_CASES,
        ),
    ] = None,
    target_val_path: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The same for the references.", rich_help_panel=_CASES),
    ] = None,
    target_prefix: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What the references' files are called.", rich_help_panel=_CASES
        ),
    ] = None,
    bids: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A BIDS dataset.", rich_help_panel=_CASES),
    ] = None,
    derivatives: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="With --bids, a dataset of derivatives whose images and references are taken "
            "before the raw ones; repeat for more.",
            rich_help_panel=_CASES,
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATTERN",
            help="With --bids, what the file of an input is called, such as "
            "FLAIR=*_acq-3D_FLAIR.nii.gz (default: by its suffix).",
            rich_help_panel=_CASES,
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="With --bids, what the references are called, such as *_label-lesion_mask.nii.gz.",
            rich_help_panel=_CASES,
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A tab-separated table with a row per case and a column per input of the network; "
            "columns subject, visit, reference and lesions where there are some.",
            rich_help_panel=_CASES,
        ),
    ] = None,
    nnunet: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder imagesTs of nnU-Net (CASE_0000.nii.gz), with labelsTs beside it where "
            "there are references.",
            rich_help_panel=_CASES,
        ),
    ] = None,
    lesions: Annotated[
        list[Kind] | None,
        typer.Option(
            case_sensitive=False,
            help="Which lesions are explained; of TP, FP and FN there may be several (default: "
            "all).",
            rich_help_panel=_LESIONS,
        ),
    ] = None,
    smallest_volume: Annotated[
        float | None,
        typer.Option(metavar="MM3", min=0, help="Only lesions as large.", rich_help_panel=_LESIONS),
    ] = None,
    largest_volume: Annotated[
        float | None,
        typer.Option(metavar="MM3", min=0, help="Only lesions as small.", rich_help_panel=_LESIONS),
    ] = None,
    largest: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=1,
            help="Only the K largest of these in each case.",
            rich_help_panel=_LESIONS,
        ),
    ] = None,
    lesions_from: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Label maps of lesions from elsewhere, explained in place of the network's own: a "
            "file's name in the folder of the first image, or a path with {subject}, {visit}, "
            "{case} or {folder}.",
            rich_help_panel=_LESIONS,
        ),
    ] = None,
    threshold: options.Threshold = None,
    smallest: options.Smallest = None,
    segment_forward: Annotated[
        options.Forward,
        typer.Option(
            help="How the network is applied to find the lesions; --forward says how to explain "
            "them.",
            rich_help_panel=_LESIONS,
        ),
    ] = "sliding-window",
    method: Annotated[
        list[Method] | None,
        typer.Option(
            help="Methods, one or more (default: both, as the original scripts).",
            rich_help_panel=_MAPS,
        ),
    ] = None,
    aggregation: Annotated[
        list[Aggregation] | None,
        typer.Option(
            help="Aggregations of SmoothGrad, one or more, from the same forwards (default: mean).",
            rich_help_panel=_MAPS,
        ),
    ] = None,
    samples: options.Samples = SaliencyRequest.n_samples,
    noise: options.Noise = SaliencyRequest.noise,
    seed: options.Seed = SaliencyRequest.seed,
    noise_version: options.NoiseVersion = SaliencyRequest.noise_version,
    forward: Annotated[
        options.Forward | None,
        typer.Option(
            help="How the network is applied to explain (default, as the original scripts: one "
            "pass over the whole volume with a U-Net, sliding windows with other networks).",
            rich_help_panel=_MAPS,
        ),
    ] = None,
    layer: options.Layer = None,
    tolerance: options.Tolerance = None,
    class_name: options.Class = None,
    precision: options.PrecisionOption = "float32",
    memory_gib: options.MemoryGib = None,
    orientation: options.Orientation = None,
    spacing: options.Spacing = None,
    device: options.Device = "auto",
    model: Annotated[
        ClaimedModel | None,
        typer.Option(help="What kind of network it is: checked against the weights."),
    ] = None,
    input_size: Annotated[
        float | None,
        typer.Option(help="Size of the images that a UNETR takes: checked against the weights."),
    ] = None,
    use_checkpoint: Annotated[
        bool,
        typer.Option(
            "--use-checkpoint",
            help="Compute activations again and do not keep them, where the network's layers can: "
            "less memory, slower, the same maps.",
        ),
    ] = False,
    data: Annotated[
        str | None, typer.Option(help="Has no effect, nor has it in the original scripts.")
    ] = None,
    num_workers: Annotated[
        int | None, typer.Option(help="Has no effect: one case is loaded at a time.")
    ] = None,
    cache_rate: Annotated[
        float | None, typer.Option(help="Has no effect: no case is kept once it is done.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Folder for the results; made if need be."),
    ] = Path("cohort-results"),
    layout: Annotated[
        Layout,
        typer.Option(
            help="bids: as the other commands write. ies: also under the names that the original "
            "scripts gave, in attention_maps in the folder of results.",
        ),
    ] = "bids",
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Processes on this machine, with a graphics card each where there are several; "
            "CPU threads are divided.",
        ),
    ] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A running dask.distributed cluster, whose workers see the same paths.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be done, how long, and how much disk."),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace also what other commands wrote, what was changed since, and maps of "
            "other noise (--noise-version).",
        ),
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Segment and explain many patients, and put all that is measured into two tables.

    A run that was stopped goes on where it was when the same command is given again: only what is
    missing, or of other images, settings or weights, is done again. A case that cannot be done is
    a row of the table that says why, and the rest goes on.
    """
    from napari_ies.cli.many import Discovery, check_one_layout

    where = Discovery(
        paths=input_val_paths or (),
        prefixes=input_prefixes or (),
        target_path=target_val_path,
        target_prefix=target_prefix,
        bids=bids,
        derivatives=derivatives or (),
        patterns=options.parse_images(image or []),
        reference=reference,
        table=table,
        nnunet=nnunet,
        lesions_from=lesions_from,
    )
    check_one_layout(where)
    with reporting(debug) as terminal:
        from napari_ies.cli import many
        from napari_ies.cohort.cluster import NetworkSource
        from napari_ies.cohort.selection import Selection

        no_effect = {"--data": data, "--num_workers": num_workers, "--cache_rate": cache_rate}
        for name, value in no_effect.items():
            if value is not None:
                terminal.note(f"{name} {value} has no effect: {many.WHY_NO_EFFECT[name]}.")
        network = many.network_of(
            terminal, model_checkpoint, device, orientation, spacing, model, input_size
        )
        if use_checkpoint:
            many.use_less_memory(terminal, network)
        with many.refusing():
            selection = Selection(
                kinds=tuple(kind.value for kind in lesions or () if kind is not Kind.ALL),
                at_least_mm3=smallest_volume,
                at_most_mm3=largest_volume,
                largest=largest,
            )
        settings = many.settings_of(
            network,
            selection,
            methods=[one.value for one in method or (Method.GRADCAM, Method.SMOOTHGRAD)],
            aggregations=[one.value for one in aggregation or (Aggregation.MEAN,)],
            shared={
                "n_samples": samples,
                "noise": noise,
                "seed": seed,
                "forward": forward or many.scripts_forward(network),
                "layer": layer,
                "tolerance": tolerance,
                "precision": precision,
            },
            noise_version=noise_version,
            class_name=class_name,
            threshold=threshold,
            smallest=smallest,
            segmented_by=segment_forward,
            memory_gib=memory_gib,
            layout=layout,
            claimed=model,
            overwrite=overwrite,
        )
        cases = many.cases_of(where, network)
        if dry_run:
            many.rehearse(terminal, network, cases, settings, out)
            return
        source = NetworkSource(model_checkpoint, device, orientation, spacing, use_checkpoint)
        run = (terminal, network, cases, settings, out)
        if many.work_through(*run, source, workers, scheduler):
            raise typer.Exit(1)
