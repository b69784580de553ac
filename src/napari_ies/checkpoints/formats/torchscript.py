"""TorchScript: what `torch.jit.save` writes, scripted or traced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.file.archive import holds

if TYPE_CHECKING:
    import io
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from napari_ies.checkpoints.formats.format import Loaded
    from napari_ies.geometry.box import Triple

name = "TorchScript"


def recognises(path: Path) -> bool:
    """Whether a file is an archive that holds TorchScript's constants; nothing of it is read."""
    return holds(path, "/constants.pkl", "/data.pkl")


def files(path: Path) -> Mapping[str, Path]:
    """Return none: it is a file."""
    return {}


def load(path: Path, stated: Mapping[str, Any], trust: bool) -> Loaded:
    """Load one that is trusted.

    Its code is interpreted by PyTorch: it can read and write files (``aten::from_file``), and is
    compiled and run while it is loaded.
    """
    from napari_ies.checkpoints.formats.program import load_program

    return load_program(path, stated, trust, name, _read)


def _read(file: io.BytesIO) -> tuple[nn.Module, int | None, Triple | None, bool]:
    import torch

    network: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
        file, map_location="cpu"
    )
    network.eval()
    # The first convolution over three axes sees the images.
    first = next((tensor for tensor in network.parameters() if tensor.ndim == 5), None)
    return network, None if first is None else first.shape[1], None, False
