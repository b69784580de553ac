"""Titles: how methods and networks are called on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.saliency.request import METHOD_NAMES

if TYPE_CHECKING:
    from napari_ies.network.model import SegmentationModel
    from napari_ies.saliency.request import SaliencyRequest


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
