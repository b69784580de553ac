"""A saliency on disk: images as NIfTI, numbers as TSV, a sidecar beside each."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import ResultsError, SaliencyError
from napari_ies.measures import describe_measures, measure
from napari_ies.profile import describe_profile, profile
from napari_ies.results.belonging import told_apart
from napari_ies.results.dataset import anat_folder, describe_dataset, source_uris
from napari_ies.results.names import saliency_stem, sidecar_name
from napari_ies.results.provenance import case_provenance, request_provenance
from napari_ies.results.storage import (
    expected_content,
    image_writer,
    json_writer,
    prepare,
    read_image,
    read_sidecar,
    space_code,
    write,
)
from napari_ies.results.tables import table_writer
from napari_ies.saliency.provenance import network_provenance
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency
from napari_ies.surroundings import surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_ies.case import Case
    from napari_ies.checkpoints.model import SegmentationModel


def saliency_files(
    subject: str,
    request: SaliencyRequest,
    sequences: Sequence[str],
    *,
    visit: str = "",
    lesion: int | None = None,
    region: str | None = None,
    run: int | None = None,
) -> dict[str, Any]:
    """Name the files of a saliency, without writing anything.

    Parameters
    ----------
    subject
        Label of the patient.
    request
        Method and aggregation enter the names.
    sequences
        The sequences of the maps; Grad-CAM++ has one map, whatever its name.
    visit
        Label of the visit, if there is one.
    lesion, region
        Label of the lesion or name of the region; at most one of them.
    run
        Tells maps apart that differ in settings no other part of the name says.

    Returns
    -------
    ``{"maps": [one name per sequence], "standard_error": [the same], "footprint": name}``, names
    with ``.nii.gz``, and ``"measures"`` and ``"profile"``, names with ``.tsv``; beside each stands
    a JSON of the same stem.

    Raises
    ------
    ResultsError
        If a name cannot be formed, or two sequences would share one.
    """
    if lesion is not None and region is not None:
        raise ResultsError(
            f"Both lesion {lesion} and region {region} were named; a map belongs to one of them."
        )

    def name(extension: str = ".nii.gz", **entities: Any) -> str:
        stem = saliency_stem(
            subject, request, visit=visit, lesion=lesion, region=region, run=run, **entities
        )
        return f"{stem}{extension}"

    maps = [name(sequence=sequence) for sequence in sequences]
    if len(set(maps)) != len(maps):
        raise ResultsError(
            f"The sequence names {', '.join(sequences)} give the same file name, in which only "
            "letters and digits count; rename one of them."
        )
    return {
        "maps": maps,
        "standard_error": [name(sequence=s, desc="standarderror") for s in sequences],
        "footprint": name(desc="footprint", suffix="mask"),
        "measures": name(".tsv", suffix="measures"),
        "profile": name(".tsv", suffix="profile"),
    }


def every_name(names: Mapping[str, Any]) -> list[str]:
    """List the files that :func:`saliency_files` names, without the JSON beside each."""
    singles = [names[kind] for kind in ("footprint", "measures", "profile")]
    return [*names["maps"], *names["standard_error"], *singles]


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
    names = saliency_files(
        case.subject,
        saliency.request,
        saliency.sequences,
        visit=case.visit,
        lesion=lesion,
        region=region,
        run=run,
    )
    errors = saliency.standard_error
    obsolete = names.pop("standard_error") if errors is None else []
    common = _description(saliency, case, model, lesion, region) | {
        "Sources": source_uris(case, root),
        "Files": names,
    }
    space = space_code(case)

    files, sidecars = {}, {}
    groups = {"maps": saliency.maps} | ({} if errors is None else {"standard_error": errors})
    for group, arrays in groups.items():
        for sequence, name, array in zip(saliency.sequences, names[group], arrays, strict=True):
            files[name] = image_writer(array, case.affine, space)
            sidecars[sidecar_name(name)] = json_writer(
                {
                    "Description": _WORDS[group].format(sequence=sequence),
                    "Sequence": sequence,
                    "Units": saliency.unit,
                }
                | common
            )
    footprint = names["footprint"]
    files[footprint] = image_writer(saliency.mask.astype(np.uint8), case.affine, space)
    sidecars[sidecar_name(footprint)] = json_writer(
        {"Description": _WORDS["footprint"], "Type": "ROI"} | common
    )
    around = surroundings(saliency)
    for group, table, columns in (
        ("measures", measure(saliency, around), describe_measures(saliency)),
        ("profile", profile(saliency, around), describe_profile(saliency)),
    ):
        files[names[group]] = table_writer(table)
        sidecars[sidecar_name(names[group])] = json_writer(columns | common)

    place = folder if root is None else anat_folder(root, case)
    written = write(
        prepare(place, [*files, *sidecars], overwrite=overwrite),
        files | sidecars,
        obsolete=[stale for name in obsolete for stale in (name, sidecar_name(name))],
    )
    if root is not None:
        describe_dataset(root, case)
    return written[: len(files)]


def load_saliency(path: str | Path) -> Saliency:
    """Read back what :func:`save_saliency` wrote.

    Parameters
    ----------
    path
        Any one of its files: a map, a standard error, the footprint, or a JSON beside them.

    Returns
    -------
    The same saliency, all sequences of it, bit for bit.

    Raises
    ------
    ResultsError
        If a file of it is missing, damaged or not written by napari-ies.
    """
    path = Path(path).expanduser()
    sidecar = path.with_name(sidecar_name(path.name))
    content = read_sidecar(sidecar)
    with expected_content(sidecar):
        try:
            request = SaliencyRequest(**content["Request"])
        except SaliencyError as error:
            raise ValueError(str(error)) from error
        grid, names = content["Grid"], content["Files"]
        shape = tuple(int(size) for size in grid["Shape"])
        box = tuple(slice(int(start), int(stop)) for start, stop in grid["Box"])
        affine = np.array(grid["Affine"], dtype=np.float64).reshape(4, 4)
        sequences = tuple(str(sequence) for sequence in content["Sequences"])
        maps = [path.with_name(name) for name in names["maps"]]
        errors = [path.with_name(name) for name in names.get("standard_error", ())]
        footprint = path.with_name(names["footprint"])
        n_used = int(content["SamplesUsed"])
        provenance = dict(content["Provenance"])
        if len(shape) != 3 or len(box) != 3 or len(maps) != len(sequences):
            raise ValueError("the sizes do not agree")

    def cropped(image: Path, dtype: type[np.generic]) -> Any:
        whole = read_image(image, dtype, shape)
        part = np.ascontiguousarray(whole[box])
        if np.count_nonzero(whole) != np.count_nonzero(part):
            raise ResultsError(
                f"{image} does not belong to {sidecar.name}: it has values outside the box given "
                "there; compute the result again."
            )
        return part

    return Saliency(
        request=request,
        sequences=sequences,
        shape=shape,
        affine=affine,
        box=box,
        cropped=np.stack([cropped(image, np.float32) for image in maps]),
        cropped_standard_error=(
            np.stack([cropped(image, np.float32) for image in errors]) if errors else None
        ),
        footprint=cropped(footprint, np.uint8) > 0,
        n_used=n_used,
        provenance=provenance,
    )


_WORDS = {
    "maps": "Instance-level saliency of the lesion's logit, sequence {sequence}",
    "standard_error": "Monte-Carlo standard error of the saliency, sequence {sequence}",
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
        **request_provenance(saliency.request, provenance),
        "Request": asdict(saliency.request),
        "Sequences": list(saliency.sequences),
        "Grid": {
            "Shape": list(saliency.shape),
            "Affine": saliency.affine.tolist(),
            "Box": [[side.start, side.stop] for side in saliency.box],
        },
        "Provenance": provenance,
    }
