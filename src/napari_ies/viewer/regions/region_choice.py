"""What a person chose to ask about besides the lesions, brought to the case's stored grid.

The choice is made on the GUI thread (only references, nothing is copied) and becomes a mask in
the worker thread. What is seen is what is taken: the layer's voxels as they are painted now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.colour_maps import window_of
from napari_ies.errors import CaseError
from napari_ies.geometry.box import Box
from napari_ies.printable import printable
from napari_ies.progress import Progress
from napari_ies.regular_files import sha256_of
from napari_ies.viewer.state.reading import KnownRegion
from napari_ies.viewer.state.seen_change import SeenChange
from napari_ies.viewer.state.titles import capitalised
from napari_ies.viewer.volumes.layer_mask import layer_mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_ies.counterfactual.counterfactual import Counterfactual
    from napari_ies.counterfactual.edit import Edit
    from napari_ies.patient.case import Case
    from napari_ies.segmentation.segmentation import Segmentation
    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.volumes.frame import Voxel
    from napari_ies.viewer.volumes.sources import Source

LONGEST_NAME = 200
"""Characters of a layer's name in a region's; of a longer one, beginning and end are taken."""

MANY_VOXELS = 100_000
"""From this size on, a region's map takes so long that it is worth a warning."""

VISIBLE_CHANGE = 1e-3
"""Smaller changes of probability are not shown."""


@dataclass(frozen=True, eq=False)
class RegionChoice:
    """A region as it was chosen."""

    source: Source | None = None
    """The Labels layer it is painted in, or None."""
    subject: Subject | None = None
    """The lesion or region of the reading it is, or None. Without source and subject it is the
    voxel at the crosshair."""
    value: int | None = None
    """The label in the layer; None for all labels."""
    only_part: bool = False
    """Whether it is only the connected part of it at the crosshair."""
    crosshair: Voxel | None = None
    """The stored voxel that the slices meet in, or None where they meet outside the images."""


@dataclass(frozen=True, eq=False)
class ChosenRegion:
    """A region on the stored grid, and what a reader must know about it: plain sentences."""

    region: KnownRegion
    notes: tuple[str, ...] = ()


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
    from napari_ies.counterfactual.counterfactual import what_if_progressively

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
        yield report.with_result(seen)


def chosen_region(choice: RegionChoice, reading: Reading) -> ChosenRegion:
    """Return a chosen region on the stored grid.

    Raises
    ------
    CaseError
        If it is empty, lies outside the brain, or its layer is not where the images are.
    """
    name, mask, notes = _named_mask(choice, reading)
    if not mask.any():
        raise CaseError(
            f"{capitalised(name)} holds no voxel; paint at least one, or choose another."
        )
    if choice.only_part:
        mask = _part_at(mask, choice.crosshair, name)
    region = replace(KnownRegion.of_mask(name, mask, reading.case.spacing), notes=notes)
    if choice.only_part:
        x, y, z = region.place.centre
        region = replace(region, name=f"{name}, part at {x} {y} {z}")
    brain = reading.case.inside[:, mask].any(axis=0)
    if not brain.any():
        raise CaseError(
            f"{capitalised(name)} lies outside the brain: every sequence is background in all of "
            "it; choose or paint a place in the brain."
        )
    # Those of a region of the reading were told when it was chosen.
    return ChosenRegion(region, notes if choice.subject is None else ())


def _named_mask(
    choice: RegionChoice, reading: Reading
) -> tuple[str, NDArray[np.bool_], tuple[str, ...]]:
    if choice.subject is not None:
        name = choice.subject.called
        known = reading.regions.get(name)
        return name, reading.mask_of(choice.subject), () if known is None else known.notes
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


def _part_at(mask: NDArray[np.bool_], voxel: Voxel | None, name: str) -> NDArray[np.bool_]:
    from scipy import ndimage

    from napari_ies.geometry.components import CONNECTIVITY_18

    if voxel is None or not mask[voxel]:
        raise CaseError(
            f"The crosshair does not lie in {name}; move the slices to the part to explain, or "
            "take all of it."
        )
    box = Box.around(mask)
    parts, _ = ndimage.label(mask[box], CONNECTIVITY_18)
    part = np.zeros_like(mask)
    part[box] = parts == parts[tuple(v - b.start for v, b in zip(voxel, box, strict=True))]
    return part


def _size_notes(region: KnownRegion, case: Case) -> tuple[str, ...]:
    count = int(np.count_nonzero(region.mask))
    if count <= MANY_VOXELS:
        return ()
    share = 100 * count / max(int(np.count_nonzero(case.inside.any(axis=0))), 1)
    return (
        f"{region.name} holds {count} voxels, as many as {share:.0f} % of the brain: its map "
        "takes long, a maximum map very long; Cancel stops it.",
    )


def _seen(counterfactual: Counterfactual, region: KnownRegion) -> SeenChange:
    difference = counterfactual.difference
    visible = np.abs(difference) > VISIBLE_CHANGE
    box = Box.around(visible if visible.any() else counterfactual.changed)
    case = counterfactual.case
    original = case if case.normalised_as is None else case.normalised_as
    channel = original.sequences.index(counterfactual.edit.sequence)
    limits = window_of(original.data[channel], original.backgrounds[channel])
    return SeenChange(counterfactual, region, box, difference[box].copy(), limits)


def _file_safe(name: str) -> str:
    """Return a name that can be kept and shown, and a file can be named after.

    Text with at least one ASCII letter or digit and no end beyond reason.
    """
    shown = printable(name, LONGEST_NAME)
    if len(name) > LONGEST_NAME:
        # Also of two names that differ only in what was cut out, each is a region of its own.
        digest = sha256_of(name.encode("utf-8", "surrogatepass"))
        shown = f"{shown} {digest[:8]}"
    return shown if any(c.isascii() and c.isalnum() for c in shown) else f"Region {shown}"
