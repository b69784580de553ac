"""``napari-ies cohort``: many patients, in the original scripts' words or others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from napari_ies.cli import options
from napari_ies.cli.options.cohort import CASES, CHECKPOINT, Asked, asking, settings_of
from napari_ies.cli.terminal import reporting

ClaimedModel = Literal["unet-", "unetr", "swin_unetr", "nn-unet"]
Layout = Literal["bids", "ies"]


@asking
def cohort(
    *,
    model_checkpoint: Annotated[Path, CHECKPOINT],
    input_val_paths: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR...",
            help="For each input of the network, in order, a folder that holds "
            "PATIENT/VISIT/PREFIX.",
            rich_help_panel=CASES,
        ),
    ] = None,
    input_prefixes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME...",
            help="For each of these, what the image's file is called, such as flair.nii.gz.",
            rich_help_panel=CASES,
        ),
    ] = None,
    target_val_path: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The same for the references.", rich_help_panel=CASES),
    ] = None,
    target_prefix: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What the references' files are called.", rich_help_panel=CASES
        ),
    ] = None,
    bids: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A BIDS dataset.", rich_help_panel=CASES),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A tab-separated table with a row per case and a column per input of the network; "
            "columns subject, visit, reference and lesions where there are some.",
            rich_help_panel=CASES,
        ),
    ] = None,
    nnunet: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder imagesTs of nnU-Net (CASE_0000.nii.gz), with labelsTs beside it where "
            "there are references.",
            rich_help_panel=CASES,
        ),
    ] = None,
    asked: Asked,
    model: Annotated[
        ClaimedModel | None,
        typer.Option(help="What kind of network it is: checked against the weights."),
    ] = None,
    input_size: Annotated[
        float | None,
        typer.Option(help="Size of the images that a UNETR takes: checked against the weights."),
    ] = None,
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
        derivatives=asked.derivatives or (),
        patterns=options.parse_images(asked.image or []),
        reference=asked.reference,
        table=table,
        nnunet=nnunet,
        lesions_from=asked.lesions_from,
    )
    check_one_layout(where)
    with reporting(asked.debug) as terminal:
        from napari_ies.cli import many

        no_effect = {"--data": data, "--num_workers": num_workers, "--cache_rate": cache_rate}
        for name, value in no_effect.items():
            if value is not None:
                terminal.note(f"{name} {value} has no effect: {many.WHY_NO_EFFECT[name]}.")
        source = asked.source(model_checkpoint)
        network = many.network_of(terminal, source, model, input_size)
        settings = settings_of(network, asked, layout=layout, claimed=model)
        cases = many.cases_of(where, network)
        if many.carried_out(terminal, network, model_checkpoint, cases, settings, out, asked):
            raise typer.Exit(1)
