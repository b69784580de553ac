"""napari-ies: click a lesion and see why the network marked it.

The public surface is imported lazily, so that importing the package, and with it the plugin's
manifest, costs nothing.
"""

from __future__ import annotations

import os
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
    from napari_ies.versions import __version__

# Linux gives large tensors large pages then: a third less time on the CPU (docs/performance.md).
# PyTorch reads it with its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

_SOURCES = {
    "checkpoints": ("load_checkpoint", "with_geometry"),
    "counterfactual.counterfactual": ("Counterfactual", "what_if", "what_if_progressively"),
    "counterfactual.edit": ("Edit",),
    "errors": ("NapariIESError",),
    "network.model": ("SegmentationModel",),
    "network.profile": ("Profile",),
    "patient.case": ("Case",),
    "patient.loading": ("load_case",),
    "patient.masks": ("load_mask",),
    "results": ("load_saliency", "load_segmentation", "save_saliency", "save_segmentation"),
    "saliency": ("explain", "explain_progressively", "explain_together"),
    "saliency.request": ("SaliencyRequest",),
    "saliency.saliency": ("Saliency",),
    "segmentation.segmentation": ("Segmentation", "segment", "segment_progressively"),
    "versions": ("__version__",),
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
    "__version__",
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


def __getattr__(name: str) -> Any:
    for source, names in _SOURCES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{source}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
