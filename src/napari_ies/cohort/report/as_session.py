"""A case of a folder of results as a session, which the viewer opens with all that was computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from napari_ies.cohort.record import NETWORK, record_of
from napari_ies.cohort.statistics.rows import saved_maps
from napari_ies.errors import ResultsError
from napari_ies.network.absent import absent_model
from napari_ies.patient.bids_label import entity_of
from napari_ies.patient.identity import Identity
from napari_ies.progress import Progress, to_its_end
from napari_ies.results.dataset import anat_folder
from napari_ies.results.explained import load_explained
from napari_ies.results.segmentation import read_segmentation
from napari_ies.results.session import (
    SessionWriter,
    load_session,
    new_session_folder,
    sessions_in,
)
from napari_ies.results.storage.json_files import expected_content, sidecar_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_ies.cohort.report.images import Images
    from napari_ies.cohort.statistics.rows import SavedMap
    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case
    from napari_ies.results.segmentation import SavedSegmentation
    from napari_ies.saliency.request import SaliencyRequest

FOLDER = "sessions"
"""In the folder of results."""
_PREFERRED = ("max", "mean", "sum", "n/a")
"""Which map of the lesion is shown first, by its aggregation."""


def session_of_case_progressively(
    folder: Path,
    name: str,
    images: Images,
    *,
    lesion: int | None = None,
    checkpoint: Path | None = None,
    networks: Mapping[str, Path] | None = None,
) -> Iterator[Progress[Path]]:
    """Make a session of a case, or bring the one that is there up to date.

    Parameters
    ----------
    folder
        Of the results.
    name
        The case, as the names of its files begin: ``"sub-07"`` or ``"sub-07_ses-1"``.
    images
        Finds the patient's images.
    lesion
        Which lesion is looked at first.
    checkpoint
        The network's file, so that the viewer can compute more; it may be loaded there later.
    networks
        Files of networks that are at hand, by their SHA-256, one of which it may be.

    Yields
    ------
    A report per map; the last one holds the folder of the session, in ``sessions`` in the folder
    of results.

    Raises
    ------
    ResultsError
        If there is no such case or lesion, an image is not to be found, or the disk refuses.
    """
    yield Progress("Reading the case", 0, 0, "")
    identity = Identity(entity_of(PurePath(name), "sub-"), entity_of(PurePath(name), "ses-"))
    place = anat_folder(folder, identity)
    found = sorted(place.glob("*_desc-lesions_dseg.nii.gz")) if identity.subject else []
    if len(found) != 1 or identity.stem != name:
        raise ResultsError(
            f"There is no case {name} with lesions in {folder}; expected one that is named as the "
            "files of its results begin, such as sub-07_ses-1."
        )
    labels = found[0]
    read = read_segmentation(labels)
    if lesion is not None and lesion not in read.segmentation.lesions.index:
        raise ResultsError(
            f"{name} has no lesion {lesion}; it has the lesions "
            f"{', '.join(map(str, read.segmentation.lesions.index))}."
        )
    maps = list(saved_maps(place))
    if not maps:
        raise ResultsError(f"{name} has no map in {folder}; explain a lesion of it first.")
    case = images.case_of(load_explained(maps[0].path.with_name(maps[0].content.files.footprint)))
    record = record_of(folder, name)
    if checkpoint is None and record is not None and NETWORK in record.places:
        checkpoint = Path(record.places[NETWORK])
    model = _model(read, labels, case, checkpoint, networks or {})
    writer = _writer(folder / FOLDER, identity, read, case, model)
    known = {(one.subject, one.request) for one in writer.record.maps}
    for number, saved in enumerate(maps):
        yield Progress("Bringing the maps together", number, len(maps), "maps")
        asked = saved.content.asked
        either = {(saved.content.lesion, one) for one in (asked, _as_asked(asked, model))}
        if known.isdisjoint(either):
            explained = load_explained(saved.path.with_name(saved.content.files.footprint))
            saliency = explained.saliency
            request = _as_asked(saliency.request, model)
            writer.add_map(saved.content.lesion or 0, saliency, model, request=request)
    own = [saved for saved in maps if saved.content.lesion == lesion]
    if own:
        best = min(own, key=_rank)
        writer.set_view(_as_asked(best.content.asked, model), lesion)
    yield Progress("Bringing the maps together", len(maps), len(maps), "maps", writer.folder)


session_of_case = to_its_end("session_of_case", session_of_case_progressively)


def _as_asked(request: SaliencyRequest, model: SegmentationModel) -> SaliencyRequest:
    """Return a map's settings as the viewer asks for them: there is no choice of the class.

    With the class in it a saved map would be computed again at a click.
    """
    own = request.class_index == model.profile.explained_class
    return replace(request, class_index=None) if own else request


def _rank(saved: SavedMap) -> int:
    return _PREFERRED.index(saved.kind["aggregation"])


def _model(
    read: SavedSegmentation,
    labels: Path,
    case: Case,
    checkpoint: Path | None,
    networks: Mapping[str, Path],
) -> SegmentationModel:
    """Stand in for the network, which its checkpoint is found by."""
    sidecar = sidecar_of(labels)
    with expected_content(sidecar):
        recorded = read.content["Checkpoint"]
        name, digest = str(recorded["Name"]), str(recorded["SHA256"] or "")
        path = networks.get(digest) or checkpoint or Path(name)
        return absent_model(name, name, digest, path, case.sequences, read.content)


def _writer(
    root: Path, identity: Identity, read: SavedSegmentation, case: Case, model: SegmentationModel
) -> SessionWriter:
    """Go on with the session of these images and this network, or begin one."""
    own = dict(zip(case.sequences, case.sha256, strict=True))
    for summary in sessions_in(root)[0]:
        if summary.is_of(own, model.sha256):
            session = load_session(summary.folder)
            return SessionWriter.resume(session, session.load_case())
    place = new_session_folder(root, identity.subject, identity.visit)
    return SessionWriter.begin(place, read.segmentation, case=case, model=model)
