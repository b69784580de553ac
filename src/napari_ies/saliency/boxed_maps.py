"""BoxedMaps: maps of one footprint on the box outside which they are 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ies.geometry.box import Box
from napari_ies.geometry.grid import Grid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_ies.saliency.request import SaliencyRequest


@dataclass(frozen=True, eq=False)
class BoxedMaps:
    """What numbers are read off: see :class:`~napari_ies.saliency.saliency.Saliency`."""

    request: SaliencyRequest
    sequences: tuple[str, ...]
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    box: Box
    cropped: NDArray[np.float32]
    cropped_standard_error: NDArray[np.float32] | None
    footprint: NDArray[np.bool_]

    @property
    def grid(self) -> Grid:
        """The case's voxels and where they lie."""
        return Grid(self.shape, self.affine)

    @property
    def maps(self) -> NDArray[np.float32]:
        """The maps on the case's whole grid, float32 (C, X, Y, Z); made anew at each call."""
        return self.box.lay(self.cropped, Box.whole(self.shape))

    @property
    def standard_error(self) -> NDArray[np.float32] | None:
        """The standard error on the case's whole grid, float32 (C, X, Y, Z), or None."""
        if self.cropped_standard_error is None:
            return None
        return self.box.lay(self.cropped_standard_error, Box.whole(self.shape))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The footprint on the case's whole grid, bool (X, Y, Z)."""
        return self.box.lay(self.footprint, Box.whole(self.shape))

    @property
    def unit(self) -> str:
        """Unit of the values, for colour bars and tables."""
        return self.request.unit
