"""What was assumed about an image and a network together: said with every result of the two."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.errors import CheckpointError
from napari_ies.geometry.grid import size_words
from napari_ies.network.guesses.agreement import Agreement, Testing, testing_orientation
from napari_ies.network.guesses.guess_tests import testing_guesses
from napari_ies.network.network_grid import (
    resampling_notes,
    runs_resampled,
    stored_spacing,
)
from napari_ies.network.profile import finds_background, is_guessed
from napari_ies.patient.normalisation import BACKGROUND_IS_ZERO
from napari_ies.progress import Progress, to_its_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case

logger = logging.getLogger("napari_ies")

STATED_TOLERANCE, ASSUMED_TOLERANCE = 0.1, 0.3
"""Relative difference from the stated, or assumed, voxel size from which a note says so."""

SMALLEST_BRAIN_ML, LARGEST_BRAIN_ML = 800.0, 2000.0
"""More than this is no brain: adult intracranial volumes reach about 1,900 mL. Less than this may
be a part of a head as well."""


def notes_on(model: SegmentationModel, case: Case) -> tuple[str, ...]:
    """Return everything that must be said with a result of this network on this case.

    Returns
    -------
    Plain sentences: which class is meant, what was done to the images on loading, how their axes
    and voxel sizes relate to those that the network was trained on, whether they look as it
    expects.
    """
    return (
        *case.notes,
        *_class_notes(model),
        *_orientation_notes(model, case),
        *_spacing_notes(model, case),
        *_intensity_notes(model, case),
        *(one.sentence for one in agreements(model, case) if one.sentence),
    )


def agreements_progressively(
    model: SegmentationModel, case: Case
) -> Iterator[Progress[tuple[Agreement, ...]]]:
    """Test the guesses about a network on a case, once.

    Yields
    ------
    A report after each pass of the network; the last one holds what was found on orientation,
    strides and activation, as far as each was guessed and can be tested.
    """
    step, done = "Testing what was guessed", 0
    found: tuple[Agreement, ...] = ()
    given = model.preparation is None  # else nothing is guessed of what the tests look at
    if given and not case.missing and len(case.sequences) == len(model.profile.sequences):
        testing = _tested(model, case)
        try:
            while True:
                next(testing)
                done += 1
                yield Progress(step, done, 0, "passes")
        except StopIteration as end:
            found = end.value
        except (CheckpointError, RuntimeError, ValueError, MemoryError) as error:
            # A test that memory or the network does not allow is no reason to give up the result.
            logger.info("The guesses about the network could not be tested (%s).", error)
    yield Progress(step, done, done, "passes", found)


agreements = to_its_end("agreements", agreements_progressively)


def _tested(model: SegmentationModel, case: Case) -> Testing[tuple[Agreement, ...]]:
    orientation = yield from testing_orientation(model, case)
    others = yield from testing_guesses(model, case)
    return others if orientation is None else (orientation, *others)


def _class_notes(model: SegmentationModel) -> tuple[str, ...]:
    """Say which class is meant, where it is the background or one of several others."""
    profile = model.profile
    if careful := finds_background(profile):
        return (careful,)
    if len(profile.classes) < 3:
        return ()
    meant = profile.classes[profile.explained_class]
    kind = "classes, whose names are assumed" if is_guessed(profile, "classes") else "classes"
    return (f"Lesions here are {meant}, one of the network's {len(profile.classes)} {kind}.",)


def _orientation_notes(model: SegmentationModel, case: Case) -> tuple[str, ...]:
    if model.preparation is not None:
        return ()  # said by its own notes
    stored, trained = case.grid.orientation, model.profile.orientation
    if trained is not None:
        if trained == stored:
            return ()
        return (
            f"The network saw the images turned from the stored {stored} to {trained}, exactly; "
            "results lie on the stored voxels.",
        )
    if case.grid.is_axial:
        return ()
    return (
        f"The images are stored {stored}, not along R/L, A/P and S/I, and nothing says which way "
        "the network was trained: it saw them as they are stored. State its orientation, such as "
        "LAS, if it was another.",
    )


def _spacing_notes(model: SegmentationModel, case: Case) -> tuple[str, ...]:
    if runs_resampled(model, case):
        return resampling_notes(model, case)
    stated = model.profile.spacing
    trained = stored_spacing(model, case)
    tolerance = ASSUMED_TOLERANCE if stated is None else STATED_TOLERANCE
    ratios = np.divide(case.spacing, trained)
    if np.maximum(ratios, 1 / ratios).max() <= 1 + tolerance:
        return ()
    said = (
        f"was trained on voxels of {size_words(trained)} mm"
        if stated is not None
        else f"is taken to be trained on voxels of {size_words(trained)} mm, which nothing states,"
    )
    return (
        f"The network {said} and these images have {size_words(case.spacing)} mm: its marks may be "
        "wrong; resample the images first, or state its voxel size to have it run at that.",
    )


def _intensity_notes(model: SegmentationModel, case: Case) -> tuple[str, ...]:
    notes = []
    method = model.profile.normalisation
    for name, background in zip(case.sequences, case.backgrounds, strict=True):
        odd = background is not None and not background.is_zero
        apart = method in BACKGROUND_IS_ZERO and model.preparation is None
        if odd and background is not None and not apart:
            notes.append(
                f"The normalisation {method} takes all voxels of {name}, its background of "
                f"{background.value:.3g} too; if the network was trained on a background of 0, its "
                "marks may be wrong."
            )
    return (*notes, *_skull_notes(model, case))


def _skull_notes(model: SegmentationModel, case: Case) -> tuple[str, ...]:
    """Say where there is a skull that the network does not expect, or none where it does."""
    expects_brains = model.profile.brain_extracted
    if not expects_brains and (
        model.preparation is not None or is_guessed(model.profile, "brain_extracted")
    ):
        return ()  # nobody says that it expects whole heads
    notes = []
    for name, patient in zip(case.sequences, case.inside, strict=True):
        volume = float(np.count_nonzero(patient)) * case.grid.voxel_mm3 / 1000
        shown = f"{name} shows {volume:,.0f} mL that are not background"
        if expects_brains and volume > LARGEST_BRAIN_ML:
            notes.append(
                f"{shown}, more than a brain (at most about {LARGEST_BRAIN_ML:,.0f} mL), so the "
                "skull seems to be on: the network is taken to expect brain-extracted images, and "
                "its marks may be wrong."
            )
        elif not expects_brains and SMALLEST_BRAIN_ML <= volume <= LARGEST_BRAIN_ML:
            notes.append(
                f"{shown}, about what a brain has, so the skull seems to be off: the network was "
                "trained on whole heads, and its marks may be wrong."
            )
    return tuple(notes)
