"""Captions: what is written on a canvas about the map and the image that it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.printable import counted
from napari_ies.viewer.state.titles import capitalised, request_title, short_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.state.answers import Answer

NO_IMAGE = "no image"
SPACE = "surfaces"
"""What lies under the map in the 3-d view, where no image is on show."""


def samples_of(answer: Answer, running: bool) -> tuple[str, str]:
    """Say how many noise samples a map is made of; both texts are empty where it has none.

    Parameters
    ----------
    answer
        The map.
    running
        Whether it is being computed; an unfinished map that is not was stopped.

    Returns
    -------
    ``"running"``, ``"stopped"`` or an empty text, and the samples in words.
    """
    saliency, request = answer.saliency, answer.saliency.request
    if request.method != "smoothgrad":
        return "", ""
    used, asked = saliency.n_used, counted(request.n_samples, "sample")
    if not answer.finished:
        # The map shows a part of the first sample before that is complete.
        so_far = str(used) if used else "part of the first"
        return "running" if running else "stopped", f"{so_far} of {asked}"
    return "", asked if used == request.n_samples else f"{used} of {asked}, converged"


def caption_of(
    answer: Answer | None, maps: Sequence[str], image: str | None, *, running: bool = False
) -> tuple[str, ...]:
    """Say what a canvas shows: subject, method, which map on which image, and its state.

    Parameters
    ----------
    answer
        The map that is meant, or None where there is none.
    maps
        The sequences whose maps are visible; none where the map is hidden.
    image
        The sequence, or else the image, that lies on top under the map; None for no image.
    running
        Whether the map is being computed.

    Returns
    -------
    The parts of the caption, to be joined or written one below the other.
    """
    ground = image or NO_IMAGE
    if answer is None:
        return (ground,)
    state, samples = samples_of(answer, running)
    names = " and ".join("all sequences" if name == "all" else name for name in maps)
    shown = f"{names} {'map' if len(maps) == 1 else 'maps'} on {ground}"
    if list(maps) == ["all"]:
        shown = f"map of all sequences on {ground}"
    if not maps:
        shown = f"map hidden, {ground}"
    network = answer.model_name if answer.other_model else ""
    done = f"{state}: {samples}" if state == "stopped" else samples
    parts = (capitalised(answer.subject.called), request_title(answer.request), network)
    return tuple(part for part in (*parts, shown, done) if part)


def short_caption_of(
    answer: Answer | None, maps: Sequence[str], image: str | None, *, running: bool = False
) -> tuple[str, ...]:
    """Say the same as :func:`caption_of` in few words, for a narrow canvas.

    What is needed most comes first: subject, sequence, state.
    """
    if answer is None:
        return (image or NO_IMAGE,)
    state, samples = samples_of(answer, running)
    ground, odd = image or NO_IMAGE, is_odd(maps, image) and image != SPACE
    names = " and ".join("all sequences" if name == "all" else name for name in maps)
    shown = (f"{names} on {ground}" if odd else names) if maps else "map hidden"
    counts = samples.removesuffix(" samples").removesuffix(" sample")
    if answer.finished:
        counts = samples if counts == samples else ""  # what stopped early says so
    done = f"{state}: {counts}" if state == "stopped" else counts
    network = answer.model_name if answer.other_model else ""
    parts = (capitalised(answer.subject.called), shown, done, short_title(answer.request), network)
    return tuple(part for part in parts if part)


def while_awaited(
    parts: Sequence[str], subject: Subject, request: SaliencyRequest, shown: Answer | None
) -> tuple[str, ...]:
    """Say first of what a map is computed that is not on show yet, then what is on show.

    Parameters
    ----------
    parts
        What is said of what is on show.
    subject, request
        What is computed.
    shown
        The map on show, if there is one.
    """
    computed = f"{capitalised(subject.called)} is being computed"
    if shown is not None and shown.subject == subject:
        computed = f"{computed} ({request_title(request)})"
    return (computed, *(() if shown is None else (f"still on show: {parts[0]}", *parts[1:])))


def is_odd(maps: Sequence[str], image: str | None) -> bool:
    """Whether a map lies over an image that it does not belong to, or over another map."""
    return len(maps) > 1 or any(name not in ("all", image) for name in maps)
