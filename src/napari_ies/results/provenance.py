"""What a result was made from, in the words of its sidecar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic.alias_generators import to_pascal

from napari_ies.regular_files import sha256_of
from napari_ies.results.storage.writing import plain
from napari_ies.saliency.provenance import network_provenance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case


def case_provenance(case: Case) -> dict[str, Any]:
    """Return names and SHA-256 of a case's images, and what was done to them on loading.

    Names alone: folders tend to hold what identifies a patient. An image without a file has the
    SHA-256 of its values instead: whose result it is can then be told as well.
    """
    records = []
    rows = zip(case.sequences, case.paths, case.sha256, case.data, strict=True)
    for sequence, path, digest, values in rows:
        name = None if path is None else path.name
        record = {"Sequence": sequence, "Name": name, "SHA256": digest or None}
        records.append(record if digest else record | {"DataSHA256": data_digest(values)})
    return {"Images": records, "Notes": list(case.notes)}


def file_record(name: str, sha256: str) -> dict[str, str | None]:
    """Return the record of a file that a result rests on: its name alone, and its SHA-256."""
    return {"Name": name, "SHA256": sha256 or None}


def other_images(case: Case, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name those images of a result that are none of a case, by their content.

    Parameters
    ----------
    case
        The case.
    records
        The images that :func:`case_provenance` gave for the result's own.

    Returns
    -------
    Such as ``["FLAIR of flair.nii.gz"]``, or nothing where all are the case's.
    """
    digests = {value for value in case.sha256 if value}
    own = dict(zip(case.sequences, case.sha256, strict=True))
    values = dict(zip(case.sequences, case.data, strict=True))
    others = []
    for record in records:
        sequence = str(record.get("Sequence"))
        digest, data = record.get("SHA256"), record.get("DataSHA256")
        if not (digest or data):
            continue
        # One that is called the same is to be the same; one of another name may be any of them.
        if digest and digest in ({own[sequence]} if own.get(sequence) else digests):
            continue
        if data:
            compared = [values[sequence]] if sequence in values else list(values.values())
            if data in {data_digest(one) for one in compared}:
                continue
        name = record.get("Name")
        others.append(f"{sequence}{f' of {name}' if name else ''}")
    return others


def other_network(model: SegmentationModel, content: Mapping[str, Any]) -> list[str]:
    """Name what sets the network of a result, by what its sidecar says, apart from another one.

    Returns
    -------
    Such as ``["SHA-256"]`` or ``["Orientation"]``, or nothing where both are the same. Names,
    what was guessed and the threshold do not count; what the sidecar does not say is not compared.
    """
    own: dict[str, Any] = plain(checkpoint_provenance(model))
    recorded = content.get("Checkpoint")
    recorded = recorded if isinstance(recorded, dict) else {}
    apart = [
        "SHA-256" if key == "SHA256" else key
        for key in ("SHA256", "Architecture", "Arguments", "Weights")
        if key in recorded and recorded[key] != own["Checkpoint"][key]
    ]
    settings = [key for key in own if key != "Checkpoint"]
    return apart + [key for key in settings if key in content and content[key] != own[key]]


def data_digest(values: NDArray[np.float32]) -> str:
    """Return the SHA-256 of an image's values, float32 (X, Y, Z), in hexadecimal."""
    return sha256_of(np.ascontiguousarray(values).tobytes())


def checkpoint_provenance(model: SegmentationModel) -> dict[str, Any]:
    """Return which checkpoint it is, how its input is made, and what was guessed about it.

    The facts are those of :func:`~napari_ies.saliency.provenance.network_provenance`, as the
    entries of a sidecar are named.
    """
    facts = {to_pascal(name): value for name, value in network_provenance(model).items()}
    own = ("Name", "Sha256", "Format", "Architecture", "Arguments", "Weights", "Class", "Guessed")
    called = {"Sha256": "SHA256", "Class": "Classes"}
    checkpoint = {called.get(name, name): facts.pop(name) for name in own}
    return {"Checkpoint": checkpoint | {"SHA256": checkpoint["SHA256"] or None}} | facts
