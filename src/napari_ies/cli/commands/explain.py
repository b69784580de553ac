"""``napari-ies explain``: from lesions to maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_ies.cli import options
from napari_ies.cli.terminal import reporting
from napari_ies.saliency.request import SaliencyRequest


def explain(
    checkpoint: options.Checkpoint,
    image: options.Images,
    out: options.Out,
    lesion: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Label of a lesion to explain, as segment numbers them; repeat for more.",
        ),
    ] = None,
    all_lesions: Annotated[bool, typer.Option("--all", help="Explain every lesion.")] = False,
    mask: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Explain any region: a NIfTI mask; repeat for more."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take the lesions of an earlier segment (its …_dseg.nii.gz), or of any mask or "
            "label image: an expert's, another program's.",
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
    method: options.MethodOption = "smoothgrad",
    aggregation: options.AggregationOption = "mean",
    samples: options.Samples = SaliencyRequest.n_samples,
    noise: options.Noise = SaliencyRequest.noise,
    seed: options.Seed = SaliencyRequest.seed,
    noise_version: options.NoiseVersion = SaliencyRequest.noise_version,
    forward: options.ForwardOption = "sliding-window",
    layer: options.Layer = None,
    tolerance: options.Tolerance = None,
    class_name: options.Class = None,
    precision: options.PrecisionOption = "float32",
    jacobian: options.JacobianOption = "auto",
    memory_gib: options.MemoryGib = None,
    orientation: options.Orientation = None,
    spacing: options.Spacing = None,
    folds: options.Folds = None,
    mirroring: options.Mirroring = None,
    trust: options.Trust = False,
    device: options.Device = "auto",
    subject: options.Subject = None,
    visit: options.Visit = None,
    overwrite: options.Overwrite = False,
    yes: options.Yes = False,
    debug: options.Debug = False,
) -> None:
    """Explain lesions: write, for each, a saliency map per sequence and how it was made.

    The patient is segmented first, unless --labels gives an earlier segmentation. A run that was
    stopped goes on where it was when the same command is given again.
    """
    images = options.parse_images(image)
    _check_explain(lesion, all_lesions, mask, labels, reference, threshold)
    if labels_of_others and labels is None:
        raise typer.BadParameter("--labels-of-others is about the file of --labels; give that too.")
    with reporting(debug) as terminal:
        from napari_ies.cohort.row.images import check_given

        check_given(reference, labels, *(mask or ()))
        from napari_ies.checkpoints import CheckpointSource
        from napari_ies.cli import segmenting
        from napari_ies.cli.expecting import announce
        from napari_ies.cli.tables import measures_table, zones_table
        from napari_ies.cohort.row import explaining, targets
        from napari_ies.results import anat_folder
        from napari_ies.saliency.case_explanations import completed
        from napari_ies.saliency.engines.certification import choose_engine

        chosen = options.choices(folds, mirroring)
        place = (checkpoint, device, orientation, spacing)
        source = CheckpointSource(*place, chosen, class_name, trust)
        model, case = segmenting.opened(terminal, source, images, out, subject, visit)
        request = SaliencyRequest(
            method=method,
            aggregation=aggregation,
            n_samples=samples,
            noise=noise,
            seed=seed,
            forward=forward,
            class_index=model.profile.explained_class if class_name else None,
            layer=layer,
            tolerance=tolerance,
            precision=precision,
            noise_version=noise_version,
        )
        completed(request, model)  # what is not possible is said before anything is computed
        if request.is_smoothgrad and jacobian != "auto":
            choose_engine(model, jacobian, precision)
        explaining.check_place(out, case, request, mask or (), bool(lesion or all_lesions))
        wanted = [targets.region_target(file, case) for file in mask or ()]
        if lesion or all_lesions:
            if labels is None:
                known = segmenting.reference_of(terminal, reference, case)
                segmentation = segmenting.segmented(
                    terminal, model, case, threshold, known, forward=forward
                )
                found = targets.found_with(segmentation, known)
            else:
                found = targets.labels_from(labels, case, model, of_others=labels_of_others)
            wanted = [*targets.lesion_targets(found, lesion or (), all_lesions), *wanted]
        todo, measures = explaining.split_targets(out, model, case, wanted, request, overwrite)
        for target in wanted:
            if target.name in measures:
                terminal.note(f"{target.step}: there already")
        masks = (target.footprint for target in todo)
        announce(terminal, model, case, masks, request, memory_gib, jacobian, agreed=yes)
        reports = explaining.explain_targets(
            *(model, case, todo, request, out, overwrite, memory_gib), jacobian=jacobian
        )
        for (target, _), measured in terminal.follow_each(reports, lambda key: key[0].step):
            measures[target.name] = measured
        measures = {target.name: measures[target.name] for target in wanted}
        unit = request.unit
        terminal.show(measures_table(measures, unit))
        terminal.show(zones_table(measures, unit))
        terminal.show(f"{len(measures)} explained; written to {anat_folder(out, case)}")


def _check_explain(
    lesion: list[int] | None,
    all_lesions: bool,
    mask: list[Path] | None,
    labels: Path | None,
    reference: Path | None,
    threshold: float | None,
) -> None:
    """Refuse options that say nothing to explain, or that contradict each other."""
    if not (lesion or all_lesions or mask):
        raise typer.BadParameter("say what to explain: --lesion N, --all or --mask FILE.")
    if lesion and all_lesions:
        raise typer.BadParameter("--lesion and --all exclude each other; give one of them.")
    if labels is not None and (reference is not None or threshold is not None):
        raise typer.BadParameter(
            "--labels takes an earlier segmentation, so --threshold and --reference have no "
            "effect; leave them out."
        )
