"""Small maps with random content, to be saved, and the session that was saved last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_ies.results.session import SessionSummary, sessions_in
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.saliency.saliency import Saliency

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_ies.patient.case import Case

SHAPE = (5, 6, 4)


def a_map(case: Case, seed: int, errors: bool = True) -> Saliency:
    generator = np.random.default_rng(seed)
    size = (2, 4, 5, 3)
    footprint = np.zeros(size[1:], dtype=bool)
    footprint[1:3, 2:4, 1] = True
    return Saliency(
        request=SaliencyRequest(n_samples=3, seed=seed),
        sequences=case.sequences,
        shape=case.shape,
        affine=case.affine,
        box=(slice(0, 4), slice(1, 6), slice(1, 4)),
        cropped=generator.normal(size=size).astype(np.float32),
        cropped_standard_error=np.abs(generator.normal(size=size)).astype(np.float32)
        if errors
        else None,
        footprint=footprint,
        n_used=3,
    )


def newest_session(root: Path, images: Mapping[str, str], checkpoint: str) -> SessionSummary | None:
    """Return the session of these images and this checkpoint that was saved last, if any does."""
    there, _ = sessions_in(root)
    found = [one for one in there if one.record.holds_work and one.is_of(images, checkpoint)]
    return max(found, key=lambda summary: summary.saved_at, default=None)
