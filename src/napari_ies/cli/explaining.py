"""What ``napari-ies explain`` does: from lesions or regions to maps on disk."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError, ResultsError, SaliencyError
from napari_ies.masks import read_lesions, read_mask
from napari_ies.regular_files import file_sha256
from napari_ies.results import (
    anat_folder,
    every_name,
    label,
    load_segmentation,
    prepare,
    saliency_files,
    save_saliency,
)
from napari_ies.results.names import sidecar_name
from napari_ies.results.provenance import file_record, other_images
from napari_ies.results.storage import expected_content, read_sidecar
from napari_ies.saliency.explanation import explain_request, explain_together
from napari_ies.volume import stem_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.case import Case
    from napari_ies.checkpoints.model import SegmentationModel
    from napari_ies.checkpoints.profile import Profile
    from napari_ies.cli.terminal import Terminal
    from napari_ies.masks import Mask
    from napari_ies.progress import Progress
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation import Segmentation

    FileRecord = Mapping[str, str | None]

logger = logging.getLogger("napari_ies")


@dataclass(frozen=True, eq=False)
class Target:
    """One thing to explain.

    Parameters
    ----------
    lesion, region
        The lesion's label, or the region's name; exactly one of them.
    footprint
        bool (X, Y, Z) on the case's grid.
    notes
        How it was taken from its file: plain sentences.
    files
        Records of the files it comes from by what they are: ``"labels"``, ``"mask"``,
        ``"reference"``.
    """

    lesion: int | None
    region: str | None
    footprint: NDArray[np.bool_]
    notes: tuple[str, ...] = ()
    files: Mapping[str, FileRecord] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called in a table: ``"3"`` or ``"region brainstem"``."""
        return str(self.lesion) if self.region is None else f"region {self.region}"

    @property
    def step(self) -> str:
        """What it is called while it is explained: ``"Lesion 3"`` or ``"Region brainstem"``."""
        return f"Lesion {self.name}" if self.region is None else self.name.capitalize()


@dataclass(frozen=True, eq=False)
class Found:
    """The lesions that there are to explain.

    Parameters
    ----------
    labels
        int32 (X, Y, Z), 0 for none.
    notes, files
        See :class:`Target`.
    """

    labels: NDArray[np.int32]
    notes: tuple[str, ...] = ()
    files: Mapping[str, FileRecord] = field(default_factory=dict)


def lesion_targets(found: Found, wanted: Sequence[int], everything: bool) -> list[Target]:
    """Give the lesions to explain.

    Raises
    ------
    SaliencyError
        If a lesion is not in the segmentation.
    """
    labels = found.labels
    present = [int(value) for value in np.unique(labels) if value > 0]
    if not present:
        raise SaliencyError(
            "The segmentation holds no lesion; lower --threshold, or explain a region with --mask."
        )
    missing = sorted(set(wanted) - set(present))
    if missing:
        raise SaliencyError(
            f"There is no lesion {missing[0]}; the segmentation holds the lesions {present[0]} to "
            f"{present[-1]}, listed by the command segment."
        )
    chosen = present if everything else list(dict.fromkeys(wanted))
    return [Target(value, None, labels == value, found.notes, found.files) for value in chosen]


def region_target(file: Path, case: Case) -> Target:
    """Read the mask of a region, which is named after its file."""
    mask = read_mask(file, case)
    for note in mask.notes:
        logger.warning(note)
    if not mask.values.any():
        raise CaseError(f"{file.name} marks no voxel of the images; choose another mask.")
    record = file_record(mask.name, mask.sha256)
    return Target(None, label(stem_of(file)), mask.values, mask.notes, {"mask": record})


def found_with(segmentation: Segmentation, reference: Mask | None) -> Found:
    """Give the lesions that were found now, and what was said about their reference."""
    if reference is None:
        return Found(segmentation.labels)
    record = file_record(reference.name, reference.sha256)
    return Found(segmentation.labels, reference.notes, {"reference": record})


def labels_from(file: Path, case: Case) -> Found:
    """Read the lesions to explain: of an earlier segmentation, an expert or another program."""
    if sidecar_of_ours(file):
        return _earlier(file, case)
    lesions = read_lesions(file, case)
    for note in lesions.notes:
        logger.warning(note)
    return Found(
        lesions.values, lesions.notes, {"labels": file_record(lesions.name, lesions.sha256)}
    )


def _earlier(file: Path, case: Case) -> Found:
    """Read an earlier segmentation, with what was said of it and whether it is of these images."""
    earlier = load_segmentation(file, case)
    sidecar = file.with_name(sidecar_name(file.name))
    content = read_sidecar(sidecar)
    with expected_content(sidecar):
        labels = file.with_name(content["Files"]["labels"])
        files = {"labels": file_record(labels.name, file_sha256(labels))}
        if "Reference" in content:
            files["reference"] = dict(content["Reference"])
        others = other_images(case, content.get("Images") or ())
    if not others:
        return Found(earlier.labels, earlier.notes, files)
    note = (
        f"The lesions of {labels.name} were found in other images "
        f"({', '.join(others)} {'differ' if len(others) > 1 else 'differs'} by SHA-256) than "
        "those that are explained; check that both are of the same patient and visit, or segment "
        "these images."
    )
    logger.warning(note)
    notes = (note, *(f"Said of {labels.name}: {text}" for text in earlier.notes))
    return Found(earlier.labels, notes, files)


def sidecar_of_ours(file: Path) -> bool:
    """Whether a file is one that the command segment wrote, by the JSON beside it."""
    try:
        return "SegmentationNotes" in read_sidecar(file.with_name(sidecar_name(file.name)))
    except ResultsError:
        return False


def class_index(text: str | None, profile: Profile) -> int | None:
    """Read a class given by name or index.

    Raises
    ------
    SaliencyError
        If the network has no such class.
    """
    if text is None:
        return None
    if text in profile.classes:
        return profile.classes.index(text)
    if text.isdecimal() and int(text) < len(profile.classes):
        return int(text)
    known = ", ".join(f"{i} {name}" for i, name in enumerate(profile.classes))
    raise SaliencyError(f"There is no class {text}; the network has {known}.")


def check_files(
    folder: Path, targets: Sequence[Target], case: Case, request: SaliencyRequest, overwrite: bool
) -> None:
    """Refuse before hours of computing what would be refused when the files are written.

    Raises
    ------
    ResultsError
        If a file is there already, two targets share a name, or the folder cannot be used.
    """
    files: list[str] = []
    sequences = case.sequences if request.method == "smoothgrad" else ("all",)
    for target in targets:
        names = saliency_files(
            case.subject,
            request,
            sequences,
            visit=case.visit,
            lesion=target.lesion,
            region=target.region,
        )
        files += every_name(names)
    named = Counter((target.lesion, target.region) for target in targets)
    repeated = [region for (_, region), count in named.items() if count > 1]
    if repeated:
        raise ResultsError(
            f"Two masks would both be named region-{repeated[0]}; give their files names that "
            "differ in letters or digits."
        )
    prepare(folder, [str(anat_folder("", case) / name) for name in files], overwrite=overwrite)


def explain_targets(
    terminal: Terminal,
    model: SegmentationModel,
    case: Case,
    targets: Sequence[Target],
    request: SaliencyRequest,
    folder: Path,
    overwrite: bool,
    memory_gib: float | None = None,
) -> dict[str, Saliency]:
    """Explain targets, from shared forwards where that can be, and write each when it is done.

    Returns
    -------
    The saliencies by the targets' names.
    """
    done: dict[str, Saliency] = {}
    reports = _reports(model, case, targets, request, memory_gib)
    for target, computed in terminal.follow_each(reports, lambda target: target.step):
        saliency = _with_origin(computed, target)
        save_saliency(
            folder,
            saliency,
            case=case,
            model=model,
            lesion=target.lesion,
            region=target.region,
            overwrite=overwrite,
        )
        done[target.name] = saliency
    return done


def _with_origin(saliency: Saliency, target: Target) -> Saliency:
    """Return a saliency whose provenance says where its footprint is from and how it was taken."""
    files = {kind: dict(record) for kind, record in target.files.items()}
    origin = {"footprint_from": files} if files else {}
    return saliency.told(target.notes, **origin)


def _reports(
    model: SegmentationModel,
    case: Case,
    targets: Sequence[Target],
    request: SaliencyRequest,
    memory_gib: float | None,
) -> Iterator[tuple[Target, Progress[Saliency]]]:
    if request.method == "smoothgrad":
        footprints = {target: target.footprint for target in targets}
        reports = explain_together(model, case, footprints, request, memory_gib=memory_gib)
        for (target, _), report in reports:
            yield target, report
        return
    for target in targets:
        footprint = target.footprint
        for report in explain_request(model, case, footprint, request, memory_gib=memory_gib):
            yield target, report
