"""A session on its way back to the screen. Runs in a worker thread and knows no Qt."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_ies.colour_maps import colour_limit
from napari_ies.errors import NapariIESError, ResultsError
from napari_ies.geometry.grid import Grid
from napari_ies.progress import Progress
from napari_ies.segmentation.subject import Region
from napari_ies.viewer.state.answers import REGION_NOTES, Answer
from napari_ies.viewer.state.curves import Curve
from napari_ies.viewer.state.look import ranges_of
from napari_ies.viewer.state.reading import KnownRegion, Reading, model_key, scores_of
from napari_ies.viewer.volumes.layer_data import METADATA_KEY, layer_of, read_mask
from napari_ies.viewer.volumes.sources import turned_by_reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from napari_ies.results.session import SavedMap, Session
    from napari_ies.results.session.saved import SavedCheckpoint
    from napari_ies.viewer.state.answers import Key
    from napari_ies.viewer.volumes.layer_data import LayerDataTuple


@dataclass(frozen=True, eq=False)
class Reopened:
    """A session as the panel shows it."""

    session: Session
    """As it was read."""
    reading: Reading
    """What was segmented; its network computes nothing until its checkpoint is loaded."""
    images: dict[str, LayerDataTuple]
    """A layer per sequence whose image is there."""
    reference: LayerDataTuple | None
    """The layer of the reference mask, if there is one."""
    curves: Mapping[str, Curve]
    """The curves of context, by the name of their table; one that cannot be read is left out."""
    unread: tuple[str, ...]
    """A sentence for each that cannot be read."""
    device: str
    """The device that was asked for, or ``"auto"`` where this machine has none of that name."""


def open_session(folder: Path) -> Iterator[Progress[Reopened]]:
    """Read a session and everything it refers to but its maps and its checkpoint."""
    from napari_ies.checkpoints import available_devices
    from napari_ies.results.session import load_session_progressively

    session = None
    for report in load_session_progressively(folder):
        session = report.result
        if session is None:
            yield report.with_result(None)
    assert session is not None  # noqa: S101 - the last report has it
    yield Progress("Reading the images", 0, 0, "")
    case = session.load_case()
    images = session_images(session)
    reading = Reading.of(
        session.absent_model(),
        case,
        session.segmentation,
        resampled=_resampled(images, case.sequences[0]),
        regions={
            name: KnownRegion.of_mask(name, mask, case.spacing)
            for name, mask in session.regions.items()
            if mask.any()
        },
        notes=session.notes,
        verdicts=session.verdicts,
        reference=session.reference,
        session=session.folder,
    )
    reference = None
    if session.reference is not None:
        reference = read_mask(session.reference)
        with suppress(NapariIESError):  # only looked at: what is wrong with it is said elsewhere
            reading.scores = scores_of(session.segmentation, reading.reference_mask)
    asked = session.checkpoints[0].device
    device = asked if asked in available_devices() else "auto"
    curves, unread = _curves(session, reading)
    reopened = Reopened(session, reading, images, reference, curves, unread, device)
    yield Progress("Opening the session", 1, 1, "", result=reopened)


def session_images(session: Session) -> dict[str, LayerDataTuple]:
    """Return the images of a session as layers; one that the session wrote is named as before."""
    return {
        image.sequence: layer_of(image.volume, image.sequence if image.made_here else None)
        for image in session.images
        if image.volume is not None
    }


def read_map(saved: SavedMap, reopened: Reopened) -> Answer:
    """Read a map back as the answer that it was.

    Raises
    ------
    ResultsError
        If it cannot be read.
    """
    saliency, case = saved.load(), reopened.reading.case
    if not saliency.grid.same_as(case.grid):
        raise ResultsError(
            f"{saved.path} does not lie on the grid of the images; compute the map again."
        )
    checkpoint = saved.checkpoint
    subject, request, network = key_of_map(saved, reopened)
    regions, noted = reopened.reading.regions, saliency.provenance.get(REGION_NOTES)
    region = regions.get(subject) if isinstance(subject, Region) else None
    if region is not None and not region.notes and isinstance(noted, list):
        # Of the region, and so of every other map of it.
        regions[region.name] = replace(region, notes=tuple(str(note) for note in noted))
    return Answer(
        subject=subject,
        request=request,
        saliency=saliency,
        limit=colour_limit(saliency),
        ranges=ranges_of(saliency),
        model_name=_file_name(checkpoint),
        model_key=network,
        other_model=checkpoint != reopened.session.checkpoints[0],
    )


def shown_maps(reopened: Reopened) -> list[SavedMap]:
    """Return the maps of what the reading has: a region may have lost its mask."""
    place_of = reopened.reading.place_of
    return [saved for saved in reopened.session.maps if place_of(saved.subject) is not None]


def known_maps(reopened: Reopened) -> list[Key | None]:
    """Return the key of each map that ``session.json`` names, None for one that is left out."""
    whole = {saved.path.name: key_of_map(saved, reopened) for saved in shown_maps(reopened)}
    return [whole.get(next(iter(one.files))) for one in reopened.session.record.maps]


def key_of_map(saved: SavedMap, reopened: Reopened) -> Key:
    """Return what tells a saved map from the others of its reading."""
    network = _network(saved.checkpoint, reopened.session, reopened.reading)
    return saved.subject, saved.request, network


def known_curves(reopened: Reopened) -> list[Curve | None]:
    """Return each curve that ``session.json`` names, None for one that is left out."""
    names = (next(iter(one.files)) for one in reopened.session.record.contexts)
    return [reopened.curves.get(name) for name in names]


def _curves(session: Session, reading: Reading) -> tuple[dict[str, Curve], tuple[str, ...]]:
    """Read the curves back: small tables."""
    curves, unread = dict[str, Curve](), []
    if session.contexts:
        from napari_ies.cohort.context.alone import read_context  # PyTorch comes with it

        for saved in session.contexts:
            subject, checkpoint = saved.subject, saved.checkpoint
            if reading.place_of(subject) is None:
                continue
            try:
                context = read_context(saved.path)
            except ResultsError as error:
                unread.append(f"A curve of {subject.called} is left out: {error}")
                continue
            curves[saved.path.name] = Curve(
                subject=subject,
                context=context,
                model_name=_file_name(checkpoint),
                model_key=_network(checkpoint, session, reading),
                other_model=checkpoint != session.checkpoints[0],
            )
    return curves, tuple(unread)


def _file_name(checkpoint: SavedCheckpoint) -> str:
    return checkpoint.name if checkpoint.path is None else checkpoint.path.name


def _network(checkpoint: SavedCheckpoint, session: Session, reading: Reading) -> str:
    """Return what tells the network of a checkpoint from others."""
    if checkpoint == session.checkpoints[0]:
        return model_key(reading.model)
    return checkpoint.sha256 or f"in memory {checkpoint.name}"


def _resampled(images: dict[str, LayerDataTuple], first: str) -> tuple[str, ...]:
    """Name the sequences that lie on another grid than the first."""
    if first not in images:
        return ()

    def grid(layer_data: LayerDataTuple) -> Grid:
        data, arguments, _ = layer_data
        affine = arguments["metadata"][METADATA_KEY]["affine"]
        a, b, c = data.shape
        return Grid(turned_by_reader(affine, (a, b, c)).shape, affine)

    target = grid(images[first])
    return tuple(name for name, layer in images.items() if not grid(layer).same_as(target))
