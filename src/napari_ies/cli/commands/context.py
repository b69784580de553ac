"""``napari-ies context``: how much of its surroundings a network needs to find a lesion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ies.cli import options
from napari_ies.cli.terminal import reporting
from napari_ies.cohort.context.growth import PAPER, Growth


def context(
    checkpoint: Annotated[
        list[Path],
        typer.Argument(
            metavar="CHECKPOINT",
            help="The network's weights, as for explain; several give a curve each.",
        ),
    ],
    image: options.Images,
    out: options.Out,
    lesion: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Label of a lesion, as segment numbers them; repeat for more.",
        ),
    ] = None,
    all_lesions: Annotated[bool, typer.Option("--all", help="Every lesion.")] = False,
    mask: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Any region: a NIfTI mask; repeat for more."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take the lesions of an earlier segment (its …_dseg.nii.gz), or of any mask or "
            "label image.",
        ),
    ] = None,
    labels_of_others: Annotated[
        bool,
        typer.Option(
            "--labels-of-others",
            help="Take the lesions of --labels although they were found in other images, or by "
            "another network, than those given here.",
        ),
    ] = False,
    reference: options.Reference = None,
    threshold: options.Threshold = None,
    sequence: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|all",
            help="Sequence that becomes background around the lesion while the others stay; "
            "repeat for a curve each (default: all of them together).",
        ),
    ] = None,
    step: options.GrowthStep = Growth.step_mm,
    to: options.GrowthFarthest = Growth.farthest_mm,
    paper: Annotated[
        bool,
        typer.Option(
            "--paper",
            help="As the paper: 34 dilations with the 18-connected structuring element, and, "
            "where no lesion is named, true positives of 91 to 119 voxels.",
        ),
    ] = False,
    forward: options.ForwardOption = "sliding-window",
    orientation: options.Orientation = None,
    spacing: options.Spacing = None,
    device: options.Device = "auto",
    subject: options.Subject = None,
    visit: options.Visit = None,
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """See whether lesions are still found when the network sees ever less around them.

    Outside the lesion, grown step by step, the images become background; the mean probability in
    the lesion, and whether it is still detected, are written for each step as CSV and two plots.
    A run that was stopped goes on where it was; all that one folder holds is drawn together.
    """
    images = options.parse_images(image)
    if not (lesion or all_lesions or mask or paper):
        raise typer.BadParameter("say which lesions: --lesion N, --all, --mask FILE or --paper.")
    if lesion and all_lesions:
        raise typer.BadParameter("--lesion and --all exclude each other; give one of them.")
    if lesion and len(checkpoint) > 1 and labels is None:
        raise typer.BadParameter(
            "each network numbers the lesions that it marks by itself; give --labels, --all or "
            "--mask with several checkpoints."
        )
    if labels is not None and reference is not None:
        raise typer.BadParameter("--labels takes an earlier segmentation; leave out --reference.")
    with reporting(debug) as terminal:
        from napari_ies.cohort.row.images import check_given

        check_given(reference, labels, *(mask or ()))
        from napari_ies.cli import segmenting
        from napari_ies.cli.contexts import Asked, contexts_table, run_contexts
        from napari_ies.cohort.context.together import write_together

        growth = PAPER if paper else Growth(step_mm=step, farthest_mm=to)
        asked = Asked(
            growth=growth,
            sequences=tuple(sequence or ("all",)),
            threshold=threshold,
            forward=forward,
            lesions=tuple(lesion or ()),
            everything=all_lesions or (paper and not (lesion or mask)),
            papers=paper and not (lesion or all_lesions or mask),
            masks=tuple(mask or ()),
            labels=labels,
            of_others=labels_of_others,
            reference=reference,
        )
        for file in checkpoint:
            model, case = segmenting.opened(
                terminal, file, images, out, device, subject, visit, orientation, spacing
            )
            rows = run_contexts(terminal, model, case, out, asked, overwrite)
            if rows is not None:
                terminal.show(contexts_table(rows))
        written = write_together(out)
        terminal.show(f"Written to {written[0].parent}")
