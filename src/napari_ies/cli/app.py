"""The console command: what stands before a command, and the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_ies.cli.commands.demo import demo
from napari_ies.cli.commands.explain import explain
from napari_ies.cli.commands.figure import figure
from napari_ies.cli.commands.inspect import inspect
from napari_ies.cli.commands.segment import segment
from napari_ies.cli.examples import EXAMPLES
from napari_ies.cli.terminal import Terminal
from napari_ies.cli.usage import Commands

app = typer.Typer(
    name="napari-ies",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the console command; ends with exit status 0, 1 (the work failed) or 2 (wrong usage)."""
    app(prog_name="napari-ies")


def _show_version(asked: bool) -> None:
    if asked:
        from napari_ies.versions import __version__

        Terminal().show(f"napari-ies {__version__}")
        raise typer.Exit


@app.callback()
def napari_ies(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """See why a segmentation network marked a lesion: instance-level explanation saliency."""


<<<<<<< HEAD
for command in (inspect, segment, explain, figure, demo):
    app.command(epilog=EXAMPLES[command.__name__])(command)
=======
@app.command(epilog=EXAMPLES["inspect"])
def inspect(
    checkpoint: Checkpoint,
    orientation: Orientation = None,
    spacing: Spacing = None,
    debug: Debug = False,
) -> None:
    """Say what a checkpoint is: architecture, inputs, classes, profile and what was guessed."""
    with reporting(debug) as terminal:
        from napari_ies.checkpoints import load_checkpoint
        from napari_ies.cli.tables import model_table
        from napari_ies.saliency.gradcam import candidate_layers, default_layer

        model = load_checkpoint(checkpoint, device="cpu", orientation=orientation, spacing=spacing)
        terminal.show(model_table(model, candidate_layers(model), default_layer(model)))


@app.command(epilog=EXAMPLES["segment"])
def segment(
    checkpoint: Checkpoint,
    image: Images,
    out: Out,
    reference: Reference = None,
    threshold: Threshold = None,
    smallest: Smallest = None,
    forward: ForwardOption = "sliding-window",
    orientation: Orientation = None,
    spacing: Spacing = None,
    device: Device = "auto",
    subject: Subject = None,
    visit: Visit = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Segment a patient: lesion labels, probabilities and the table of lesions."""
    images = parse_images(image)
    with reporting(debug) as terminal:
        _check_given(reference)
        from napari_ies.cli.tables import lesions_table
        from napari_ies.patient.identity import Identity
        from napari_ies.results import (
            anat_folder,
            prepare,
            save_segmentation,
            segmentation_files,
        )
        from napari_ies.results.numbering import maps_of_other_labels, numbers
        from napari_ies.results.provenance import file_record

        model, case = _open(
            terminal,
            checkpoint,
            images,
            out,
            device,
            subject=subject,
            visit=visit,
            orientation=orientation,
            spacing=spacing,
        )
        names = segmentation_files(case.subject, case.visit).values()
        prepare(out, [str(anat_folder("", case) / name) for name in names], overwrite=overwrite)
        known = _reference(terminal, reference, case)
        segmentation = _segment(
            terminal, model, case, threshold, known, forward=forward, smallest=smallest
        )
        written = save_segmentation(
            out,
            segmentation,
            case=case,
            model=model,
            overwrite=overwrite,
            reference=None if known is None else file_record(known.name, known.sha256),
        )
        earlier = maps_of_other_labels(
            written[0].parent, Identity(case.subject, case.visit).stem, segmentation.labels
        )
        if earlier:
            terminal.note(
                f"The maps of {numbers(earlier)} in {written[0].parent} are of another "
                "segmentation than this one, in which these numbers mean other voxels; explain "
                "them again with --overwrite, or move them away."
            )
        terminal.show(lesions_table(segmentation.lesions))
        terminal.show(f"{len(segmentation.lesions)} lesions; written to {written[0]}")


@app.command(epilog=EXAMPLES["explain"])
def explain(
    checkpoint: Checkpoint,
    image: Images,
    out: Out,
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
    reference: Reference = None,
    threshold: Threshold = None,
    method: MethodOption = "smoothgrad",
    aggregation: AggregationOption = "mean",
    samples: Samples = SaliencyRequest.n_samples,
    noise: Noise = SaliencyRequest.noise,
    seed: Seed = SaliencyRequest.seed,
    forward: ForwardOption = "sliding-window",
    layer: Layer = None,
    tolerance: Tolerance = None,
    class_name: Class = None,
    precision: PrecisionOption = "float32",
    memory_gib: MemoryGib = None,
    orientation: Orientation = None,
    spacing: Spacing = None,
    device: Device = "auto",
    subject: Subject = None,
    visit: Visit = None,
    overwrite: Overwrite = False,
    yes: Yes = False,
    debug: Debug = False,
) -> None:
    """Explain lesions: write, for each, a saliency map per sequence and how it was made.

    The patient is segmented first, unless --labels gives an earlier segmentation. A run that was
    stopped goes on where it was when the same command is given again.
    """
    images = parse_images(image)
    _check_explain(lesion, all_lesions, mask, labels, reference, threshold)
    if labels_of_others and labels is None:
        raise typer.BadParameter("--labels-of-others is about the file of --labels; give that too.")
    with reporting(debug) as terminal:
        _check_given(reference, labels, *(mask or ()))
        from napari_ies.cli import explaining
        from napari_ies.cli.expecting import announce
        from napari_ies.cli.tables import measures_table, zones_table
        from napari_ies.results import anat_folder

        model, case = _open(
            terminal,
            checkpoint,
            images,
            out,
            device,
            subject=subject,
            visit=visit,
            orientation=orientation,
            spacing=spacing,
        )
        request = SaliencyRequest(
            method=method,
            aggregation=aggregation,
            n_samples=samples,
            noise=noise,
            seed=seed,
            forward=forward,
            class_index=explaining.class_index(class_name, model.profile),
            layer=layer,
            tolerance=tolerance,
            precision=precision,
        )
        explaining.check_place(out, case, request, mask or (), bool(lesion or all_lesions))
        targets = [explaining.region_target(file, case) for file in mask or ()]
        if lesion or all_lesions:
            if labels is None:
                known = _reference(terminal, reference, case)
                segmentation = _segment(terminal, model, case, threshold, known, forward=forward)
                found = explaining.found_with(segmentation, known)
            else:
                found = explaining.labels_from(labels, case, model, of_others=labels_of_others)
            targets = [*explaining.lesion_targets(found, lesion or (), all_lesions), *targets]
        todo, measures = explaining.split_targets(out, model, case, targets, request, overwrite)
        for target in targets:
            if target.name in measures:
                terminal.note(f"{target.step}: there already")
        masks = (target.footprint for target in todo)
        announce(terminal, model, case, masks, request, memory_gib, agreed=yes)
        measures |= explaining.explain_targets(
            terminal, model, case, todo, request, out, overwrite, memory_gib
        )
        measures = {target.name: measures[target.name] for target in targets}
        unit = request.unit
        terminal.show(measures_table(measures, unit))
        terminal.show(zones_table(measures, unit))
        terminal.show(f"{len(measures)} explained; written to {anat_folder(out, case)}")


@app.command(epilog=EXAMPLES["figure"])
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
    layout: LayoutOption = "planes",
    theme: ThemeOption = "light",
    width: Width = FigureSettings.width,
    margin: Margin = 15.0,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="Show whole slices, not the lesion's surroundings."),
    ] = False,
    at: At = None,
    sequence: Sequences = None,
    slices: Slices = FigureSettings.slices,
    limits: LimitsOption = "shared",
    limit: Limit = None,
    threshold: ClearBelow = FigureSettings.threshold,
    opacity: Opacity = FigureSettings.opacity,
    plain: Plain = True,
    outline: Outline = True,
    interpolation: InterpolationOption = "linear",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace figures of the same name.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Draw figures for papers of saved saliencies: images, overlay, outline, scales, method."""
    images = parse_images(image or [])
    with reporting(debug) as terminal:
        from napari_ies.cli import drawing

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


@app.command(epilog=EXAMPLES["demo"])
def demo(
    screenshot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a picture of the viewer (PNG) and exit."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Open the viewer with a synthetic patient and network, ready to click a lesion."""
    with reporting(debug) as terminal:
        from napari_ies.errors import NapariIESError

        try:
            from napari_ies.viewer.demo import run_demo
        except ImportError as error:
            raise NapariIESError(
                f"The viewer cannot be opened ({error}); install what it needs with: "
                "pip install 'napari-ies[all]'."
            ) from error
        run_demo(screenshot)
        if screenshot is not None:
            terminal.show(f"Picture written to {screenshot}")


def _open(
    terminal: Terminal,
    checkpoint: Path,
    images: dict[str, Path],
    out: Path,
    device: str,
    *,
    subject: str | None,
    visit: str | None,
    orientation: str | None,
    spacing: tuple[float, float, float] | None,
) -> tuple[SegmentationModel, Case]:
    """Load network and patient; say where the work is done, for whom, and what was assumed."""
    from napari_ies.checkpoints import device_label, load_checkpoint, profile_path
    from napari_ies.cli.images import open_case
    from napari_ies.network.assumptions import notes_on
    from napari_ies.patient.identity import Identity
    from napari_ies.results import told_apart

    model = load_checkpoint(checkpoint, device=device, orientation=orientation, spacing=spacing)
    case, note = told_apart(out, open_case(images, model.profile.sequences, subject, visit))
    if note:
        logger.warning(note)
    whose = Identity(case.subject, case.visit).text
    terminal.note(f"{model.profile.architecture} on {device_label(model.device)}, {whose}")
    if model.profile.guessed:
        beside = profile_path(checkpoint).name
        terminal.note(f"Not told by {checkpoint.name} and assumed ({beside} can state it):")
    for text in model.profile.guessed:
        terminal.note(f"- {text}")
    # What loading the images had to say was said then.
    for text in notes_on(model, case)[len(case.notes) :]:
        terminal.note(text)
    return model, case


def _check_given(*files: Path | None) -> None:
    """Refuse masks that cannot be opened before a network is loaded and tested."""
    from napari_ies.patient.images.image_files import check_there
    from napari_ies.patient.images.volume import expanded

    check_there(*(None if file is None else expanded(file) for file in files))


def _reference(terminal: Terminal, file: Path | None, case: Case) -> Mask | None:
    """Read a reference, if there is one, and say how it was taken."""
    from napari_ies.patient.masks import read_mask

    if file is None:
        return None
    known = read_mask(file, case, lesions=True)
    for note in known.notes:
        terminal.note(note)
    return known


def _segment(
    terminal: Terminal,
    model: SegmentationModel,
    case: Case,
    threshold: float | None,
    known: Mask | None,
    *,
    forward: Forward,
    smallest: int | None = None,
) -> Segmentation:
    from napari_ies.segmentation.segmentation import segment_progressively

    reports = segment_progressively(
        model,
        case,
        threshold=threshold,
        smallest=smallest,
        reference=None if known is None else known.values,
        forward=forward,
        said=() if known is None else known.notes,
    )
    return terminal.follow(reports, "Segmentation")


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
>>>>>>> wip-F
