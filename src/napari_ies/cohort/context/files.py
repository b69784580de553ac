"""Contexts on disk: a table for each case and network, from which one goes on; and all together."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_ies.cohort.context.table import COLUMNS, KEYS, context_rows
from napari_ies.errors import ResultsError
from napari_ies.patient.bids_label import bids_label
from napari_ies.patient.images.volume import stem_of
from napari_ies.regular_files import sha256_of
from napari_ies.results.dataset import anat_folder, source_uris, write_result
from napari_ies.results.names import sidecar_name, stem
from napari_ies.results.provenance import (
    case_provenance,
    checkpoint_provenance,
    other_images,
    other_network,
)
from napari_ies.results.storage.json_files import finishing, read_sidecar
from napari_ies.results.storage.tables import read_table, table_writer
from napari_ies.results.storage.writing import plain
from napari_ies.saliency.footprint import BoxedMask
from napari_ies.versions import versions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_ies.cohort.context.perilesional import Context, ContextRequest
    from napari_ies.cohort.row.targets import Target
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.patient.identity import Identity

SUFFIX = "context"


def network_label(model: SegmentationModel) -> str:
    """Return how a network is called in names of files: its checkpoint's name."""
    name = model.profile.name if model.path is None else stem_of(model.path)
    return bids_label(name) or "unnamed"


def provenance(model: SegmentationModel, case: Case, request: ContextRequest) -> dict[str, Any]:
    """Return what contexts were made from, as a sidecar says it."""
    content: dict[str, Any] = plain(
        {
            "Description": "How sure the network is of lesions of which it sees less around",
            "Network": network_label(model),
            "Growth": asdict(request.growth),
            "Threshold": request.threshold,
            "Forward": request.forward,
            **checkpoint_provenance(model),
            **case_provenance(case),
            "Versions": versions(),
        }
    )
    return content


def table_path(
    folder: Path, whose: Case | Identity, model: SegmentationModel, request: ContextRequest
) -> Path:
    """Return where the contexts of a case by a network, of one growth, are kept."""
    entities = {"model": network_label(model), "desc": request.growth.label}
    name = f"{stem(SUFFIX, whose.subject, whose.visit, **entities)}.tsv"
    return anat_folder(folder, whose) / name


class CaseContexts:
    """The contexts of a case's lesions by one network, in a folder of results.

    Parameters
    ----------
    folder
        Of the results.
    model, case, request
        What they are computed from; the request's sequences do not matter.
    overwrite
        Whether a table of other settings or inputs is replaced.

    Raises
    ------
    ResultsError
        If there is one, and that is not allowed.
    """

    def __init__(
        self,
        folder: Path,
        model: SegmentationModel,
        case: Case,
        request: ContextRequest,
        *,
        overwrite: bool = False,
    ) -> None:
        self._folder, self._case = folder, case
        self.name = table_path(folder, case, model, request).name
        self._content = {
            **provenance(model, case, request),
            "Sources": source_uris(case, folder),
            "Files": {"table": self.name},
        }
        self._rows: dict[tuple[str, str], pd.DataFrame] = {}
        self._lesions: dict[str, Any] = {}
        self._finished: list[dict[str, Any]] = []
        why = self._read(model)
        if why and not overwrite:
            raise ResultsError(
                f"{self.path} is there already, {why}; choose another folder, or allow overwriting "
                "with --overwrite."
            )

    @property
    def path(self) -> Path:
        """The table."""
        return anat_folder(self._folder, self._case) / self.name

    def known(self, target: Target, background: str) -> bool:
        """Whether the context of a lesion is there, for the same voxels."""
        record = self._lesions.get(target.name)
        return (target.name, background) in self._rows and record == _record(target)

    def add(self, target: Target, context: Context, match: str | None = None) -> None:
        """Add the context of a lesion, and write the table, in one step."""
        record = _record(target)
        if self._lesions.get(target.name) != record:
            self._rows = {key: rows for key, rows in self._rows.items() if key[0] != target.name}
        self._lesions[target.name] = record
        rows = context_rows(context, target.name, match, self._case.grid.voxel_mm3)
        self._rows[target.name, context.request.title] = rows
        notes = [*self._content["Notes"], *context.notes]
        self._content["Notes"] = list(dict.fromkeys(notes))
        self._write()

    def is_finished(self, asked: Mapping[str, Any]) -> bool:
        """Whether all that was asked for in these words was computed."""
        return plain(asked) in self._finished

    def finish(self, asked: Mapping[str, Any]) -> None:
        """Say that all that was asked for was computed, even if there was no such lesion."""
        if not self.is_finished(asked):
            self._finished.append(plain(asked))
            self._write()

    @property
    def rows(self) -> pd.DataFrame:
        """All that is stored, with the columns of a table of contexts."""
        if not self._rows:
            return pd.DataFrame(columns=list(COLUMNS))
        return pd.concat(self._rows.values(), ignore_index=True)

    def _write(self) -> None:
        table = self.rows.set_index("lesion")
        content = COLUMNS | self._content
        content |= {"Lesions": self._lesions, "Finished": self._finished}
        write_result(
            self._folder,
            self._case,
            {self.name: table_writer(table)},
            {self.name: content},
            overwrite=True,
            flat=False,
        )

    def _read(self, model: SegmentationModel) -> str:
        """Take what is there, if it is of the same kind; else say what it is."""
        if not self.path.exists():
            return ""
        try:
            content, table = finishing(self.path.parent, lambda: read_contexts(self.path))
        except ResultsError:
            return "changed or damaged since"
        for key in ("Growth", "Threshold", "Forward"):
            if content.get(key) != self._content[key]:
                return "computed with other settings"
        if other_images(self._case, content.get("Images") or ()):
            return "of other images"
        if other_network(model, content):
            return "of another network"
        self._lesions = dict(content.get("Lesions") or {})
        self._finished = list(content.get("Finished") or ())
        for (lesion, background), rows in table.groupby(list(KEYS), sort=False):
            self._rows[str(lesion), str(background)] = rows
        return ""


def read_contexts(path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Read the table of a case, with what its sidecar says.

    Raises
    ------
    ResultsError
        If it is not there as it was written.
    """
    content = read_sidecar(path.with_name(sidecar_name(path.name)))
    digests = content.get("SHA256")
    digest = digests.get(path.name) if isinstance(digests, dict) else None
    if not isinstance(digest, str):
        raise ResultsError(f"{path} has no SHA-256 beside it; compute it again.")
    try:
        table = read_table(path, digest)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read as a table of contexts.") from error
    if missing := [name for name in COLUMNS if name not in table]:
        raise ResultsError(f"{path} has no column {missing[0]}; compute it again.")
    return content, table.astype({"lesion": str})


def _record(target: Target) -> dict[str, Any]:
    mask = BoxedMask.of(np.asarray(target.footprint))
    where = (*mask.box.start, *mask.box.stop)
    digest = sha256_of(np.packbits(mask.values).tobytes() + repr(where).encode())
    found: dict[str, Any] = plain({"Voxels": int(mask.values.sum()), "SHA256": digest})
    return found


def collected(folder: Path) -> pd.DataFrame:
    """Return all contexts of a folder of results, with patient, visit, network and growth.

    Raises
    ------
    ResultsError
        If a table cannot be read.
    """
    tables, empty = [], False
    for path in sorted(folder.glob(f"sub-*/**/*_{SUFFIX}.tsv")):
        content, table = read_contexts(path)
        if table.empty:
            empty = True
            continue
        entities = dict(part.partition("-")[::2] for part in path.name.split("_")[:-1])
        growth = entities.get("desc", "")
        front = [entities.get("sub"), entities.get("ses", ""), content.get("Network"), growth]
        for at, name in enumerate(("subject", "visit", "network", "growth")):
            table.insert(at, name, front[at])
        tables.append(table)
    if not tables and empty:
        raise ResultsError(
            f"No case in {folder} has a lesion of the kind that was asked for; choose others."
        )
    if not tables:
        raise ResultsError(
            f"There is no context in {folder}; expected tables that napari-ies context wrote."
        )
    return pd.concat(tables, ignore_index=True)
