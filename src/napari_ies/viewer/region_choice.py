"""What a person chose to ask about besides the lesions, brought to the case's stored grid.

The choice is made on the GUI thread (only references, nothing is copied) and becomes a mask in
the worker thread. What is seen is what is taken: the layer's voxels as they are painted now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.colour_maps import window_of
from napari_ies.errors import CaseError
from napari_ies.outline import box_of
from napari_ies.progress import Progress
from napari_ies.viewer.reading import Region

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_ies.case import Case
    from napari_ies.counterfactual import Counterfactual
    from napari_ies.edit import Edit
    from napari_ies.segmentation import Segmentation
    from napari_ies.viewer.frame import Frame, Voxel
    from napari_ies.viewer.reading import Reading, Subject
    from napari_ies.viewer.sources import Source
    from napari_ies.windows import Box

GRID_TOLERANCE_MM = 1e-3

MANY_VOXELS = 100_000
"""From this size on, a region's map takes so long that it is worth a warning."""

VISIBLE_CHANGE = 1e-3
"""Smaller changes of probability are not shown."""


@dataclass(frozen=True, eq=False)
class RegionChoice:
    """A region as it was chosen.

    Parameters
    ----------
    source
        The Labels layer it is painted in, or None.
    subject
        The lesion or region of the reading it is, or None. Without source and subject it is the
        voxel at the crosshair.
    value
        The label in the layer; None for all labels.
    only_part
        Whether it is only the connected part of it at the crosshair.
    crosshair
        The stored voxel that the slices meet in, or None where they meet outside the images.
    """

    source: Source | None = None
    subject: Subject | None = None
    value: int | None = None
    only_part: bool = False
    crosshair: Voxel | None = None


@dataclass(frozen=True, eq=False)
class ChosenRegion:
    """A region on the stored grid, and what a reader must know about it: plain sentences."""

    region: Region
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SeenChange:
    """A counterfactual with what is shown of it.

    Parameters
    ----------
    counterfactual
        What was computed.
    region
        The region that was asked for.
    box
        The part of the stored grid in which the probability changes visibly.
    difference
        float32: the change of probability on that box.
    window
        Limits of the grey values of the changed image.
    """

    counterfactual: Counterfactual
    region: Region
    box: Box
    difference: NDArray[np.float32]
    window: tuple[float, float]


def choose_region(choice: RegionChoice, reading: Reading) -> Iterator[Progress[ChosenRegion]]:
    """Bring a region to the stored grid, with a note on what it takes to explain it."""
    yield Progress("Reading the region", 0, 0, "")
    chosen = chosen_region(choice, reading)
    notes = (*chosen.notes, *_size_notes(chosen.region, reading.case))
    result = ChosenRegion(chosen.region, notes)
    yield Progress("Reading the region", 1, 1, "", result, note=" ".join(notes))


def see_changes(
    choice: RegionChoice, reading: Reading, segmentation: Segmentation, edit: Edit
) -> Iterator[Progress[SeenChange]]:
    """Change a region of one sequence and prepare what is shown of the outcome.

    Parameters
    ----------
    choice, reading
        The region, and the patient.
    segmentation
        That of the reading, with its logits where they are known.
    edit
        The change.
    """
    from napari_ies.counterfactual import what_if_progressively

    yield Progress("Reading the region", 0, 0, "")
    chosen = chosen_region(choice, reading)
    yield Progress("Reading the region", 0, 0, "", note=" ".join(chosen.notes))
    reports = what_if_progressively(
        reading.model, reading.case, segmentation, chosen.region.mask, edit
    )
    for report in reports:
        seen = None
        if report.result is not None:
            seen = _seen(report.result, chosen.region)
        yield Progress(report.step, report.done, report.total, report.unit, seen, report.note)


def chosen_region(choice: RegionChoice, reading: Reading) -> ChosenRegion:
    """Return a chosen region on the stored grid.

    Raises
    ------
    CaseError
        If it is empty, lies outside the brain, or its layer is not where the images are.
    """
    name, mask, notes = _named_mask(choice, reading)
    if not mask.any():
        raise CaseError(f"{_capital(name)} holds no voxel; paint at least one, or choose another.")
    if choice.only_part:
        mask = _part_at(mask, choice.crosshair, name)
    region = Region.of_mask(name, mask, reading.case.spacing)
    if choice.only_part:
        x, y, z = region.place.centre
        region = Region(f"{name}, part at {x} {y} {z}", mask, region.place)
    brain = (reading.case.data[:, mask] != 0).any(axis=0)
    if not brain.any():
        raise CaseError(
            f"{_capital(name)} lies outside the brain: every sequence is 0 in all of it; choose "
            "or paint a place in the brain."
        )
    return ChosenRegion(region, notes)


def _named_mask(
    choice: RegionChoice, reading: Reading
) -> tuple[str, NDArray[np.bool_], tuple[str, ...]]:
    if choice.subject is not None:
        name = choice.subject
        name = f"lesion {name}" if isinstance(name, int) else name
        return name, reading.mask_of(choice.subject), ()
    if choice.source is not None:
        name = _file_safe(choice.source.name)
        name = name if choice.value is None else f"{name}, label {choice.value}"
        mask, notes = layer_mask(choice.source, choice.value, reading.case, reading.frame)
        return name, mask, notes
    if choice.crosshair is None:
        raise CaseError("The crosshair lies outside the images; move the slices into the brain.")
    mask = np.zeros(reading.case.shape, dtype=bool)
    mask[choice.crosshair] = True
    return "Voxel " + " ".join(map(str, choice.crosshair)), mask, ()


def layer_mask(
    source: Source, value: int | None, case: Case, frame: Frame
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Return the voxels of a Labels layer on a case's stored grid.

    Parameters
    ----------
    source
        The layer as it is now.
    value
        The label; None for all of them.
    case, frame
        The stored grid, and where it lies in the viewer.

    Returns
    -------
    mask, notes
        bool (X, Y, Z), and what a reader must know: a layer on the case's grid is taken voxel by
        voxel, one on another grid with nearest neighbour, by the affine of its file where it has
        one and by its place in the viewer otherwise.

    Raises
    ------
    CaseError
        If the layer does not overlap the images.
    """
    shown = source.displayed != 0 if value is None else source.displayed == value
    if _same_display(source, frame):
        return np.ascontiguousarray(frame.reorientation.invert(shown)), ()
    if source.affine is not None:
        mask = _by_affine(source.frame.reorientation.invert(shown), source.affine, case)
    else:
        mask = _by_display(shown, source, frame)
    if shown.any() and not mask.any():
        raise CaseError(
            f"What is painted in {source.name} does not overlap the images; expected a layer of "
            "the same patient in the same space."
        )
    note = (
        f"{source.name} lies on another grid than {case.sequences[0]} and was brought to it with "
        f"nearest neighbour: {np.count_nonzero(shown)} of its voxels became "
        f"{np.count_nonzero(mask)}."
    )
    return mask, (note,)


def _same_display(source: Source, frame: Frame) -> bool:
    return (
        source.displayed.shape == frame.reorientation.displayed_shape
        and np.allclose(source.scale, frame.scale, rtol=0, atol=1e-6)
        and np.allclose(source.translate, frame.translate, rtol=0, atol=GRID_TOLERANCE_MM)
    )


def _by_affine(
    stored: NDArray[np.bool_], affine: NDArray[np.float64], case: Case
) -> NDArray[np.bool_]:
    import nibabel as nib
    from nibabel.processing import resample_from_to

    image = nib.Nifti1Image(stored.astype(np.uint8), affine)
    moved = resample_from_to(image, (case.shape, case.affine), order=0)
    return np.asarray(np.asarray(moved.dataobj) > 0)


def _by_display(shown: NDArray[np.bool_], source: Source, frame: Frame) -> NDArray[np.bool_]:
    """Look up each displayed voxel of the case where it lies in the layer."""
    indices, inside = [], []
    for axis, size in enumerate(frame.reorientation.displayed_shape):
        world = frame.translate[axis] + np.arange(size) * frame.scale[axis]
        index = np.floor((world - source.translate[axis]) / source.scale[axis] + 0.5).astype(int)
        inside.append((index >= 0) & (index < shown.shape[axis]))
        indices.append(np.clip(index, 0, shown.shape[axis] - 1))
    mask = shown[np.ix_(*indices)]
    mask &= inside[0][:, None, None] & inside[1][:, None] & inside[2]
    return np.ascontiguousarray(frame.reorientation.invert(mask))


def _part_at(mask: NDArray[np.bool_], voxel: Voxel | None, name: str) -> NDArray[np.bool_]:
    from scipy import ndimage

    from napari_ies.lesions import CONNECTIVITY_18

    if voxel is None or not mask[voxel]:
        raise CaseError(
            f"The crosshair does not lie in {name}; move the slices to the part to explain, or "
            "take all of it."
        )
    box = box_of(mask)
    parts, _ = ndimage.label(mask[box], CONNECTIVITY_18)
    part = np.zeros_like(mask)
    part[box] = parts == parts[tuple(v - b.start for v, b in zip(voxel, box, strict=True))]
    return part


def _size_notes(region: Region, case: Case) -> tuple[str, ...]:
    count = int(np.count_nonzero(region.mask))
    if count <= MANY_VOXELS:
        return ()
    share = 100 * count / max(int(np.count_nonzero((case.data != 0).any(axis=0))), 1)
    return (
        f"{region.name} holds {count} voxels, as many as {share:.0f} % of the brain: its map "
        "takes long, a maximum map very long; Cancel stops it.",
    )


def _seen(counterfactual: Counterfactual, region: Region) -> SeenChange:
    difference = counterfactual.difference
    visible = np.abs(difference) > VISIBLE_CHANGE
    box = box_of(visible if visible.any() else counterfactual.changed)
    case = counterfactual.case
    original = case if case.normalised_as is None else case.normalised_as
    volume = original.data[original.sequences.index(counterfactual.edit.sequence)]
    return SeenChange(counterfactual, region, box, difference[box].copy(), window_of(volume))


def _file_safe(name: str) -> str:
    """Return a name that a file can be named after: with at least one ASCII letter or digit."""
    return name if any(c.isascii() and c.isalnum() for c in name) else f"Region {name}"


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
