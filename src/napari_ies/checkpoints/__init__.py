"""Checkpoints: a file or folder becomes a network with its profile.

PyTorch and MONAI are imported when something is loaded, not when this package is.
"""

from napari_ies.checkpoints.ensemble import is_ensemble
from napari_ies.checkpoints.formats import checkpoint_sha256, recognised
from napari_ies.checkpoints.loading import inspect_checkpoint, load_checkpoint
from napari_ies.checkpoints.sidecar import profile_path, profile_to_json, write_profile
from napari_ies.checkpoints.source import CheckpointSource
from napari_ies.network.device import (
    available_devices,
    device_label,
    exact_float32,
    resolve_device,
)
from napari_ies.network.trained_grid import with_geometry

__all__ = [
    "CheckpointSource",
    "available_devices",
    "checkpoint_sha256",
    "device_label",
    "exact_float32",
    "inspect_checkpoint",
    "is_ensemble",
    "load_checkpoint",
    "profile_path",
    "profile_to_json",
    "recognised",
    "resolve_device",
    "with_geometry",
    "write_profile",
]
