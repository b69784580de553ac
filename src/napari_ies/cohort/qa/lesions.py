"""The lesions of folders of results with the features of their maps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_ies.cohort.qa.features import feature_names, map_features
from napari_ies.cohort.qa.map_kind import MapKind
from napari_ies.cohort.statistics.rows import NO_MATCH, WHO, lesion_rows, saved_maps
from napari_ies.errors import CohortError, ResultsError
from napari_ies.progress import Progress
from napari_ies.regular_files import sha256_of
from napari_ies.results.saliency import read_saliency

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_ies.results.sidecars import SaliencyContent

ORDER = ("subject", "visit", "case", "lesion", "file")
"""What tells lesions apart: in this order they come, whatever folder they come from."""
ABOUT = ("match", "mean_probability")
"""Columns of the table of lesions that are kept."""


@dataclass(frozen=True, eq=False)
class FoundMap:
    """A map of a lesion that is in a folder of results, not read yet."""

    path: Path
    kind: MapKind
    who: Mapping[str, Any]
    """With ``case``, ``file`` and what the table of lesions says."""


@dataclass(frozen=True, eq=False)
class MeasuredLesions:
    """Lesions with the features of their maps, all of one kind."""

    kind: MapKind
    rows: pd.DataFrame
    """A row per lesion: :data:`ORDER`, ``folder``, :data:`ABOUT`, and the features."""

    @property
    def features(self) -> pd.DataFrame:
        """Float64, a column per feature."""
        return self.rows[feature_names(self.kind.sequences)].astype("float64")


def found_maps(folder: Path) -> list[FoundMap]:
    """List the maps of lesions in a folder of results.

    Raises
    ------
    CohortError
        If there is none.
    ResultsError
        If one is not as it was written.
    """
    if not folder.is_dir():
        raise CohortError(f"{folder} is no folder; give a folder that napari-ies cohort wrote.")
    kinds: dict[str, MapKind] = {}
    found = []
    for saved in saved_maps(folder):
        content = saved.content
        kind = MapKind.of(content.asked, content.sequences, content.provenance)
        # Kinds are few and maps are many: equal ones are kept once.
        kind = kinds.setdefault(kind.model_dump_json(), kind)
        file = saved.path.relative_to(folder).as_posix()
        who = saved.who | {"case": case_key(content), "file": file, "folder": str(folder)}
        found.append(FoundMap(saved.path, kind, who))
    if not found:
        raise CohortError(
            f"There is no map of a lesion in {folder}; expected a folder that napari-ies cohort or "
            "explain wrote."
        )
    return found


def case_key(content: SaliencyContent) -> str:
    """Return what tells a case's images from others: of their SHA-256; empty if not known."""
    return images_key(image.sha256 for image in content.images)


def images_key(digests: Iterable[str | None]) -> str:
    """Return what tells images from others by their SHA-256; empty if one is not known."""
    known = sorted(digest or "" for digest in digests)
    return sha256_of(" ".join(known).encode())[:16] if known and all(known) else ""


def with_matches(folder: Path, found: Sequence[FoundMap]) -> list[FoundMap]:
    """Add to a folder's maps what its tables of lesions say of each."""
    table = lesion_rows(folder).drop_duplicates("file").set_index("file")
    about = {name: table[name].to_dict() for name in ABOUT if name in table}
    missing = {"match": NO_MATCH, "mean_probability": float("nan")}
    return [
        FoundMap(
            one.path,
            one.kind,
            {
                **one.who,
                **{
                    name: about.get(name, {}).get(one.who["file"], default)
                    for name, default in missing.items()
                },
            },
        )
        for one in found
    ]


def one_kind(found: Sequence[FoundMap], method: str | None, aggregation: str | None) -> MapKind:
    """Return the kind that all maps of a method and aggregation have.

    Raises
    ------
    CohortError
        If none was asked for and there are several, none is there, or their settings differ.
    """
    called = Counter((one.kind.method, one.kind.aggregation) for one in found)
    fitting = {
        key
        for key in called
        if method in (None, key[0]) and (aggregation in (None, key[1]) or key[1] == NO_MATCH)
    }
    there = ", ".join(
        f"{name}{'' if way == NO_MATCH else f' {way}'} ({count})"
        for (name, way), count in sorted(called.items())
    )
    if len(fitting) != 1:
        what = "Several kinds of maps are" if fitting else "No such map is"
        raise CohortError(
            f"{what} there ({there}); say with --method and --aggregation which one a model is to "
            "be about."
        )
    maps = [one for one in found if (one.kind.method, one.kind.aggregation) in fitting]
    for one in maps[1:]:
        apart = maps[0].kind.unlike(one.kind)
        if apart is not None:
            what, here, there = apart
            raise CohortError(
                f"The maps are of two kinds: {maps[0].path} has {what} {here} and {one.path} "
                f"{there}; give folders whose maps were computed alike."
            )
    return maps[0].kind


def check_each_once(found: Iterable[FoundMap]) -> None:
    """Refuse lesions that are there twice: they would be their own neighbours.

    Raises
    ------
    CohortError
        That names the first two.
    """
    seen: dict[tuple[Any, ...], FoundMap] = {}
    for one in found:
        key = tuple(one.who[name] for name in ("case", *WHO))
        other = seen.setdefault(key, one)
        if other is not one:
            raise CohortError(
                f"The same lesion is there twice: {other.path} and {one.path}; give each lesion's "
                "map once."
            )


def measuring(found: Sequence[FoundMap]) -> Iterator[Progress[MeasuredLesions]]:
    """Read maps of one kind, and measure their features.

    Yields
    ------
    A report per map; the last one holds the lesions, in the order of :data:`ORDER`.

    Raises
    ------
    ResultsError
        If one is not as it was written.
    """
    rows = []
    ordered = sorted(found, key=lambda one: tuple(str(one.who[name]) for name in ORDER))
    for number, one in enumerate(ordered):
        yield Progress("Measuring maps", number, len(ordered), "maps")
        try:
            saliency, _ = read_saliency(one.path, with_errors=False)
        except OSError as error:
            raise ResultsError(f"{one.path} cannot be read; copy or compute it again.") from error
        rows.append({**one.who, **map_features(saliency)})
    # By number and not as texts: lesion 10 comes after lesion 9.
    table = pd.DataFrame(rows).sort_values(list(ORDER), kind="stable", ignore_index=True)
    measured = MeasuredLesions(ordered[0].kind, table)
    yield Progress("Measuring maps", len(ordered), len(ordered), "maps", measured)
