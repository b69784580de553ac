"""Guesses about a network tested on a case: foremost the orientation it was trained on.

It is told by how sure the network is of what it marks: ``Σ H(p) / Σ p``, the entropy of the
probabilities per marked voxel, over one window, the same voxels in each order. On two real patients
and a network trained on them with flips, the axial orders gave 0.43 to 0.48 and 0.181 to 0.184,
sagittal PSR 0.61 and 0.195; the Dice there was 0.63 and 0.47, 0.89 and 0.87.

The running statistics of batch norms do not tell it. On the same patients they agreed best with a
wrong order, compared in evaluation or as in training, by mean, median or layer, with or without a
fit of the share of each tissue: how much lesion a window holds moves them more than how it is
turned. They do tell strides and, less, activations: see
:mod:`napari_ies.network.guesses.guess_tests`.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from napari_ies.geometry.box import Box
from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.network_grid import network_case

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case

T = TypeVar("T")

AXIAL_ORDERS = ("LAS", "RAS", "LPS", "RPS", "LAI", "RAI", "LPI", "RPI")
"""Orders of an axial volume, the commonest first: which one is named where several agree alike."""

_MIRRORED = (("LAS", "RAS"), ("LPS", "RPS"), ("LAI", "RAI"), ("LPI", "RPI"))

CLEARLY_WORSE = 4.0
"""So many standard deviations of the axial orders above their mean, a stored order is worse.

With eight orders that is a chance of 1 in 300 where the order makes no difference.
"""

CLEARLY_BETTER = 6.0
"""So many times the difference between mirror images, the noise, tell axial orders apart.

Two networks that were trained with flips, on six patients: at most 5.0 in 16 windows.
"""

LEAST_NOISE = 0.035
"""The noise is at least this share of the best score: four pairs of mirror images can be alike by
chance. The same networks and windows gave up to 0.115, and axial orders that differed by 12 %.
"""

LEAST_MARKED = 20.0
"""With fewer voxels marked in the window (the sum of probabilities) there is nothing to test by."""

_LARGEST_WINDOW = 96


@dataclass(frozen=True)
class Agreement:
    """How well a guess about a network fits a case, beside other possibilities.

    Parameters
    ----------
    what
        ``"orientation"``, ``"strides"`` or ``"activation"``.
    assumed
        The guess: for the orientation the stored one.
    best
        What fits best; the assumed where nothing fits clearly better.
    scores
        Disagreement of each possibility, lower is better. Orientation: nats per marked voxel;
        otherwise symmetric Kullback-Leibler divergence, in nats.
    sentence
        What there is to say, for a clinician; empty where there is nothing.
    sure
        Whether the margin is large against what the test cannot tell apart.
    suggestion
        Axis codes to state as the network's orientation, or None.
    """

    what: str
    assumed: str
    best: str
    scores: Mapping[str, float] = field(default_factory=dict)
    sentence: str = ""
    sure: bool = False
    suggestion: str | None = None


Testing = Generator[None, None, T]
"""A test under way: it yields after each pass of the network and returns what it found."""


def testing_orientation(model: SegmentationModel, case: Case) -> Testing[Agreement | None]:
    """Test whether a network agrees better with another order of the axes than with the stored.

    The stored order and the eight axial ones are compared on a window in the middle of the head.
    Mirror images of a nearly symmetric head differ by chance alone, and that difference is the
    noise. A stored order that is not axial is worse where it lies far above the mean of the axial
    ones, or above the best by far more than the noise; one that is axial, in the latter case alone.
    Nothing of the network changes.

    Returns
    -------
    The comparison, computed once per network and case; None where the profile states the
    orientation, or where the network marks too little in that window or takes none of that size.
    """
    profile = model.profile
    if profile.orientation is not None or case.missing:
        return None
    kept = model.derive("orientation agreement", WeakKeyDictionary[object, Agreement | None])
    if case not in kept:
        kept[case] = yield from _tested_orientation(model, case)
    return kept[case]


def _tested_orientation(model: SegmentationModel, case: Case) -> Testing[Agreement | None]:
    window = central_window(model, case, _LARGEST_WINDOW)
    if window is None:
        return None
    stored, size = case.orientation, (window.shape[1],) * 3
    scores: dict[str, float] = {}
    for codes in (stored, *(order for order in AXIAL_ORDERS if order != stored)):
        turn = Reorientation.between(case.affine, size, tuple(codes))
        entropy, marked = _entropy_and_marked(model, turn.apply(window))
        yield
        if marked < LEAST_MARKED:
            return None
        scores[codes] = entropy / marked
    return _judged_orientation(stored, scores)


def _judged_orientation(stored: str, scores: Mapping[str, float]) -> Agreement:
    """Decide from the scores of the stored and the axial orders."""
    axial = np.array([scores[order] for order in AXIAL_ORDERS])
    noise = float(np.sqrt(np.mean([(scores[a] - scores[b]) ** 2 for a, b in _MIRRORED])))
    noise = max(noise, LEAST_NOISE * float(axial.min()))
    lowest = axial.min() + CLEARLY_BETTER * noise
    alike = [order for order in AXIAL_ORDERS if scores[order] <= lowest]
    worse_than_axial = stored not in AXIAL_ORDERS and (
        scores[stored] > axial.mean() + CLEARLY_WORSE * axial.std(ddof=1)
    )
    sure = bool(worse_than_axial or scores[stored] > lowest)
    if not sure:
        sentence = ""
        if stored not in AXIAL_ORDERS and scores[stored] > axial.min():
            sentence = (
                f"Tried on this image, the network does not show whether it was trained on the "
                f"stored order {stored} or on an axial one such as {alike[0]}: state its "
                "orientation."
            )
        return Agreement("orientation", stored, stored, scores, sentence)
    best, *others = alike
    among = f" (and {', '.join(others)}, not to be told apart)" if others else ""
    if len(alike) == len(AXIAL_ORDERS):
        among = " (which of its axes run backwards is not to be told)"
    sentence = (
        f"The network agrees better with {best}{among} than with the stored {stored}: in a central "
        f"window it is surer of what it marks (entropy per marked voxel {scores[best]:.3g} instead "
        f"of {scores[stored]:.3g})."
    )
    return Agreement("orientation", stored, best, scores, sentence, sure=True, suggestion=best)


def _entropy_and_marked(
    model: SegmentationModel, window: NDArray[np.float32]
) -> tuple[float, float]:
    """Return the summed entropy of the explained class's probabilities, and their sum."""
    import torch

    from napari_ies.network.inference import class_probability, network_logits

    with torch.inference_mode():
        batch = torch.from_numpy(np.ascontiguousarray(window))[None].to(model.device)
        logits = network_logits(model.network, batch)[0].double()
        p = class_probability(model.profile, logits)
        entropy = torch.special.entr(p) + torch.special.entr(1 - p)
        return float(entropy.sum()), float(p.sum())


def central_window(
    model: SegmentationModel, case: Case, largest: int
) -> NDArray[np.float32] | None:
    """Return a cube (C, n, n, n) in the middle of the patient, as the network sees it."""
    profile = model.profile
    case = network_case(model, case)
    if len(case.sequences) != len(profile.sequences):
        return None
    multiple = math.lcm(*profile.divisor)
    if profile.fixed_size is None:
        edge = max(min(largest, *profile.window) // multiple, 1) * multiple
    elif len(set(profile.fixed_size)) == 1:
        edge = profile.fixed_size[0]
    else:
        return None
    patient = np.argwhere(case.inside.any(axis=0))
    if not len(patient):
        return None
    middle = (patient.min(axis=0) + patient.max(axis=0) + 1) // 2
    values = case.normalised(profile.normalisation)
    first = [
        min(max(int(centre) - edge // 2, 0), size - edge) if size >= edge else -((edge - size) // 2)
        for centre, size in zip(middle, case.shape, strict=True)
    ]
    return Box.whole(case.shape).lay(values, Box.whole((edge,) * 3).shift(first))
