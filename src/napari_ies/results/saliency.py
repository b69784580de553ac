"""A saliency on disk: images as NIfTI, numbers as TSV, a sidecar beside each."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import ResultsError
from napari_ies.results.belonging import told_apart
from napari_ies.results.dataset import source_uris, write_result
from napari_ies.results.names import saliency_stem
from napari_ies.results.provenance import case_provenance
from napari_ies.results.sidecars import BoxedGridContent, SaliencyContent, read_content
from napari_ies.results.storage.images import OnGrid, image_writer
from napari_ies.results.storage.json_files import finishing, sidecar_of
from napari_ies.results.storage.tables import table_writer
from napari_ies.saliency.provenance import network_provenance
from napari_ies.saliency.reading_off.distance_profile import describe_profile, profile
from napari_ies.saliency.reading_off.measures import describe_measures, measure
from napari_ies.saliency.reading_off.surroundings import surroundings
from napari_ies.saliency.saliency import NetworkMaps, Saliency

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_ies.geometry.box import Box
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.results.storage.writing import Writer
    from napari_ies.saliency.request import SaliencyRequest


def saliency_files(
    case: Case, request: SaliencyRequest, sequences: Sequence[str], **whose: Any
) -> dict[str, Any]:
    """Name the files of a saliency, without writing anything.

    Parameters
    ----------
    case, request, **whose
        See :func:`~napari_ies.results.names.saliency_stem`, of which `whose` are `lesion`,
        `region` and `run`; at most one of lesion and region.
    sequences
        The sequences of the maps; Grad-CAM++ has one map, whatever its name.

    Returns
    -------
    ``{"maps": [one name per sequence], "standard_error": [the same], "footprint": name}``, names
    with ``.nii.gz``, and ``"measures"`` and ``"profile"``, names with ``.tsv``; beside each stands
    a JSON of the same stem. ``"network"`` and ``"network_standard_error"`` are the maps and their
    errors on the network's own grid, where it has one, and ``"spread"`` how far the maps of an
    ensemble's members lie apart.

    Raises
    ------
    ResultsError
        If a name cannot be formed, or two sequences would share one.
    """
    lesion, region = whose.get("lesion"), whose.get("region")
    if lesion is not None and region is not None:
        raise ResultsError(
            f"Both lesion {lesion} and region {region} were named; a map belongs to one of them."
        )

    def name(extension: str = ".nii.gz", **entities: Any) -> str:
        return saliency_stem(case, request, **whose, **entities) + extension

    maps = [name(sequence=sequence) for sequence in sequences]
    if len(set(maps)) != len(maps):
        raise ResultsError(
            f"The sequence names {', '.join(sequences)} give the same file name, in which only "
            "letters and digits count; rename one of them."
        )
    return {
        "maps": maps,
        **{
            group: [name(sequence=s, desc=desc) for s in sequences]
            for group, desc in _DESCS.items()
        },
        "footprint": name(desc="footprint", suffix="mask"),
        "measures": name(".tsv", suffix="measures"),
        "profile": name(".tsv", suffix="profile"),
    }


def every_name(names: Mapping[str, Any]) -> list[str]:
    """List the files that :func:`saliency_files` names, without the JSON beside each."""
    singles = [names[kind] for kind in ("footprint", "measures", "profile")]
    images = [one for group in ("maps", *_DESCS) for one in names.get(group, ())]
    return [*images, *singles]


def save_saliency(
    folder: str | Path,
    saliency: Saliency,
    *,
    case: Case,
    model: SegmentationModel | None = None,
    lesion: int | None = None,
    region: str | None = None,
    run: int | None = None,
    overwrite: bool = False,
    flat: bool = False,
) -> list[Path]:
    """Write a saliency to a folder, on the case's whole grid and with its affine.

    Parameters
    ----------
    folder
        Made if it is not there; the files go to ``sub-XX[/ses-YY]/anat`` in it, as BIDS has it.
        Where results of other images lie under the same labels, the patient gets another one
        (:func:`~napari_ies.results.belonging.told_apart`).
    saliency
        Its maps and standard errors are written as float32, its footprint as a mask of 0 and 1,
        its measures and its profile as tables (TSV, ``n/a`` where a value is missing); beside
        each file a JSON says how it was made, describes the columns of a table, and lets
        :func:`load_saliency` read it.
    case
        The patient it was computed on: names the files, and the images in the JSON.
    model
        The network; for a saliency whose provenance does not name its own.
    lesion, region
        Label of the lesion, or name of another region; at most one of them.
    run
        Number for the names where another map of the same lesion, method and aggregation, with
        other settings, is kept beside this one.
    overwrite
        Whether files of the same names are replaced.
    flat
        Whether the files go into the folder itself, which is then no BIDS dataset: a session.

    Returns
    -------
    The paths: the maps in the order of the sequences, then standard errors, footprint, measures,
    profile.

    Raises
    ------
    ResultsError
        If a file is there and `overwrite` is not set, the case is another one, or the disk
        refuses. No file is half written then.
    """
    if not saliency.grid.same_as(case.grid):
        raise ResultsError(
            f"The saliency (size {saliency.shape}) does not lie on the grid of the case (size "
            f"{case.shape}); give the case that it was computed on."
        )
    root = None if flat else Path(folder).expanduser()
    if root is not None:
        case, _ = told_apart(root, case)
    whose = {"lesion": lesion, "region": region}
    names = saliency_files(case, saliency.request, saliency.sequences, run=run, **whose)
    images = _images(saliency, case)
    obsolete = [one for group in _DESCS if group not in images for one in names.pop(group)]
    common = _description(saliency, case, model, lesion, region) | {
        "Sources": source_uris(case, root),
        "Files": names,
    }
    files: dict[str, Writer] = {}
    sidecars: dict[str, dict[str, Any]] = {}
    for group, (arrays, place, box) in images.items():
        for sequence, name, array in zip(saliency.sequences, names[group], arrays, strict=True):
            files[name] = image_writer(array, place, box)
            described = _WORDS[group].format(sequence=sequence)
            own = {"Description": described, "Sequence": sequence, "Units": saliency.unit}
            sidecars[name] = own | common
    footprint = names["footprint"]
    files[footprint] = image_writer(
        saliency.footprint.astype(np.uint8), OnGrid.of(case), saliency.box
    )
    sidecars[footprint] = {"Description": _WORDS["footprint"], "Type": "ROI"} | common
    around = surroundings(saliency)
    measures = measure(saliency, around)
    meaning = describe_measures(saliency.unit)
    there = {name: meaning[name] for name in meaning if name in ("sequence", *measures)}
    for group, table, columns in (
        ("measures", measures, there),
        ("profile", profile(saliency, around), describe_profile(saliency)),
    ):
        files[names[group]] = table_writer(table)
        sidecars[names[group]] = columns | common
    return write_result(
        folder, case, files, sidecars, overwrite=overwrite, flat=flat, obsolete=obsolete
    )


def load_saliency(path: str | Path) -> Saliency:
    """Read back what :func:`save_saliency` wrote: all sequences of it, bit for bit.

    Parameters
    ----------
    path
        Any one of its files: a map, a standard error, the footprint, or a JSON beside them.

    Raises
    ------
    ResultsError
        If a file of it is missing, damaged or not written by napari-ies.
    """
    return read_saliency(path)[0]


def read_saliency(
    path: str | Path, *, with_errors: bool = True
) -> tuple[Saliency, SaliencyContent]:
    """Read a saliency with what its sidecar says; see :func:`load_saliency`.

    Without its standard errors, if they are not asked for, in half the time.
    """
    path = Path(path).expanduser()
    return finishing(path.parent, lambda: _read(path, with_errors))


def _read(path: Path, with_errors: bool) -> tuple[Saliency, SaliencyContent]:
    sidecar = sidecar_of(path)
    content, _ = read_content(sidecar, SaliencyContent)
    names, grid = content.files, content.grid

    def cropped(name: str, dtype: type[np.generic], on: BoxedGridContent = grid) -> Any:
        image = path.with_name(name)
        whole, _ = content.image(image, dtype, on.size)
        part = np.ascontiguousarray(whole[on.slices])
        if np.count_nonzero(whole) != np.count_nonzero(part):
            raise ResultsError(
                f"{image} does not belong to {sidecar.name}: it has values outside the box given "
                "there; compute the result again."
            )
        if not np.isfinite(part).all():
            raise ResultsError(f"{image} holds values that no map has; compute the result again.")
        return part

    footprint = cropped(names.footprint, np.uint8) > 0
    if not footprint.any():
        raise ResultsError(
            f"{path.with_name(names.footprint)} marks no voxel; compute the result again."
        )
    wanted = names.standard_error if with_errors else []
    errors = [cropped(name, np.float32) for name in wanted]
    spreads = [cropped(name, np.float32) for name in names.spread if with_errors]
    there = None
    if names.network and content.network_grid is not None:
        own = content.network_grid
        maps = np.stack([cropped(name, np.float32, own) for name in names.network])
        wanted = names.network_standard_error if with_errors else []
        spread = [cropped(name, np.float32, own) for name in wanted]
        deviations = np.stack(spread) if spread else None
        there = NetworkMaps(own.size, own.matrix, own.slices, maps, deviations)
    saliency = Saliency(
        request=content.asked,
        sequences=tuple(content.sequences),
        shape=grid.size,
        affine=grid.matrix,
        box=grid.slices,
        cropped=np.stack([cropped(name, np.float32) for name in names.maps]),
        cropped_standard_error=np.stack(errors) if errors else None,
        footprint=footprint,
        n_used=content.samples_used,
        provenance=dict(content.provenance),
        cropped_spread=np.stack(spreads) if spreads else None,
        in_network=there,
    )
    return saliency, content


def _images(saliency: Saliency, case: Case) -> dict[str, tuple[NDArray[np.float32], OnGrid, Box]]:
    """Return the maps of each group that there is, where they lie, and the box they fill."""
    here, own = OnGrid.of(case), saliency.in_network
    images = {"maps": (saliency.cropped, here, saliency.box)}
    if saliency.cropped_standard_error is not None:
        images["standard_error"] = saliency.cropped_standard_error, here, saliency.box
    if saliency.cropped_spread is not None:
        images["spread"] = saliency.cropped_spread, here, saliency.box
    if own is not None:
        place = OnGrid(own.shape, own.affine, case.space)
        images["network"] = (own.cropped, place, own.box)
        if own.cropped_standard_error is not None:
            images["network_standard_error"] = (own.cropped_standard_error, place, own.box)
    return images


_DESCS = {
    "standard_error": "standarderror",
    "spread": "memberspread",
    "network": "network",
    "network_standard_error": "networkstandarderror",
}
"""What tells the images of a saliency apart from its maps, by group."""
_ON_ITS_GRID = "on the network's own grid, as it was computed: the map beside it is interpolated"
_WORDS = {
    "maps": "Instance-level saliency of the lesion's logit, sequence {sequence}",
    "standard_error": "Monte-Carlo standard error of the saliency, sequence {sequence}",
    "spread": "Standard deviation between the maps of the ensemble's members, sequence {sequence}",
    "network": f"Saliency {_ON_ITS_GRID}, sequence {{sequence}}",
    "network_standard_error": f"Monte-Carlo standard error {_ON_ITS_GRID}, sequence {{sequence}}",
    "footprint": "The voxels whose logits are explained",
}


def _description(
    saliency: Saliency,
    case: Case,
    model: SegmentationModel | None,
    lesion: int | None,
    region: str | None,
) -> dict[str, Any]:
    """Return what the sidecars of all files of one saliency say alike."""
    provenance = dict(saliency.provenance)
    if model is not None:
        provenance.setdefault("checkpoint", network_provenance(model))
    return {
        **case_provenance(case),
        "Lesion": lesion,
        "Region": region,
        "FootprintVoxels": int(np.count_nonzero(saliency.footprint)),
        "SamplesUsed": saliency.n_used,
        "Request": asdict(saliency.request),
        "Sequences": list(saliency.sequences),
        "Grid": {
            "Shape": list(saliency.shape),
            "Affine": saliency.affine.tolist(),
            "Box": [[side.start, side.stop] for side in saliency.box],
        },
        **_network_grid(saliency.in_network),
        "Provenance": provenance,
    }


def _network_grid(own: NetworkMaps | None) -> dict[str, Any]:
    if own is None:
        return {}
    box = [[side.start, side.stop] for side in own.box]
    grid = {"Shape": list(own.shape), "Affine": own.affine.tolist(), "Box": box}
    return {"NetworkGrid": grid}
