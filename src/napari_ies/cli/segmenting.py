"""From the files on the command line to a network, a patient and lesions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from napari_ies.checkpoints import device_label, profile_path
from napari_ies.cohort.row.images import open_case
from napari_ies.network.assumptions import notes_on
from napari_ies.network.profile import is_guessed
from napari_ies.patient.identity import Identity
from napari_ies.patient.masks import read_mask
from napari_ies.results import told_apart
from napari_ies.segmentation.segmentation import decided_words, segment_progressively

if TYPE_CHECKING:
    from pathlib import Path

    from napari_ies.checkpoints import CheckpointSource
    from napari_ies.cli.options import Forward
    from napari_ies.cli.terminal import Terminal
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.patient.masks import Mask
    from napari_ies.segmentation.segmentation import Segmentation

logger = logging.getLogger("napari_ies")


def opened(
    terminal: Terminal,
    source: CheckpointSource,
    images: dict[str, Path],
    out: Path,
    subject: str | None,
    visit: str | None,
) -> tuple[SegmentationModel, Case]:
    """Load network and patient; say where the work is done, for whom, and what was assumed."""
    model, checkpoint = source.load(), source.checkpoint
    assumed = is_guessed(model.profile, "sequences")
    read = open_case(images, model.profile.sequences, subject, visit, assumed=assumed)
    case, note = told_apart(out, read)
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


def reference_of(terminal: Terminal, file: Path | None, case: Case) -> Mask | None:
    """Read a reference, if there is one, and say how it was taken."""
    if file is None:
        return None
    known = read_mask(file, case, lesions=True)
    for note in known.notes:
        terminal.note(note)
    return known


def segmented(
    terminal: Terminal,
    model: SegmentationModel,
    case: Case,
    threshold: float | None,
    known: Mask | None,
    *,
    forward: Forward,
    smallest: int | None = None,
) -> Segmentation:
    """Segment a patient, and tell the lesions of a reference from the others."""
    reports = segment_progressively(
        model,
        case,
        threshold=threshold,
        smallest=smallest,
        reference=None if known is None else known.values,
        forward=forward,
        said=() if known is None else known.notes,
    )
    found = terminal.follow(reports, "Segmentation")
    if found.decision is not None:
        terminal.note(decided_words(found.decision, found.threshold, model.profile))
    return found
