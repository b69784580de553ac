"""From targets to maps on disk, as ``napari-ies explain`` does it and a cohort for each case."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from napari_ies.cohort.row.writing import WritingBeside
from napari_ies.errors import ResultsError
from napari_ies.patient.images.volume import stem_of
from napari_ies.results import (
    anat_folder,
    every_name,
    label,
    prepare,
    saliency_files,
    save_saliency,
)
from napari_ies.results.earlier import EarlierMaps, read_measures
from napari_ies.results.names import whose
from napari_ies.results.storage.staging import finish_leftovers
from napari_ies.saliency.explanation import explain_request, explain_together
from napari_ies.segmentation.subject import Lesion, Region

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from pandas import DataFrame

    from napari_ies.cohort.row.targets import Target
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.progress import Progress
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation.subject import Subject

LONGEST_LABEL = 2**31 - 1
"""No lesion has a longer number in the names of its files."""


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
    named: list[Subject] = [Region(label(stem_of(file))) for file in regions]
    repeated = [region for region, count in Counter(named).items() if count > 1]
    if repeated:
        raise ResultsError(
            f"Two masks would both be named region-{repeated[0]}; give their files names that "
            "differ in letters or digits."
        )
    if lesions:
        named.append(Lesion(LONGEST_LABEL))
    files = [name for one in named for name in every_name(names_of(case, request, one))]
    prepare(folder, [str(anat_folder("", case) / name) for name in files], overwrite=True)


def split_targets(
    folder: Path,
    model: SegmentationModel,
    case: Case,
    targets: Sequence[Target],
    request: SaliencyRequest,
    overwrite: bool,
    *,
    same_device: bool | None = None,
) -> tuple[list[Target], dict[str, DataFrame]]:
    """Find out what is to be done, and what a run that was stopped has done already.

    Parameters
    ----------
    folder, model, case, targets, request
        As for :func:`explain_targets`.
    overwrite
        Whether results of other settings or inputs are replaced.
    same_device
        Whether a map that another device computed is another map; by default as `overwrite`.

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
    finish_leftovers(place)
    same_device = overwrite if same_device is None else same_device
    earlier = EarlierMaps(place, model, case, request, same_device=same_device)
    todo, there, files = [], {}, []
    for target in targets:
        names = names_of(case, request, target.subject)
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


def names_of(case: Case, request: SaliencyRequest, subject: Subject) -> dict[str, Any]:
    """Name the files of a map, see :func:`~napari_ies.results.saliency.saliency_files`."""
    return saliency_files(case, request, request.maps_of(case.sequences), **whose(subject))


def explain_targets(
    model: SegmentationModel,
    case: Case,
    targets: Sequence[Target],
    request: SaliencyRequest,
    folder: Path,
    overwrite: bool,
    memory_gib: float | None = None,
    aggregations: Sequence[str] = (),
    jacobian: str = "auto",
) -> Iterator[tuple[tuple[Target, SaliencyRequest], Progress[DataFrame]]]:
    """Explain targets, from shared forwards where that can be, and write each when it is done.

    A map is written while the next one is computed; neither it nor a mask of one that is done is
    kept. With SmoothGrad there may be several aggregations at once; by default it is the request's.

    Yields
    ------
    A target with the request of its map, and a report on it; the last one comes when the files
    are there, which may be when the next one has begun, and holds the measures.
    """
    writing: WritingBeside[tuple[tuple[Target, SaliencyRequest], Progress[DataFrame]]]
    writing = WritingBeside()
    reports = _reports(model, case, targets, request, memory_gib, aggregations, jacobian)
    with writing:
        try:
            for target, way, report in reports:
                of = (target, replace(request, aggregation=way))
                if report.finished and report.result is not None:
                    yield from writing.taken(waiting=True)
                    saliency = _with_origin(report.result, target)
                    told: Progress[None] = report.with_result(None)
                    save = partial(_saved, of, told, saliency, case, model, folder, overwrite)
                    writing.begin(save)
                    del saliency, save
                else:
                    yield of, report.with_result(None)
                del report  # or its map would live on while the next one is computed
                yield from writing.taken(waiting=False)
        except Exception:
            yield from writing.taken(waiting=True)  # what was done before is told first
            raise
        yield from writing.taken(waiting=True)


def _saved(
    of: tuple[Target, SaliencyRequest],
    report: Progress[None],
    saliency: Saliency,
    case: Case,
    model: SegmentationModel,
    folder: Path,
    overwrite: bool,
) -> tuple[tuple[Target, SaliencyRequest], Progress[DataFrame]]:
    """Write a map; return its last report, with the measures as they were written."""
    mine = whose(of[0].subject)
    written = save_saliency(folder, saliency, case=case, model=model, overwrite=overwrite, **mine)
    return of, report.with_result(read_measures(written[-2]))


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
    aggregations: Sequence[str],
    jacobian: str,
) -> Iterator[tuple[Target, str, Progress[Saliency]]]:
    if request.is_smoothgrad:
        footprints = {target: target.footprint for target in targets}
        reports = explain_together(
            *(model, case, footprints, request),
            aggregations=aggregations,
            jacobian=jacobian,
            memory_gib=memory_gib,
        )
        for (target, way), report in reports:
            yield target, way, report
            del report
        return
    for target in targets:
        footprint = target.footprint
        for report in explain_request(model, case, footprint, request, memory_gib=memory_gib):
            yield target, request.aggregation, report
            del report
