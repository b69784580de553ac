"""What is done for a cohort in a worker thread; knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ies.progress import Progress
from napari_ies.viewer.state.listed.cohort import Cohort
from napari_ies.viewer.state.listed.listing import Listing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_ies.cohort.report.images import Images


@dataclass(frozen=True)
class CaseSession:
    """What came of making a case ready to be opened."""

    number: int
    """Of the lesion that is looked at, among all."""
    folder: Path | None
    """The session of its case; None without its images."""
    missing: str = ""
    """Which images are not there, in one sentence."""


def open_cohort(path: Path) -> Iterator[Progress[Cohort]]:
    """Read a folder of results, and make ready to list it."""
    # Here, not above: the panel opens without pandas.
    from napari_ies.cohort.report.tables_read import read_cohort_progressively
    from napari_ies.viewer.cohort.columns import case_columns, lesion_columns

    read = None
    for report in read_cohort_progressively(path):
        read = report.result
        yield report.with_result(None)
    assert read is not None  # noqa: S101 - the last report has it
    yield Progress("Listing", 0, 0, "")
    folder, found = read
    lesions = Listing(found.lesions, lesion_columns(found))
    cohort = Cohort(folder, found, lesions, Listing(found.cases, case_columns(found)))
    yield Progress("Listing", 1, 1, "cohorts", cohort)


def open_lesion(
    cohort: Cohort, number: int, images: Images, networks: dict[str, Path]
) -> Iterator[Progress[CaseSession]]:
    """Make a session of a lesion's case, as ``napari-ies open`` does.

    Parameters
    ----------
    cohort, number
        Which lesion.
    images
        Finds the patient's images.
    networks
        Files of networks that are at hand, by their SHA-256.
    """
    from napari_ies.cohort.report.as_session import session_of_case_progressively
    from napari_ies.cohort.report.images import ImagesMissingError

    lesion = cohort.lesions.rows[number]
    steps = session_of_case_progressively(
        cohort.folder, lesion.case, images, lesion=lesion.lesion, networks=networks
    )
    try:
        for step in steps:
            made = None if step.result is None else CaseSession(number, step.result)
            yield step.with_result(made)
    except ImagesMissingError as error:
        yield Progress("Reading the case", 1, 1, "cases", CaseSession(number, None, str(error)))
