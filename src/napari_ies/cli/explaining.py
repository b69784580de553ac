"""What ``napari-ies explain`` does: from lesions or regions to maps on disk."""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CaseError, ResultsError, SaliencyError
from napari_ies.patient.images.volume import stem_of
from napari_ies.patient.masks import read_lesions, read_mask
from napari_ies.results import (
    anat_folder,
    every_name,
    label,
    prepare,
    saliency_files,
    save_saliency,
)
from napari_ies.results.earlier import EarlierMaps, read_measures
from napari_ies.results.provenance import file_record, other_images, other_network
from napari_ies.results.segmentation import read_segmentation
from napari_ies.results.storage.json_files import read_sidecar, sidecar_of
from napari_ies.results.storage.staging import remove_leftovers
from napari_ies.saliency.explanation import explain_request, explain_together
from napari_ies.saliency.footprint import BoxedMask, LabelledVoxels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import ArrayLike, NDArray
    from pandas import DataFrame

    from napari_ies.cli.terminal import Terminal
    from napari_ies.network.model import SegmentationModel
    from napari_ies.network.profile import Profile
    from napari_ies.patient.case import Case
    from napari_ies.patient.masks import Mask
    from napari_ies.progress import Progress
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation.segmentation import Segmentation

    FileRecord = Mapping[str, str | None]

logger = logging.getLogger("napari_ies")

OF_OTHERS = "--labels-of-others"
"""The option that takes the lesions of other images or of another network."""
LONGEST_LABEL = 2**31 - 1
"""No lesion has a longer number in the names of its files."""


@dataclass(frozen=True, eq=False)
class Target:
    """One thing to explain.

    Parameters
    ----------
    lesion, region
        The lesion's label, or the region's name; exactly one of them.
    footprint
        bool (X, Y, Z) on the case's grid, or what makes it when it is asked for.
    notes
        How it was taken from its file: plain sentences.
    files
        Records of the files it comes from by what they are: ``"labels"``, ``"mask"``,
        ``"reference"``.
    """

    lesion: int | None
    region: str | None
    footprint: ArrayLike
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
    return [
        Target(value, None, LabelledVoxels(labels, value), found.notes, found.files)
        for value in chosen
    ]


def region_target(file: Path, case: Case) -> Target:
    """Read the mask of a region, which is named after its file."""
    mask = read_mask(file, case)
    for note in mask.notes:
        logger.warning(note)
    if not mask.values.any():
        raise CaseError(f"{file.name} marks no voxel of the images; choose another mask.")
    record = file_record(mask.name, mask.sha256)
    region = label(stem_of(file))
    return Target(None, region, BoxedMask.of(mask.values), mask.notes, {"mask": record})


def found_with(segmentation: Segmentation, reference: Mask | None) -> Found:
    """Give the lesions that were found now, and what was said about their reference."""
    if reference is None:
        return Found(segmentation.labels)
    record = file_record(reference.name, reference.sha256)
    return Found(segmentation.labels, reference.notes, {"reference": record})


def labels_from(
    file: Path, case: Case, model: SegmentationModel | None = None, *, of_others: bool = False
) -> Found:
    """Read the lesions to explain: of an earlier segmentation, an expert or another program.

    Parameters
    ----------
    file
        A file of a segmentation that napari-ies wrote, or any mask or label image.
    case, model
        The images and the network that are explained.
    of_others
        Whether a segmentation of other images or by another network is taken.

    Raises
    ------
    ResultsError
        If a segmentation is of others and that was not asked for, or it cannot be read.
    CaseError
        If a mask or label image cannot be used.
    """
    if sidecar_of_ours(file):
        return _earlier(file, case, model, of_others)
    lesions = read_lesions(file, case)
    for note in lesions.notes:
        logger.warning(note)
    return Found(
        lesions.values, lesions.notes, {"labels": file_record(lesions.name, lesions.sha256)}
    )


def _earlier(file: Path, case: Case, model: SegmentationModel | None, of_others: bool) -> Found:
    """Read an earlier segmentation, with what was said of it and of what it is."""
    earlier = read_segmentation(file, case)
    content, segmentation = earlier.content, earlier.segmentation
    files = {"labels": earlier.labels}
    if isinstance(content.get("Reference"), dict):
        files["reference"] = dict(content["Reference"])
    name = earlier.labels["Name"]
    strange = {}
    images = other_images(case, content.get("Images") or ())
    if images:
        strange[
            f"found in other images ({', '.join(images)} "
            f"{'differ' if len(images) > 1 else 'differs'} by SHA-256) than those that are "
            "explained"
        ] = "check that both are of the same patient and visit, or segment these images"
    settings = [] if model is None else other_network(model, content)
    if settings:
        network = (content.get("Checkpoint") or {}).get("Name")
        strange[
            f"marked by another network ({network}; {', '.join(settings)} "
            f"{'differ' if len(settings) > 1 else 'differs'}) than the one that is explained"
        ] = "the map says what this network makes of them, not why they were marked"
    if not strange:
        return Found(segmentation.labels, segmentation.notes, files)
    if not of_others:
        raise ResultsError(
            f"The lesions of {name} were {' and '.join(strange)}; segment these images with this "
            f"network, or say that it is meant with {OF_OTHERS}."
        )
    told = [f"The lesions of {name} were {what}; {advice}." for what, advice in strange.items()]
    for note in told:
        logger.warning(note)
    notes = (*told, *(f"Said of {name}: {text}" for text in segmentation.notes))
    return Found(segmentation.labels, notes, files)


def sidecar_of_ours(file: Path) -> bool:
    """Whether a file is one that the command segment wrote, by the JSON beside it.

    Raises
    ------
    ResultsError
        If there is a JSON that cannot be read: it might say so.
    """
    sidecar = sidecar_of(file)
    return os.path.lexists(sidecar) and "SegmentationNotes" in read_sidecar(sidecar)


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


def check_place(
    folder: Path, case: Case, request: SaliencyRequest, regions: Sequence[Path], lesions: bool
) -> None:
    """Refuse before anything is computed a folder or names in which nothing can be written.

    Parameters
    ----------
    folder
        For the results.
    case, request
        They name the files.
    regions
        Files of the regions to be explained.
    lesions
        Whether lesions are explained too.

    Raises
    ------
    ResultsError
        If the folder cannot be used, or a name cannot be one.
    """
    named: list[tuple[int | None, str | None]] = [(None, label(stem_of(file))) for file in regions]
    repeated = [region for (_, region), count in Counter(named).items() if count > 1]
    if repeated:
        raise ResultsError(
            f"Two masks would both be named region-{repeated[0]}; give their files names that "
            "differ in letters or digits."
        )
    if lesions:
        named.append((LONGEST_LABEL, None))
    files = [name for one in named for name in every_name(_names(case, request, *one))]
    prepare(folder, [str(anat_folder("", case) / name) for name in files], overwrite=True)


def split_targets(
    folder: Path,
    model: SegmentationModel,
    case: Case,
    targets: Sequence[Target],
    request: SaliencyRequest,
    overwrite: bool,
) -> tuple[list[Target], dict[str, DataFrame]]:
    """Find out what is to be done, and what a run that was stopped has done already.

    Parameters
    ----------
    folder, model, case, targets, request
        As for :func:`explain_targets`.
    overwrite
        Whether results of other settings or inputs are replaced.

    Returns
    -------
    todo, there
        The targets to explain, and the measures of those that are there, by their names.

    Raises
    ------
    ResultsError
        If a file is there that is to stay, or the folder cannot be used.
    """
    place = anat_folder(folder, case)
    remove_leftovers(place)
    earlier = EarlierMaps(place, model, case, request, same_device=overwrite)
    todo, there, files = [], {}, []
    for target in targets:
        names = _names(case, request, target.lesion, target.region)
        measures, hindrance = earlier.find(names, target.footprint, target.files)
        if measures is not None:
            there[target.name] = measures
            continue
        if hindrance and not overwrite:
            raise ResultsError(
                f"{place / hindrance.name} is there already, {hindrance.why}; choose another "
                "folder, or allow overwriting with --overwrite."
            )
        todo.append(target)
        files += every_name(names)
    prepare(folder, [str(anat_folder("", case) / name) for name in files], overwrite=overwrite)
    return todo, there


def _names(
    case: Case, request: SaliencyRequest, lesion: int | None, region: str | None
) -> dict[str, Any]:
    sequences = case.sequences if request.method == "smoothgrad" else ("all",)
    return saliency_files(
        case.subject, request, sequences, visit=case.visit, lesion=lesion, region=region
    )


def explain_targets(
    terminal: Terminal,
    model: SegmentationModel,
    case: Case,
    targets: Sequence[Target],
    request: SaliencyRequest,
    folder: Path,
    overwrite: bool,
    memory_gib: float | None = None,
) -> dict[str, DataFrame]:
    """Explain targets, from shared forwards where that can be, and write each when it is done.

    Neither a map nor a mask of one that is done is kept.

    Returns
    -------
    The measures by the targets' names.
    """
    done: dict[str, DataFrame] = {}
    reports = _reports(model, case, targets, request, memory_gib)
    for target, computed in terminal.follow_each(reports, lambda target: target.step):
        written = save_saliency(
            folder,
            _with_origin(computed, target),
            case=case,
            model=model,
            lesion=target.lesion,
            region=target.region,
            overwrite=overwrite,
        )
        done[target.name] = read_measures(written[-2])
        del computed
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
