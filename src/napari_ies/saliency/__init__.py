"""Why a network marked a footprint: SmoothGrad and Grad-CAM++ restricted to one instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ies.saliency.explanation import (
        explain,
        explain_progressively,
        explain_together,
    )

__all__ = ["explain", "explain_progressively", "explain_together"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from napari_ies.saliency import explanation

    return getattr(explanation, name)
