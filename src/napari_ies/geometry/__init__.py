"""Where voxels lie: grids, and the way of a volume from one to another."""

from napari_ies.geometry.box import Box
from napari_ies.geometry.grid import Grid
from napari_ies.geometry.resampling import Resampled, onto

__all__ = ["Box", "Grid", "Resampled", "onto"]
