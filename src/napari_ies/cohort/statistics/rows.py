"""What the maps of a folder of results say: a row per lesion, method and sequence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_ies.errors import ResultsError
from napari_ies.results.names import sidecar_name
from napari_ies.results.segmentation import segmentation_files
from napari_ies.results.sidecars import SaliencyContent, SegmentationContent, read_content
from napari_ies.results.storage.tables import read_table
from napari_ies.segmentation.lesions import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHO = ("subject", "visit", "lesion")
"""Which lesion of which patient."""
MAP = ("method", "aggregation", "sequence")
"""Which map of it."""
NO_MATCH = "n/a"
"""In place of TP, FP or FN where there was no reference."""
_UNKNOWN: dict[str, Any] = dict.fromkeys(COLUMNS, np.nan) | {"match": NO_MATCH}
"""What is said of a lesion that is in no table."""


@dataclass(frozen=True, eq=False)
class SavedMap:
    """A map of a lesion in a folder of results."""

    path: Path
    """Its table of measures."""
    content: SaliencyContent
    """What its sidecar says."""

    @property
    def who(self) -> dict[str, Any]:
        """Patient, visit and lesion."""
        entities = dict(part.partition("-")[::2] for part in self.path.name.split("_")[:-1])
        visit = entities.get("ses", "")
        return dict(zip(WHO, (entities["sub"], visit, self.content.lesion), strict=True))

    @property
    def kind(self) -> dict[str, str]:
        """Method and aggregation."""
        asked = self.content.asked
        aggregation = asked.aggregation if asked.is_smoothgrad else NO_MATCH
        return {"method": asked.method, "aggregation": aggregation}

    def table(self, name: str | None) -> pd.DataFrame:
        """Read one of its tables.

        Raises
        ------
        ResultsError
            If it is not as it was written.
        """
        if name is None:
            raise ResultsError(f"{self.path} is of a version without tables; compute it again.")
        path = self.path.with_name(name)
        try:
            return read_table(path, self.content.digest(name))
        except (OSError, ValueError) as error:
            raise ResultsError(f"{path} cannot be read; copy or compute it again.") from error


def saved_maps(folder: Path) -> Iterator[SavedMap]:
    """Yield the maps of all lesions in a folder of results, in the order of their names.

    One case's own folder serves, too. Regions that are no lesions are left out, and so are the maps
    of sessions, which are copies.

    Raises
    ------
    ResultsError
        If one is not as it was written.
    """
    patterns = ("sub-*_measures.tsv", "sub-*/**/*_measures.tsv")
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
        content, _ = read_content(path.with_name(sidecar_name(path.name)), SaliencyContent)
        if content.lesion is not None:
            yield SavedMap(path, content)


def lesion_rows(folder: Path) -> pd.DataFrame:
    """Return what was measured in a folder of results.

    Returns
    -------
    A row per lesion, method, aggregation and sequence, with ``subject``, ``visit``, ``lesion``;
    the columns of the table of lesions (``match`` is n/a without a reference, and all else not
    known without such a table, as of lesions from elsewhere); ``method``,
    ``aggregation``, ``sequence`` and all measures; and ``file``, the table of measures, as a path
    in the folder.

    Raises
    ------
    ResultsError
        If there is no map, or a table is not as it was written.
    """
    rows: list[dict[str, Any]] = []
    lesions = lru_cache(maxsize=2)(_lesions)
    for saved in saved_maps(folder):
        who = saved.who
        known = lesions(saved.path.parent, who["subject"], who["visit"])
        described = known.get(who["lesion"], _UNKNOWN)
        file = saved.path.relative_to(folder).as_posix()
        for measured in saved.table(saved.content.files.measures).to_dict("records"):
            row = who | described | saved.kind | measured
            rows.append({str(name): value for name, value in row.items()} | {"file": file})
    if not rows:
        raise ResultsError(
            f"There is no map of a lesion in {folder}; expected a folder that napari-ies cohort or "
            "explain wrote."
        )
    return pd.DataFrame(rows)


def profile_rows(folder: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the radial profiles of the maps of :func:`lesion_rows`.

    Returns
    -------
    A row per lesion, method, aggregation, sequence and bin: these, ``match``, ``from_mm``,
    ``to_mm``, ``voxels`` and ``value``, the mean of the signed map in the bin.
    """
    match = dict(zip(rows["file"], rows["match"], strict=True))
    tables = []
    for saved in saved_maps(folder):
        table = saved.table(saved.content.files.profile)
        names = [name for name in saved.content.sequences if name in table]
        long = table.melt(
            ["from_mm", "to_mm", "voxels"], names, var_name="sequence", value_name="value"
        )
        file = saved.path.relative_to(folder).as_posix()
        for name, value in {**saved.who, **saved.kind, "match": match.get(file)}.items():
            long[name] = value
        tables.append(long)
    return pd.concat(tables, ignore_index=True)


def _lesions(place: Path, subject: str, visit: str) -> dict[int, dict[str, Any]]:
    """Return the rows of a case's table of lesions by their labels; none without a table."""
    path = place / segmentation_files(subject, visit)["lesions"]
    if not path.exists():
        return {}
    sidecar, digest = path.with_name(sidecar_name(path.name)), ""
    if sidecar.exists():
        # A match that somebody changed would be counted as the program's.
        digest = read_content(sidecar, SegmentationContent)[0].digest(path.name)
    try:
        table = read_table(path, digest)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read as the table of lesions.") from error
    key = "index" if "index" in table else "label"
    if key not in table:
        raise ResultsError(f"{path} has no column named index; segment again.")
    if not all(isinstance(label, int) for label in table[key].tolist()):
        raise ResultsError(
            f"{path} was changed: {key} holds what is no lesion's number; segment again."
        )
    kept = [name for name in COLUMNS if name in table]
    return {
        row[key]: _UNKNOWN | {name: row[name] for name in kept} for row in table.to_dict("records")
    }
