"""``napari-ies context``: how much of its surroundings a network needs to find a lesion."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from napari_ies.cli import case_options as many
from napari_ies.cli import options
from napari_ies.cli.terminal import reporting
from napari_ies.cohort.context.growth import PAPER, Growth


def context(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CHECKPOINT",
            help="The network's weights, as for explain; several give a curve each.",
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="One sequence of the patient, such as FLAIR=flair.nii.gz; once for each input of "
            "the network.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Folder for the results; made if need be."),
    ] = Path("cohort-results"),
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
    step: options.GrowthStep = None,
    to: options.GrowthFarthest = None,
    paper: Annotated[
        bool,
        typer.Option(
            "--paper",
            help="As the paper: 34 dilations with the 18-connected structuring element, and, "
            "where no lesion is named, true positives of 91 to 119 voxels.",
        ),
    ] = False,
    forward: options.ForwardOption = "sliding-window",
    class_name: options.Class = None,
    orientation: options.Orientation = None,
    spacing: options.Spacing = None,
    folds: options.Folds = None,
    mirroring: options.Mirroring = None,
    trust: options.Trust = False,
    model_checkpoint: many.ModelCheckpoint = None,
    input_val_paths: many.InputPaths = None,
    input_prefixes: many.InputPrefixes = None,
    target_val_path: many.TargetPath = None,
    target_prefix: many.TargetPrefix = None,
    bids: many.Bids = None,
    table: many.Table = None,
    nnunet: many.NnUNet = None,
    model: many.Model = None,
    input_size: many.InputSize = None,
    data: many.Data = None,
    num_workers: many.NumWorkers = None,
    cache_rate: many.CacheRate = None,
    workers: many.Workers = 1,
    scheduler: many.Scheduler = None,
    dry_run: many.DryRun = False,
    device: options.Device = "auto",
    subject: options.Subject = None,
    visit: options.Visit = None,
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """See whether lesions are still found when the network sees ever less around them.

    Outside the lesion, grown step by step, the images become background; the mean probability in
    the lesion, and whether it is still detected, are written for each step as CSV and two plots.
    A run that was stopped goes on where it was; all that one folder holds is drawn together. Of
    many cases, one that cannot be done is a row of context/cases.tsv that says why.

    Takes the options of the original contextual_info_nets_csv.py as they are, and then does what
    that does: --paper, for every case.
    """
    from napari_ies.cli.many import Discovery

    where = Discovery(
        paths=input_val_paths or (),
        prefixes=input_prefixes or (),
        target_path=target_val_path,
        target_prefix=target_prefix,
        bids=bids,
        derivatives=(),
        patterns=options.parse_images(image or []) if bids else {},
        reference=None if reference is None or bids is None else str(reference),
        table=table,
        nnunet=nnunet,
        lesions_from=None,
    )
    several = bool(input_val_paths or input_prefixes or target_val_path or bids or table or nnunet)
    scripts = bool(input_val_paths) and not (all_lesions or step or to)
    files = [*(checkpoint or ()), *([] if model_checkpoint is None else [model_checkpoint])]
    papers = paper or scripts
    _check(files, image, several, lesion, all_lesions, mask, labels, reference, papers)
    if not several and (workers > 1 or scheduler is not None):
        raise typer.BadParameter("--workers and --scheduler are about many cases.")
    images = {} if several else options.parse_images(image or [])
    with reporting(debug) as terminal:
        from napari_ies.cohort.row.images import check_given

        if not several:
            check_given(reference, labels, *(mask or ()))
        from napari_ies.checkpoints import CheckpointSource
        from napari_ies.cli import many as cohorts
        from napari_ies.cli import segmenting
        from napari_ies.cli.contexts import contexts_table, rehearse, run_contexts, run_many
        from napari_ies.cli.usage import refusing
        from napari_ies.cohort.cases import CohortCase
        from napari_ies.cohort.cluster import NetworkSource
        from napari_ies.cohort.context.one_case import ContextSettings
        from napari_ies.cohort.context.together import write_cases, write_together
        from napari_ies.cohort.run import check_place

        own = Growth(
            step_mm=Growth.step_mm if step is None else step,
            farthest_mm=Growth.farthest_mm if to is None else to,
        )
        settings = ContextSettings(
            growth=PAPER if papers else own,
            sequences=tuple(sequence or ("all",)),
            threshold=threshold,
            forward=forward,
            lesions=tuple(lesion or ()),
            everything=all_lesions or (papers and not (lesion or mask)),
            papers=papers and not (lesion or all_lesions or mask),
            masks=tuple(mask or ()),
            labels=labels,
            of_others=labels_of_others,
            reference=reference,
            overwrite=overwrite,
        )
        folder = out.expanduser()
        no_effect = {"--data": data, "--num_workers": num_workers, "--cache_rate": cache_rate}
        for name, value in no_effect.items():
            if value is not None:
                terminal.note(f"{name} {value} has no effect: {cohorts.WHY_NO_EFFECT[name]}.")
        ended = []
        chosen = options.choices(folds, mirroring)
        for file in files:
            place = (file, device, orientation, spacing)
            wanted = CheckpointSource(*place, chosen, class_name, trust)
            if several:
                network = cohorts.network_of(terminal, wanted, model, input_size)
                cases = cohorts.cases_of(where, network)
            else:
                network, case = segmenting.opened(terminal, wanted, images, folder, subject, visit)
                cases = [CohortCase(case.subject, case.visit, images, reference, labels)]
            if dry_run:
                rehearse(terminal, network, cases, folder, settings)
                continue
            with refusing():
                check_place(folder)
            if several:
                source = NetworkSource(**asdict(wanted), key=network.sha256)
                run = (terminal, network, cases, folder, settings, source, workers, scheduler)
                ended += [(file, report) for report in run_many(*run)]
                continue
            rows = run_contexts(terminal, network, case, folder, settings)
            terminal.show(contexts_table(rows))
        if dry_run:
            return
        if several:
            write_cases(folder, ended)
        written = write_together(folder)
        terminal.show(f"Written to {written[0].parent}")
        if any(report.outcome == "failed" for _, report in ended):
            raise typer.Exit(1)


def _check(
    files: list[Path],
    image: list[str] | None,
    several: bool,
    lesion: list[int] | None,
    all_lesions: bool,
    mask: list[Path] | None,
    labels: Path | None,
    reference: Path | None,
    papers: bool,
) -> None:
    """Refuse options that say nothing to look at, or that contradict each other."""
    if not files:
        raise typer.BadParameter("give the network's weights: CHECKPOINT or --model_checkpoint.")
    if not (several or image):
        raise typer.BadParameter(
            "say which images: --image NAME=FILE of one patient, or many patients by "
            "--input_val_paths with --input_prefixes, --bids, --table or --nnunet."
        )
    if several and (lesion or mask or labels):
        raise typer.BadParameter("--lesion, --mask and --labels are about one patient.")
    if not (lesion or all_lesions or mask or papers):
        raise typer.BadParameter("say which lesions: --lesion N, --all, --mask FILE or --paper.")
    if lesion and all_lesions:
        raise typer.BadParameter("--lesion and --all exclude each other; give one of them.")
    if lesion and len(files) > 1 and labels is None:
        raise typer.BadParameter(
            "each network numbers the lesions that it marks by itself; give --labels, --all or "
            "--mask with several checkpoints."
        )
    if labels is not None and reference is not None:
        raise typer.BadParameter("--labels takes an earlier segmentation; leave out --reference.")
