"""Everything that is written to disk and read back, in files named as BIDS derivatives."""

from napari_ies.results.belonging import told_apart
from napari_ies.results.dataset import anat_folder
from napari_ies.results.names import label
from napari_ies.results.saliency import every_name, load_saliency, saliency_files, save_saliency
from napari_ies.results.segmentation import (
    load_segmentation,
    save_segmentation,
    segmentation_files,
)
from napari_ies.results.storage.writing import prepare

__all__ = [
    "anat_folder",
    "every_name",
    "label",
    "load_saliency",
    "load_segmentation",
    "prepare",
    "saliency_files",
    "save_saliency",
    "save_segmentation",
    "segmentation_files",
    "told_apart",
]
