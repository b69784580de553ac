"""nnU-Net v2: a results folder, a fold in it, or the checkpoint of a fold.

Everything around the network is nnU-Net's own code, which is imported only here below and only
when such a folder is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.formats.nnunet.folder import DATASET, PLANS, folder_of
from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_ies.checkpoints.formats.format import Loaded

name = "nnU-Net v2"

DESCRIPTIONS = (PLANS, DATASET)
"""Files that say what its folds are."""


def recognises(path: Path) -> bool:
    """Whether it is one: what holds plans and a dataset, or lies in a fold of such a folder."""
    try:
        return folder_of(path) is not None
    except (OSError, ValueError):
        return False


def files(path: Path) -> Mapping[str, Path]:
    """Return plans, dataset and the checkpoints of its folds; of a checkpoint alone, none."""
    folder = folder_of(path)
    if folder is None or folder.checkpoint is not None:
        return {}
    return folder.files()


def load(path: Path, stated: Mapping[str, Any], trust: bool) -> Loaded:
    """Load its folds as one network, with nnU-Net's preparation; trusted or not, nothing runs."""
    try:
        import nnunetv2  # noqa: F401 - whether it is there
    except ImportError as error:
        raise CheckpointError(
            f"{path.name} is an nnU-Net v2 folder, which needs the package nnunetv2: "
            "pip install napari-ies[nnunet]."
        ) from error
    from napari_ies.checkpoints.formats.nnunet.trained import load_folds

    folder = folder_of(path)
    assert folder is not None  # noqa: S101 - it is recognised
    return load_folds(path, folder, stated)
