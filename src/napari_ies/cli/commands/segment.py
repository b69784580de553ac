"""``napari-ies segment``: from images to lesions."""

from __future__ import annotations

from napari_ies.cli import options
from napari_ies.cli.terminal import reporting


def segment(
    checkpoint: options.Checkpoint,
    image: options.Images,
    out: options.Out,
    reference: options.Reference = None,
    threshold: options.Threshold = None,
    smallest: options.Smallest = None,
    forward: options.ForwardOption = "sliding-window",
    class_name: options.Class = None,
    orientation: options.Orientation = None,
    spacing: options.Spacing = None,
    folds: options.Folds = None,
    mirroring: options.Mirroring = None,
    trust: options.Trust = False,
    device: options.Device = "auto",
    subject: options.Subject = None,
    visit: options.Visit = None,
    overwrite: options.Overwrite = False,
    debug: options.Debug = False,
) -> None:
    """Segment a patient: lesion labels, probabilities and the table of lesions."""
    images = options.parse_images(image)
    with reporting(debug) as terminal:
        from napari_ies.cohort.row.images import check_given

        check_given(reference)
        from napari_ies.checkpoints import CheckpointSource
        from napari_ies.cli.segmenting import opened, reference_of, segmented
        from napari_ies.cli.tables import lesions_table
        from napari_ies.patient.identity import Identity
        from napari_ies.results import anat_folder, prepare, save_segmentation, segmentation_files
        from napari_ies.results.numbering import maps_of_other_labels, numbers
        from napari_ies.results.provenance import file_record
        from napari_ies.segmentation.lesions import found_words

        chosen = options.choices(folds, mirroring)
        place = (checkpoint, device, orientation, spacing)
        source = CheckpointSource(*place, chosen, class_name, trust)
        model, case = opened(terminal, source, images, out, subject, visit)
        names = segmentation_files(case.subject, case.visit).values()
        prepare(out, [str(anat_folder("", case) / name) for name in names], overwrite=overwrite)
        known = reference_of(terminal, reference, case)
        segmentation = segmented(
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
        terminal.show(f"{found_words(segmentation.lesions)}; written to {written[0]}")
