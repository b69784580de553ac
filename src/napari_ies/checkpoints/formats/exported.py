"""`torch.export`: what `torch.export.save` writes (``.pt2``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.file.archive import holds
from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    import io
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from napari_ies.checkpoints.formats.format import Loaded
    from napari_ies.geometry.box import Triple

name = "torch.export"


def recognises(path: Path) -> bool:
    """Whether a file is an archive with an exported program; nothing of it is read."""
    return holds(path, "archive_format", ".json", "archive_version") or holds(
        path, "serialized_exported_program.json"
    )


def files(path: Path) -> Mapping[str, Path]:
    """Return none: it is a file."""
    return {}


def load(path: Path, stated: Mapping[str, Any], trust: bool) -> Loaded:
    """Load one that is trusted.

    PyTorch unpickles some of its constants and weights without limits, and evaluates the texts
    of its symbolic sizes.
    """
    from napari_ies.checkpoints.formats.program import load_program

    return load_program(path, stated, trust, name, _read)


def _read(file: io.BytesIO) -> tuple[nn.Module, int | None, Triple | None, bool]:
    import torch

    program = torch.export.load(file)
    inputs = [
        node.meta["val"]
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
    ]
    if len(inputs) != 1 or getattr(inputs[0], "ndim", 0) != 5:
        raise CheckpointError(
            f"it has {len(inputs)} inputs, expected one of the shape (windows, sequences, x, y, z)"
        )
    batch, channels, *edges = inputs[0].shape
    if type(channels) is not int:
        channels = None
    fixed = all(type(edge) is int for edge in edges)
    size = (edges[0], edges[1], edges[2]) if fixed else None
    # Its layers as they were in the network, so that Grad-CAM++ finds them.
    return torch.export.unflatten(program), channels, size, type(batch) is int
