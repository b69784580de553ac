"""The tab "Readout": the numbers of the map on screen, and how far from the lesion it looks."""

from napari_ies.viewer.readout.part import Readout

__all__ = ["Readout"]
