"""Tasks: what runs in the worker thread. Nothing here knows Qt; each is a generator of progress."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ies.colour_maps import colour_limit
from napari_ies.duration import MINUTE
from napari_ies.errors import NapariIESError
from napari_ies.printable import counted
from napari_ies.progress import Progress
from napari_ies.segmentation.subject import Lesion, Region
from napari_ies.time_left import TimeLeft
from napari_ies.viewer.state.answers import Answer
from napari_ies.viewer.state.look import ranges_of
from napari_ies.viewer.state.reading import Reading, model_key
from napari_ies.viewer.state.titles import model_title
from napari_ies.viewer.volumes.layer_data import read_image, read_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from napari_ies.network.model import SegmentationModel
    from napari_ies.saliency.expected.expected_time import ExpectedTime
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.state.answers import Answers
    from napari_ies.viewer.state.curves import Curve
    from napari_ies.viewer.volumes.layer_data import LayerDataTuple

LIMIT_STEP = 1.25
"""While a map refines, its limit grows by this factor at a time, and never shrinks."""


SURELY_SHORT = 1000
"""Runs of the network that take less than an hour on any machine: no click waits for a trial."""


def once(step: str, function: Callable[[], Any]) -> Iterator[Progress[Any]]:
    """Make a task of work that reports nothing until it is done."""
    yield Progress(step, 0, 0, "")
    yield Progress(step, 1, 1, "", result=function())


def open_file(path: str) -> Iterator[Progress[LayerDataTuple]]:
    """Read a NIfTI file as a layer."""
    return once(f"Opening {Path(path).name}", lambda: read_image(path))


def open_mask(path: str) -> Iterator[Progress[LayerDataTuple]]:
    """Read a mask or a label map as a Labels layer; labels keep their numbers."""
    return once(f"Opening {Path(path).name}", lambda: read_mask(path))


def make_demo() -> Iterator[Progress[tuple[list[LayerDataTuple], str]]]:
    """Make the synthetic patient's layers; with them comes the path of the demo's checkpoint."""

    def make() -> tuple[list[LayerDataTuple], str]:
        from napari_ies.demo import demo_checkpoint
        from napari_ies.demo.sample_data import synthetic_patient_layers

        return synthetic_patient_layers(), str(demo_checkpoint())

    return once("Making a synthetic patient", make)


@dataclass(frozen=True, eq=False)
class TakesLong:
    """What takes a while: not begun, because nobody agreed to that, or begun since it is shorter.

    Parameters
    ----------
    subject, request
        What was asked for.
    expected
        How long it will take.
    begun
        Whether it is being computed all the same.
    """

    subject: Subject
    request: SaliencyRequest
    expected: ExpectedTime
    begun: bool = False


def expect(
    reading: Reading, model: SegmentationModel, lesions: Sequence[Lesion], request: SaliencyRequest
) -> Iterator[Progress[ExpectedTime]]:
    """Estimate how long it takes to explain lesions one by one."""
    from napari_ies.saliency.expected.expected_time import expecting

    masks = map(reading.footprint_of, lesions)
    explained = reading.prepared.explanations(model, reading.case, request)
    yield from expecting(model, reading.case, masks, request, one_by_one=True, explained=explained)


def prepare(
    reading: Reading, model: SegmentationModel, request: SaliencyRequest
) -> Iterator[Progress[None]]:
    """Do what the first click would wait for, if it asks as this request does.

    What goes wrong here is said when a lesion is explained.
    """
    step = "Preparing explanations"
    yield Progress(step, 0, 0, "")
    with suppress(NapariIESError, RuntimeError, MemoryError):
        explained = reading.prepared.explanations(model, reading.case, request)
        yield Progress(step, 0, 0, "")
        largest = max(reading.places, key=lambda label: reading.places[label].box.size, default=0)
        if largest:
            for _ in explained.prepare(reading.footprint_of(largest)):
                yield Progress(step, 0, 0, "")


def explain_subject(
    reading: Reading,
    model: SegmentationModel,
    subject: Subject,
    request: SaliencyRequest,
    agreed: bool = False,
) -> Iterator[Progress[Answer | TakesLong]]:
    """Explain a lesion or a region; each running map comes with steady limits for its colours.

    What takes more than an hour is not begun, unless it was agreed to. What all maps share is
    made once for a reading, and nothing that is as large as the grid is touched for one more.
    """
    from napari_ies.network.assumptions import agreements_progressively
    from napari_ies.saliency.expected.expected_time import expecting
    from napari_ies.saliency.explanation import explain_request

    if isinstance(subject, Region):
        # Its row in the table says where it lies: found here, once, and not on the GUI thread.
        _ = reading.case.midline
    # Of a reopened session they were not tested yet, and the map's notes say what they gave.
    for testing in agreements_progressively(model, reading.case):
        yield testing.with_result(None)
    mask, expected = reading.footprint_of(subject), None
    explained = reading.prepared.explanations(model, reading.case, request)
    for estimate in expecting(
        model, reading.case, [mask], request, few_steps=SURELY_SHORT, explained=explained
    ):
        yield estimate.with_result(None)
        expected = estimate.result
    if expected is not None and expected.long and not agreed:
        yield Progress("Explaining", 1, 1, "", TakesLong(subject, request, expected))
        return
    reports = explain_request(model, reading.case, mask, request, explained=explained)
    limit, limits, used = 0.0, dict[int, float](), 0
    left, known = TimeLeft(), agreed
    try:
        for report in reports:
            answer = None
            if report.result is not None:
                used = report.result.n_used
                own, ranges = colour_limit(report.result), ranges_of(report.result)
                # The finished map gets its own limits, so that it looks the same however it came.
                if not report.finished:
                    own = limit = _grown(limit, own)
                    limits = {i: _grown(limits.get(i, 0.0), r.limit) for i, r in enumerate(ranges)}
                    ranges = tuple(replace(r, limit=limits[i]) for i, r in enumerate(ranges))
                answer = Answer(
                    subject=subject,
                    request=request,
                    saliency=report.result,
                    limit=own,
                    ranges=ranges,
                    model_name=model_title(model),
                    model_key=model_key(model),
                    finished=report.finished,
                    other_model=model_key(model) != model_key(reading.model),
                )
            seconds = None if expected is None else expected.seconds
            # As the caption counts, whatever the method counts on the way.
            said = f"{used} of {counted(request.n_samples, 'sample')}"
            report = replace(report, said=said if request.is_smoothgrad else "")
            yield report.with_result(answer, seconds=seconds)
            # What is surely short is not timed before, and takes minutes all the same.
            more = left.after(report.with_result(None, seconds=seconds)) or 0.0
            if expected is not None and more >= MINUTE and not known:
                known = True
                takes = TakesLong(subject, request, replace(expected, seconds=more), begun=True)
                yield replace(report, note="").with_result(takes, seconds=seconds)
    finally:
        _close(reports)


def _grown(limit: float, own: float) -> float:
    """Return the limit of a map that refines, which grows by steps and never shrinks."""
    while limit < own:
        limit = own if limit == 0 else limit * LIMIT_STEP
    return limit


def save_answers(
    folder: Path,
    reading: Reading,
    answers: Answers,
    overwrite: bool,
    curves: Sequence[tuple[Curve, SegmentationModel | None]] = (),
) -> Iterator[Progress[Path]]:
    """Save the segmentation, every finished map and every finished curve to a folder.

    Curves, each with its network if that is at hand, are saved as ``napari-ies context`` does.
    """
    from napari_ies.regular_files import file_sha256
    from napari_ies.results import save_saliency, save_segmentation
    from napari_ies.results.provenance import file_record

    total = 1 + len(answers) + bool(curves)
    yield Progress("Saving", 0, total, "results")
    case, model = reading.case, reading.model
    reference = None
    if isinstance(reading.reference, Path):
        there = reading.reference.is_file()
        digest = file_sha256(reading.reference) if there else ""
        reference = file_record(reading.reference.name, digest)
    elif reading.reference is not None:
        reference = file_record("painted in the viewer", "")
    save_segmentation(
        folder,
        reading.segmentation,
        case=case,
        model=model,
        overwrite=overwrite,
        reference=reference,
        verdicts=reading.verdicts,
        notes=reading.notes,
        regions=_judged_regions(reading),
    )
    named: Counter[tuple[Subject, str, str]] = Counter()
    for done, answer in enumerate(answers, start=1):
        yield Progress("Saving", done, total, "results")
        subject, request = answer.subject, answer.request
        smoothgrad = request.method == "smoothgrad"
        name = (subject, request.method, request.aggregation if smoothgrad else "")
        named[name] += 1
        save_saliency(
            folder,
            answer.saliency,
            case=case,
            model=None if answer.other_model else model,
            lesion=subject if isinstance(subject, Lesion) else None,
            region=subject if isinstance(subject, Region) else None,
            run=named[name] if named[name] > 1 else None,
            overwrite=overwrite,
        )
    for curve, network in curves:
        called = curve.subject.called
        said = f"The curve of {called} is not saved: {curve.model_name} is not loaded any more."
        if network is not None:
            _save_curve(folder, reading, curve, network, overwrite)
        yield Progress("Saving", total - 1, total, "results", note="" if network else said)
    yield Progress("Saving", total, total, "results", result=folder)


def _judged_regions(reading: Reading) -> pd.DataFrame | None:
    """Return the regions of which a person says something, as a table; None where there are none.

    The table of lesions has a row for each label, and regions have none.
    """
    from pandas import DataFrame

    from napari_ies.segmentation.lesions import region_row

    probability, rows = reading.segmentation.probability, {}
    for name, region in reading.regions.items():
        verdict, note = reading.verdicts.get(Region(name)), reading.notes.get(Region(name))
        if verdict or note:
            row = region_row(region.mask, probability, reading.case, region.place.box)
            rows[str(name)] = row | {"verdict": verdict, "note": note or None}
    return DataFrame.from_dict(rows, orient="index") if rows else None


def _save_curve(
    folder: Path, reading: Reading, curve: Curve, model: SegmentationModel, overwrite: bool
) -> None:
    from napari_ies.cohort.context.files import CaseContexts
    from napari_ies.cohort.row.targets import Target

    context, subject = curve.context, curve.subject
    store = CaseContexts(folder, model, reading.case, context.request, overwrite=overwrite)
    store.add(Target(subject, reading.footprint_of(subject)), context, reading.match_of(subject))


def _close(reports: Iterator[Any]) -> None:
    close = getattr(reports, "close", None)
    if close is not None:
        close()
