"""What is said of a voxel under the mouse."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from napari_ies.geometry.box import Box
from napari_ies.viewer.state.under_mouse import said_at


def test_the_spread_between_members_stands_beside_the_error_of_the_noise():
    segmentation = SimpleNamespace(
        probability=np.full((4, 4, 4), 0.5),
        labels=np.zeros((4, 4, 4), dtype=np.int32),
        lesions=pd.DataFrame(),
    )
    saliency = SimpleNamespace(
        box=Box((1, 1, 1), (3, 3, 3)),
        sequences=("FLAIR",),
        cropped=np.full((1, 2, 2, 2), 0.012),
        cropped_standard_error=np.full((1, 2, 2, 2), 0.002),
        cropped_spread=np.full((1, 2, 2, 2), 0.005),
    )
    reading, answer = SimpleNamespace(segmentation=segmentation), SimpleNamespace(saliency=saliency)
    told = said_at(reading, answer, {"FLAIR"}, (1, 1, 1), -3)
    assert told[-1] == "FLAIR saliency 12 ± 2 (members ± 5) · 10⁻³"
    assert "members" not in said_at(reading, answer, {"FLAIR"}, (0, 0, 0), -3)[-1]
    saliency.cropped_spread = None
    assert said_at(reading, answer, {"FLAIR"}, (1, 1, 1), -3)[-1] == "FLAIR saliency 12 ± 2 · 10⁻³"
