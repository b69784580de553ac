"""One case of a cohort: segmented and explained by the steps of ``segment`` and ``explain``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.cohort.layouts import write_as_scripts
from napari_ies.cohort.metrics import match_metrics
from napari_ies.cohort.record import refuse_others
from napari_ies.cohort.row.explaining import explain_targets, names_of, split_targets
from napari_ies.cohort.row.images import open_case
from napari_ies.cohort.row.targets import Found, lesion_targets
from napari_ies.cohort.settings import IES
from napari_ies.errors import CohortError, ResultsError
from napari_ies.network.profile import is_guessed
from napari_ies.patient.masks import read_lesions, read_mask
from napari_ies.progress import Progress
from napari_ies.regular_files import file_sha256
from napari_ies.results import (
    anat_folder,
    every_name,
    save_segmentation,
    segmentation_files,
    told_apart,
)
from napari_ies.results.names import sidecar_name
from napari_ies.results.provenance import file_record, other_images, other_network
from napari_ies.results.segmentation import read_segmentation
from napari_ies.results.storage.staging import finish_leftovers
from napari_ies.segmentation.segmentation import segment_progressively
from napari_ies.segmentation.subject import Lesion
from napari_ies.versions import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from napari_ies.cohort.cases import CohortCase
    from napari_ies.cohort.record import CaseRecord
    from napari_ies.cohort.row.targets import Target
    from napari_ies.cohort.settings import CohortSettings
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.patient.masks import Mask
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.segmentation.segmentation import Segmentation


@dataclass(frozen=True, eq=False)
class CaseResult:
    """What came of a case."""

    row: Mapping[str, Any]
    """Of the table of cases."""
    lesions: list[dict[str, Any]]
    """Rows of the table of lesions and sequences."""
    files: list[Path]


def working_on(
    model: SegmentationModel,
    planned: CohortCase,
    settings: CohortSettings,
    folder: Path,
    earlier: CaseRecord | None = None,
) -> Iterator[Progress[CaseResult]]:
    """Segment and explain a case, as far as that is not done yet, and write what comes of it.

    Parameters
    ----------
    model
        The network.
    planned, settings
        Which case, and what is done with it.
    folder
        The folder of results.
    earlier
        The case's record as it was before: what is in it may be replaced.

    Yields
    ------
    A report after each step of work; the last one holds the result.

    Raises
    ------
    NapariIESError
        If it cannot be done, in one sentence.
    """
    if planned.trouble:
        raise CohortError(planned.trouble)
    case = opened(model, planned)
    case, note = told_apart(folder, case)
    if note:
        raise CohortError(
            f"{folder} holds results of other images as {planned.identity.text}; choose another "
            "folder, or move them away."
        )
    known = _reference(planned, case)
    place = anat_folder(folder, case)
    finish_leftovers(place)
    labels = place / segmentation_files(case.subject, case.visit)["labels"]
    segmentation = _earlier(labels, model, case, known, planned, settings)
    if segmentation is None:
        of_lesions = segmentation_files(case.subject, case.visit).values()
        _check_replaced(earlier, folder, [place / name for name in of_lesions], settings)
        for segmented in segmenting(model, case, planned, known, settings):
            yield segmented.with_result(None)
            segmentation = segmented.result
        assert segmentation is not None  # noqa: S101 - the last report has it
        save_segmentation(
            folder,
            segmentation,
            case=case,
            model=model,
            overwrite=True,
            reference=None if known is None else file_record(known.name, known.sha256),
        )
    files = [place / one for one in segmentation_files(case.subject, case.visit).values()]
    table = segmentation.lesions
    chosen = settings.selection.chosen(table)
    measures: dict[tuple[int, SaliencyRequest], pd.DataFrame] = {}
    if chosen:
        targets = lesion_targets(_found(segmentation, labels, known), chosen, everything=False)
        explained = _explaining(model, case, targets, settings, folder, earlier)
        for key, report in explained:
            if report.finished and report.result is not None:
                measures[key] = report.result
            yield report.with_result(None)
    for lesion, request in measures:
        names = every_name(names_of(case, request, Lesion(lesion)))
        files += [place / name for name in names]
    if settings.layout == IES:
        files += write_as_scripts(folder, model, planned, case, segmentation, chosen, settings)
    every = [one for path in files for one in (path, path.with_name(sidecar_name(path.name)))]
    result = CaseResult(
        row=_row(planned, case, segmentation, known, len(chosen)),
        lesions=_lesion_rows(planned, table, measures),
        files=[path for path in dict.fromkeys(every) if path.exists()],
    )
    yield Progress("Done", 1, 1, "cases", result)


def opened(model: SegmentationModel, planned: CohortCase) -> Case:
    """Load a case's images, under the labels of the cohort."""
    images = dict(planned.images)
    whose = (planned.subject, planned.visit)
    assumed = is_guessed(model.profile, "sequences")
    return open_case(images, model.profile.sequences, *whose, assumed=assumed)


def segmenting(
    model: SegmentationModel,
    case: Case,
    planned: CohortCase,
    known: Mask | None,
    settings: CohortSettings,
) -> Iterator[Progress[Segmentation]]:
    """Segment a case; lesions from elsewhere are taken as they are."""
    given = None if planned.lesions is None else read_lesions(planned.lesions, case)
    said = () if known is None else known.notes
    if given is not None:
        taken = f"The lesions are those of {given.name} (SHA-256 {given.sha256})."
        said = (*said, *given.notes, taken)
    return segment_progressively(
        model,
        case,
        threshold=settings.threshold,
        smallest=settings.smallest,
        reference=None if known is None else known.values,
        forward=settings.segmented_by,
        lesions=None if given is None else given.values,
        said=said,
    )


def _check_replaced(
    earlier: CaseRecord | None, folder: Path, paths: Sequence[Path], settings: CohortSettings
) -> None:
    """Refuse to replace files of others, where that is not allowed."""
    if not settings.overwrite:
        refuse_others(earlier, folder, paths)


def _reference(planned: CohortCase, case: Case) -> Mask | None:
    return None if planned.reference is None else read_mask(planned.reference, case, lesions=True)


def _found(segmentation: Segmentation, labels: Path, known: Mask | None) -> Found:
    """Return the lesions as they are read from their file, which was just written or read."""
    files = {"labels": file_record(labels.name, file_sha256(labels))}
    if known is not None:
        files["reference"] = file_record(known.name, known.sha256)
    return Found(segmentation.labels, tuple(segmentation.notes), files)


def _earlier(
    labels: Path,
    model: SegmentationModel,
    case: Case,
    known: Mask | None,
    planned: CohortCase,
    settings: CohortSettings,
) -> Segmentation | None:
    """Return the segmentation that is there, if it is the one that would be computed."""
    if planned.lesions is not None or not labels.exists():
        return None
    try:
        read = read_segmentation(labels, case)
    except ResultsError:
        return None
    content, segmentation = read.content, read.segmentation
    profile = model.profile
    asked = (
        profile.threshold if settings.threshold is None else settings.threshold,
        profile.smallest_lesion if settings.smallest is None else settings.smallest,
        settings.segmented_by,
        None if known is None else file_record(known.name, known.sha256),
        __version__,
    )
    there = (
        segmentation.threshold,
        segmentation.smallest,
        segmentation.forward,
        content.get("Reference"),
        (content.get("Versions") or {}).get("napari-ies"),
    )
    same = asked == there and not other_images(case, content.get("Images") or ())
    return segmentation if same and not other_network(model, content) else None


def _explaining(
    model: SegmentationModel,
    case: Case,
    targets: list[Target],
    settings: CohortSettings,
    folder: Path,
    earlier: CaseRecord | None,
) -> Iterator[tuple[tuple[int, SaliencyRequest], Progress[pd.DataFrame]]]:
    """Explain lesions by every request; those that differ in the aggregation share forwards."""
    for base, ways in settings.groups:
        missing: dict[Target, list[str]] = {}
        for way in ways:
            request = replace(base, aggregation=way)
            todo, there = split_targets(
                folder, model, case, targets, request, overwrite=True, same_device=False
            )
            for target in targets:
                if target.name in there:
                    done = Progress("Explaining", 1, 1, "maps", there[target.name])
                    yield (int(target.name), request), done
            for target in todo:
                missing.setdefault(target, []).append(way)
                names = every_name(names_of(case, request, target.subject))
                replaced = [anat_folder(folder, case) / name for name in names]
                _check_replaced(earlier, folder, replaced, settings)
        together: dict[tuple[str, ...], list[Target]] = {}
        for target, some_ways in missing.items():
            together.setdefault(tuple(some_ways), []).append(target)
        for lacking, some in together.items():
            reports = explain_targets(
                *(model, case, some, base, folder, True),
                memory_gib=settings.memory_gib,
                aggregations=lacking,
            )
            for (target, request), report in reports:
                yield (int(target.name), request), report


def _row(
    planned: CohortCase,
    case: Case,
    segmentation: Segmentation,
    known: Mask | None,
    explained: int,
) -> dict[str, Any]:
    lesions = segmentation.lesions
    row: dict[str, Any] = {
        "subject": planned.subject,
        "visit": planned.visit,
        "status": "done" if len(lesions) else "no lesions",
        "problem": "",
        "lesions": len(lesions),
        "explained": explained,
        "marked_mm3": float(lesions["volume_mm3"].sum()),
    }
    if known is not None:
        kinds = {kind: int((lesions["match"] == kind).sum()) for kind in ("TP", "FP", "FN")}
        missed = lesions[lesions["match"] == "FN"]
        row["marked_mm3"] -= float(missed["volume_mm3"].sum())
        voxels = int(np.count_nonzero(known.values))
        row |= kinds | {"reference_mm3": voxels * case.grid.voxel_mm3}
        row |= match_metrics(segmentation.labels, lesions, known.values)
    return row | {"notes": " ".join(dict.fromkeys(segmentation.notes))}


def _lesion_rows(
    planned: CohortCase,
    table: pd.DataFrame,
    measures: Mapping[tuple[int, SaliencyRequest], pd.DataFrame],
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    about = table.to_dict("index")
    order = sorted(measures, key=lambda key: (key[0], key[1].method, key[1].aggregation))
    for lesion, request in order:
        of_map = {
            "subject": planned.subject,
            "visit": planned.visit,
            "lesion": lesion,
            **about[lesion],
            "method": request.method,
            "aggregation": request.aggregation if request.is_smoothgrad else "",
        }
        measured = measures[lesion, request].reset_index().to_dict("records")
        rows += [{str(name): value for name, value in (of_map | one).items()} for one in measured]
    return rows
