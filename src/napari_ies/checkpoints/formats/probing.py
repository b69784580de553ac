"""What a network takes and gives, found by running it: of programs nothing else tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_ies.checkpoints.families.defaults import Takes
from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from napari_ies.geometry.box import Triple

_EDGES = (32, 64, 96, 128)
"""Edges in voxels of the windows that are tried."""
_STRIDES = (1, 2, 4, 8, 16, 32)
_MOST_INPUTS = 4
_LONGEST = 120

NO_GRADIENTS = (
    "Gradients do not flow through this network back to the images, as when it was exported "
    "without them or optimised for inference: it segments, but no map can be made; export it "
    "anew from the network that was trained."
)


def probed(
    network: nn.Module, n_inputs: int | None, stated: Mapping[str, Any], size: Triple | None = None
) -> Takes:
    """Find out what a network takes, by running it on zeros.

    Parameters
    ----------
    network
        It may be of any kind, and runs several times.
    n_inputs
        Number of its input channels, where that is known.
    stated
        Fields that a person states: ``"window"`` and ``"sequences"`` are tried alone.
    size
        A size in voxels that it takes, where that is known.

    Raises
    ------
    CheckpointError
        In a clause, if it takes nothing that is tried.
    """
    network.eval()  # else its norms would learn from the zeros
    if "sequences" in stated:
        n_inputs = len(stated["sequences"])
    window = stated.get("window", size)
    sizes = [window] if window is not None else [(edge, edge, edge) for edge in _EDGES]
    numbers = range(1, _MOST_INPUTS + 1) if n_inputs is None else (n_inputs,)
    why = ""
    for size in sizes:
        for number in numbers:
            n_outputs, why = _outputs(network, number, size)
            if n_outputs:
                return _takes(network, number, n_outputs, size)
    tried = ", ".join(" × ".join(map(str, one)) for one in sizes)
    channels = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
    raise CheckpointError(
        f"its network runs on no window that was tried ({tried} voxels, {channels} "
        f"{'sequence' if channels == '1' else 'sequences'}; {why}): state the window that it takes "
        "and the sequences in its profile"
    )


def gradients_flow(network: nn.Module, takes: Takes) -> bool:
    """Whether the outputs of a network have gradients by its input."""
    generator = torch.Generator().manual_seed(0)
    size = takes.fixed_size or tuple(2 * divisor for divisor in takes.divisor)
    image = torch.randn((1, takes.n_inputs, *size), generator=generator).requires_grad_()
    with torch.enable_grad():
        try:
            output = _first(network(image))
            # Under an instance norm the sum of the outputs has none.
            weights = torch.randn(output.shape, generator=generator)
            (gradient,) = torch.autograd.grad((output * weights).sum(), image)
        except RuntimeError:
            return False
    return bool((gradient != 0).any())


def _takes(network: nn.Module, number: int, n_outputs: int, size: Triple) -> Takes:
    """Find the strides of a network that takes a size: the multiples of them it takes as well."""

    def runs(*edges: int) -> bool:
        return _outputs(network, number, edges)[0] == n_outputs

    strides = []
    for axis in range(3):
        for stride in _STRIDES:
            # An odd multiple, so that no smaller stride would do as well.
            edge = stride * (2 * (size[axis] // (2 * stride)) + 1)
            if edge != size[axis] and runs(*size[:axis], edge, *size[axis + 1 :]):
                strides.append(stride)
                break
        else:
            return Takes(number, n_outputs, (1, 1, 1), size)
    # Norms of instances and poolings need some voxels in the deepest layer.
    while not runs(*(2 * stride for stride in strides)):
        strides = [2 * stride for stride in strides]
        if max(strides) > max(size):
            return Takes(number, n_outputs, (1, 1, 1), size)
    x, y, z = strides
    return Takes(number, n_outputs, (x, y, z))


def _first(output: Any) -> Any:
    return output[0] if isinstance(output, (list, tuple)) and output else output


def _outputs(network: nn.Module, number: int, size: tuple[int, ...]) -> tuple[int, str]:
    """Return the number of a network's outputs on zeros, or 0 and why there are none."""
    try:
        with torch.no_grad():
            output = _first(network(torch.zeros(1, number, *size)))
    # A program fails in whatever way its author wrote.
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = (lines[-1] if lines else type(error).__name__)[:_LONGEST]
        return 0, f"it fails with: {said.rstrip('.')}"
    if not isinstance(output, torch.Tensor) or not output.is_floating_point():
        return 0, f"it gives a {type(output).__name__}"
    if output.ndim != 5 or output.shape[2:] != torch.Size(size):
        return 0, f"it gives numbers of the shape {tuple(output.shape)}"
    return output.shape[1], ""
