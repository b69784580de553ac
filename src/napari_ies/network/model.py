"""SegmentationModel: a network with its profile, on a device."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from napari_ies.errors import CheckpointError
from napari_ies.free_memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import torch
    from torch import nn

    from napari_ies.network.preparation import Preparation
    from napari_ies.network.profile import Profile

T = TypeVar("T")

_LONGEST = 200
_LIBRARIES = ("cuda", "cudnn", "cublas", "mps")
"""What a device's fault names, for which the network is not to be blamed."""


@dataclass(frozen=True, eq=False)
class SegmentationModel:
    """A network ready to be used: in evaluation mode, its weights frozen, on its device.

    Parameters
    ----------
    network
        Takes a float tensor (N, C, X, Y, Z) of normalised intensities and returns logits
        (N, classes, X, Y, Z).
    profile
        How its input is made and its output read.
    device
        Where it computes.
    path
        The checkpoint's file or folder, or None for a network made in memory.
    sha256
        SHA-256 of the checkpoint file in hexadecimal, of a folder that of its files, or an empty
        string.
    format
        What kind of checkpoint that is, such as ``"state dict"``, or an empty string.
    preparation
        How the tool that the network came from makes its input and brings results back; None
        where the profile says it all.
    """

    network: nn.Module
    profile: Profile
    device: torch.device
    path: Path | None = None
    sha256: str = ""
    format: str = ""
    preparation: Preparation | None = None
    _derived: dict[str, object] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.network.eval()
        self.network.requires_grad_(False)
        self.network.to(self.device)

    def to(self, device: torch.device) -> SegmentationModel:
        """Return this model on another device; the network itself moves."""
        return replace(self, device=device)

    def with_profile(self, profile: Profile) -> SegmentationModel:
        """Return this network under another profile, with all that was derived from it.

        What is derived follows from the network, its inputs and the sizes it takes: only fields
        other than `sequences`, `divisor` and `fixed_size` may differ.
        """
        model = replace(self, profile=profile)
        object.__setattr__(model, "_derived", self._derived)
        return model

    def derive(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` returns, made once per model: what follows from the network alone.

        Parameters
        ----------
        name
            Identifies it; the same name must always come with the same kind of `make`.
        make
            Makes it on the first call.
        """
        if name not in self._derived:
            self._derived[name] = make()
        return cast("T", self._derived[name])


def class_probability(profile: Profile, logits: torch.Tensor) -> torch.Tensor:
    """Return the probability of the explained class, (x, y, z), of logits (classes, x, y, z)."""
    if len(logits) == 1:
        return logits[0].sigmoid()
    if profile.activation == "sigmoid":
        return logits[profile.explained_class].sigmoid()
    return logits.softmax(dim=0)[profile.explained_class]


def check_channels(model: SegmentationModel, sequences: Sequence[str]) -> None:
    """Refuse a case with another number of sequences than the network has input channels.

    The sequences are their names, in order.

    Raises
    ------
    CheckpointError
        If the numbers differ.
    """
    wanted = model.profile.sequences
    if len(sequences) != len(wanted):
        noun = "sequence" if len(wanted) == 1 else "sequences"
        raise CheckpointError(
            f"The network takes {len(wanted)} {noun} ({', '.join(wanted)}), the case has "
            f"{len(sequences)} ({', '.join(sequences)}): give it one image for each input of the "
            "network, in this order."
        )


def network_output(network: nn.Module, batch: torch.Tensor) -> Any:
    """Return what a network makes of a batch of windows, (N, C, x, y, z).

    Raises
    ------
    CheckpointError
        If a layer refuses its input or its own arguments, which MONAI and PyTorch find impossible
        only when they are used.
    """
    try:
        return network(batch)
    except (ValueError, TypeError, LookupError, RuntimeError) as error:
        said = " ".join(str(error)[:_LONGEST].split()).rstrip(".") or type(error).__name__
        if is_out_of_memory(error) or any(name in said.lower() for name in _LIBRARIES):
            raise
        size = " × ".join(map(str, batch.shape[2:]))
        raise CheckpointError(
            f"The network cannot compute an image of {size} voxels ({said}): check the arguments "
            "and the window in its profile, or choose another checkpoint."
        ) from error


def network_logits(network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """Return a network's logits for a batch of windows.

    Parameters
    ----------
    network
        May return a tensor, or a sequence whose first element is the full-resolution output.
    batch
        (N, C, x, y, z).

    Returns
    -------
    (N, classes, x, y, z)

    Raises
    ------
    CheckpointError
        If the output has another size than the input, or the network's layers refuse the input.
    """
    output = network_output(network, batch)
    if isinstance(output, (list, tuple)):
        output = output[0]
    if output.shape[2:] != batch.shape[2:]:
        raise CheckpointError(
            f"The network turns {tuple(batch.shape[2:])} voxels into {tuple(output.shape[2:])}; "
            "expected an output of the input's size."
        )
    logits: torch.Tensor = output
    return logits
