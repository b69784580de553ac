"""napari-ies: click a lesion and see why the network marked it.

The public surface is imported lazily, so that importing the package, and with it the plugin's
manifest, costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ies.checkpoints import load_checkpoint, with_geometry
    from napari_ies.counterfactual.counterfactual import (
        Counterfactual,
        what_if,
        what_if_progressively,
    )
    from napari_ies.counterfactual.edit import Edit
    from napari_ies.errors import NapariIESError
    from napari_ies.network.model import SegmentationModel
    from napari_ies.network.profile import Profile
    from napari_ies.patient.case import Case
    from napari_ies.patient.loading import load_case
    from napari_ies.patient.masks import load_mask
    from napari_ies.results import (
        load_saliency,
        load_segmentation,
        save_saliency,
        save_segmentation,
    )
    from napari_ies.saliency import explain, explain_progressively, explain_together
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation.segmentation import Segmentation, segment, segment_progressively

_SOURCES = {
    "Case": "patient.case",
    "Counterfactual": "counterfactual.counterfactual",
    "Edit": "counterfactual.edit",
    "NapariIESError": "errors",
    "Profile": "network.profile",
    "Saliency": "saliency.saliency",
    "SaliencyRequest": "saliency.request",
    "Segmentation": "segmentation.segmentation",
    "SegmentationModel": "network.model",
    "explain": "saliency",
    "explain_progressively": "saliency",
    "explain_together": "saliency",
    "load_case": "patient.loading",
    "load_checkpoint": "checkpoints",
    "load_mask": "patient.masks",
    "load_saliency": "results",
    "load_segmentation": "results",
    "save_saliency": "results",
    "save_segmentation": "results",
    "segment": "segmentation.segmentation",
    "segment_progressively": "segmentation.segmentation",
    "what_if": "counterfactual.counterfactual",
    "what_if_progressively": "counterfactual.counterfactual",
    "with_geometry": "checkpoints",
}

__all__ = [
    "Case",
    "Counterfactual",
    "Edit",
    "NapariIESError",
    "Profile",
    "Saliency",
    "SaliencyRequest",
    "Segmentation",
    "SegmentationModel",
    "explain",
    "explain_progressively",
    "explain_together",
    "load_case",
    "load_checkpoint",
    "load_mask",
    "load_saliency",
    "load_segmentation",
    "save_saliency",
    "save_segmentation",
    "segment",
    "segment_progressively",
    "what_if",
    "what_if_progressively",
    "with_geometry",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_SOURCES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_SOURCES])
