"""A network's layers, watched while it runs."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_ies.network.model import SegmentationModel, network_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from napari_ies.geometry.box import Triple

    See = Callable[[str, nn.Module, tuple[Any, ...], Any], None]


def layers_of(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield a network's layers by their names, itself too: those that PyTorch lets watch.

    The inside of a TorchScript program is none of them.
    """
    from torch.jit import ScriptModule

    for name, module in network.named_modules():
        if not isinstance(module, ScriptModule):
            yield name, module


def is_innermost(module: nn.Module) -> bool:
    """Whether no layer inside a layer can be watched."""
    return all(inner is module for _, inner in layers_of(module))


@contextmanager
def watched(network: nn.Module, see: See) -> Iterator[None]:
    """Have a function see each layer of a network, itself too, that runs inside this context.

    It gets the name, the module, its inputs and its output, in the order they end.
    """
    with ExitStack() as hooks:
        for name, module in layers_of(network):
            hooks.callback(module.register_forward_hook(partial(see, name)).remove)
        yield


@contextmanager
def out_of_place(network: nn.Module) -> Iterator[None]:
    """Keep activations from overwriting their input inside this context.

    Hooks on gradients know no layer that does. And after a norm, which returns a view, autograd
    pays for it with copies of the whole window in every backward pass: a tenth of SwinUNETR's.
    """
    changed: list[Any] = [m for m in network.modules() if getattr(m, "inplace", False) is True]
    for module in changed:
        module.inplace = False
    try:
        yield
    finally:
        for module in changed:
            module.inplace = True


def small_size(model: SegmentationModel) -> Triple:
    """Return a small size that a network takes."""
    if model.profile.fixed_size is not None:
        return model.profile.fixed_size
    x, y, z = (2 * divisor for divisor in model.profile.divisor)
    return x, y, z


def see_layers(model: SegmentationModel, see: See, network: nn.Module | None = None) -> None:
    """Run a network, or a part of it, once on a small volume of zeros, its layers watched."""
    import torch

    network = network or model.network
    with watched(network, see), torch.inference_mode():
        size = (1, len(model.profile.sequences), *small_size(model))
        like = next(network.parameters(), torch.zeros(()))
        zeros = torch.zeros(size, dtype=like.dtype, device=model.device)
        network_output(network, zeros)


def forget_outputs(network: nn.Module) -> None:
    """Let go of the outputs that a network keeps, each with the graph of a whole window.

    MONAI's DynUNet writes those of its supervision heads into a list, when it is not trained, too.
    """
    import torch

    for module in network.modules():
        for kept in vars(module).values():
            if isinstance(kept, list):
                for place, value in enumerate(kept):
                    if isinstance(value, torch.Tensor) and value.grad_fn is not None:
                        kept[place] = value.detach()
