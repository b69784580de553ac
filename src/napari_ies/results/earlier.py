"""Maps that are there already: whether they are what would be computed again."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_ies.errors import ResultsError
from napari_ies.geometry.grid import Grid
from napari_ies.regular_files import file_sha256
from napari_ies.results.names import sidecar_name
from napari_ies.results.saliency import every_name
from napari_ies.results.sidecars import SaliencyContent, read_content
from napari_ies.results.storage.tables import read_table
from napari_ies.results.storage.writing import plain
from napari_ies.saliency.case_explanations import completed
from napari_ies.saliency.provenance import provenance

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    from numpy.typing import ArrayLike

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.saliency.request import SaliencyRequest

_COMPARED = {
    "images": "of other images",
    "checkpoint": "of another network",
    "network_grid": "of another network",
    "precision": "computed in another precision",
}


class Hindrance(NamedTuple):
    """A file that is there and is not what would be computed, and what it is instead."""

    name: str
    why: str


class EarlierMaps:
    """The maps of one case by one request that a folder holds.

    Parameters
    ----------
    place
        The folder.
    model, case, request
        What would be computed.
    same_device
        Whether a map that another device computed is another map.
    """

    def __init__(
        self,
        place: Path,
        model: SegmentationModel,
        case: Case,
        request: SaliencyRequest,
        *,
        same_device: bool = False,
    ) -> None:
        self._place, self._model, self._case = place, model, case
        self._request, self._same_device = completed(request, model), same_device

    def find(
        self, names: Mapping[str, Any], footprint: ArrayLike, files: Mapping[str, Any]
    ) -> tuple[pd.DataFrame | None, Hindrance | None]:
        """Look for a map.

        Parameters
        ----------
        names
            As :func:`~napari_ies.results.saliency.saliency_files` gives them.
        footprint
            bool (X, Y, Z): what would be explained.
        files
            Records of the files that the footprint comes from.

        Returns
        -------
        measures, hindrance
            Its measures, if it is there whole and is what would be computed; else what stands in
            the way, if anything does.
        """
        there = [name for name in every_name(names) if (self._place / name).exists()]
        if not there:
            return None, None
        try:
            why = self._why_other(names, footprint, files)
            if not why:
                return read_measures(self._place / names["measures"]), None
        except (ResultsError, OSError, ValueError):
            why = "changed or damaged since"
        return None, Hindrance(there[0], why)

    def _why_other(
        self, names: Mapping[str, Any], footprint: ArrayLike, files: Mapping[str, Any]
    ) -> str:
        """Say what sets the map that is there apart from the one that would be computed."""
        sidecar = self._place / sidecar_name(names["footprint"])
        content, _ = read_content(sidecar, SaliencyContent)
        if content.sha256 is None:
            return "by a version that recorded no hashes"
        asked, wanted = content.asked, self._request
        if asked != wanted:
            if replace(asked, noise_version=wanted.noise_version) == wanted:
                version = asked.noise_version
                return f"computed with the noise that --noise-version {version} gives again"
            return "computed with other settings"
        for key, why in _COMPARED.items():
            if content.provenance.get(key) != self._expected[key]:
                return why
        if self._version(content.provenance) != self._version(self._expected):
            return "by another version of napari-ies"
        if self._same_device and content.provenance.get("device") != self._expected["device"]:
            return "computed elsewhere"
        if (content.provenance.get("footprint_from") or {}) != plain(files):
            return "of lesions from another file"
        for name, digest in content.sha256.items():
            beside, _ = read_content(self._place / sidecar_name(name), SaliencyContent)
            if file_sha256(self._place / name) != digest or beside.sha256 != content.sha256:
                return "changed or damaged since"
        grid, mask = content.grid, content.files.footprint
        same_grid = Grid.of(grid.size, grid.matrix).same_as(self._case.grid)
        known = same_grid and np.array_equal(
            content.image(self._place / mask, np.uint8)[0] > 0,
            np.asarray(footprint),
        )
        return "" if known else "of other voxels"

    @cached_property
    def _expected(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(provenance(self._model, self._case, self._request.precision))
        return found

    @staticmethod
    def _version(facts: Mapping[str, Any]) -> object:
        versions = facts.get("versions")
        return versions.get("napari-ies") if isinstance(versions, dict) else None


def read_measures(path: Path) -> pd.DataFrame:
    """Read the measures of a saved map, a row per sequence.

    Raises
    ------
    ResultsError
        If it is no such table.
    """
    try:
        return read_table(path).set_index("sequence")
    except (OSError, ValueError, KeyError) as error:
        raise ResultsError(f"{path} cannot be read as a table of measures.") from error
