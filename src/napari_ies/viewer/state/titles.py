"""Titles: how subjects, methods and networks are called on the screen."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from napari_ies.saliency.request import METHOD_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.network.model import SegmentationModel
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.viewer.state.reading import Answer, Subject


def subject_title(subject: Subject) -> str:
    """Return what a lesion or a region is called, such as ``"lesion 3"``."""
    return f"lesion {subject}" if isinstance(subject, int) else subject


def request_title(request: SaliencyRequest) -> str:
    """Return the method and the aggregation of a request in words, for names and tables."""
    name = METHOD_NAMES[request.method]
    if request.method == "smoothgrad":
        return f"{name} {request.aggregation}"
    return name if request.layer is None else f"{name} {request.layer}"


def short_title(request: SaliencyRequest) -> str:
    """Return a request in a word or two, for a narrow column."""
    return request.aggregation if request.method == "smoothgrad" else request_title(request)


def model_title(model: SegmentationModel) -> str:
    """Return the name of a network's file, or of the network where it has none."""
    return model.profile.name if model.path is None else model.path.name


def capitalised(text: str) -> str:
    """Return a text with its first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def distinct_titles(answers: Sequence[Answer]) -> list[str]:
    """Return the titles of maps, with the settings in which those of one title differ."""
    titles = []
    for answer in answers:
        requests = [other.request for other in answers if other.title == answer.title]
        values = {f.name: getattr(answer.request, f.name) for f in fields(answer.request)}
        differing = (
            f"{_FORMATS.get(name, name.replace('_', ' ') + ' {}').format(value)}"
            for name, value in values.items()
            if any(getattr(request, name) != value for request in requests)
        )
        titles.append(", ".join((answer.title, *differing)))
    return titles


_FORMATS = {"n_samples": "{} samples", "noise": "noise {:.1%}", "forward": "{}"}
"""How settings are said; others by their name and value."""
