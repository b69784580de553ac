"""From a network's modules to local layers, or the reason why it has none."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

from napari_ies.saliency.engines.local_convolutions import Convolution, TransposedConvolution
from napari_ies.saliency.engines.local_layers import (
    Affine,
    Concatenation,
    Layer,
    MaxPooling,
    Pointwise,
    Sum,
    Upsampling,
)
from napari_ies.saliency.engines.patches import packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.geometry.box import Triple

POINTWISE = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Softplus,
    nn.Sigmoid,
    nn.Tanh,
    nn.Hardswish,
    nn.ReLU6,
)
UPSAMPLING = {"nearest": "nearest", "nearest-exact": "nearest-exact", "trilinear": "linear"}
"""What `torch.nn.Upsample` calls its modes in three dimensions, and in one."""
TRANSPARENT = (nn.Identity, nn.Dropout, nn.Dropout3d, nn.AlphaDropout)


class NotLocalError(Exception):
    """A network has a layer whose output does not depend on a box of its input alone."""


@dataclass(frozen=True)
class Node:
    """A layer, the nodes it reads (-1 is the network's input) and its output's channels."""

    layer: Layer
    inputs: tuple[int, ...]
    channels: int


def translated(network: nn.Module) -> list[Node]:
    """Translate a network to nodes, or say why it is not local."""
    tracer = _Tracer()
    # A forward is replaced where a module is called; what is traced itself is not called.
    whole = nn.Sequential(network) if type(network) in tracer.straight else network
    try:
        graph = tracer.trace(whole)
    except Exception as error:  # tracing runs the network's own code: anything can come out
        raise NotLocalError(f"its forward cannot be traced ({type(error).__name__})") from error
    modules = dict(whole.named_modules())
    nodes: list[Node] = []
    places: dict[fx.Node, int] = {}
    for step in graph.nodes:
        if step.op == "placeholder":
            if places:
                raise NotLocalError("it has more than one input")
            places[step] = -1
        elif step.op == "output":
            result = step.args[0]
            if not isinstance(result, fx.Node) or places.get(result) != len(nodes) - 1:
                raise NotLocalError("its output is not the result of its last layer")
        elif step.op == "call_module":
            _add_module(step, modules[str(step.target)], nodes, places)
        elif step.op == "call_function":
            _add_function(step, nodes, places)
        elif step.op == "call_method" and step.target == "repeat":
            _add_repeat(step, modules, nodes, places)
        else:
            raise NotLocalError(f"it uses {step.op} {step.target}")
    return nodes


class _Tracer(fx.Tracer):
    """Traces modules of MONAI whose forward asks for sizes as it runs on windows they take."""

    def __init__(self) -> None:
        from monai.networks.nets import SegResNetDS
        from monai.networks.nets.basic_unet import UpCat

        super().__init__()
        self.straight: dict[type, Callable[..., Any]] = {
            UpCat: _up_cat,
            SegResNetDS: _segresnet_ds,
        }

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return _is_subpixel(m) or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        straight = self.straight.get(type(m))
        return super().call_module(m, partial(straight, m) if straight else forward, args, kwargs)


def _up_cat(module: Any, below: Any, beside: Any) -> Any:
    """Run a step of BasicUNet's decoder; both have one size, so that nothing is padded."""
    return module.convs(torch.cat((beside, module.upsample(below)), 1))


def _segresnet_ds(network: Any, image: Any) -> Any:
    """Run a SegResNetDS; what deep supervision wants besides is not computed."""
    if network.preprocess is not None:
        raise NotLocalError("it prepares its input by itself")
    *beside, values = network.encoder(image)
    for level, other in zip(network.up_layers, reversed(beside), strict=False):
        values = level["blocks"](level["upsample"](values) + other)
    return network.up_layers[-1]["head"](values)


def _is_subpixel(module: nn.Module) -> bool:
    from monai.networks.blocks import SubpixelUpsample

    return isinstance(module, SubpixelUpsample)


def _add_module(
    step: fx.Node, module: nn.Module, nodes: list[Node], places: dict[fx.Node, int]
) -> None:
    before = _tensor(step.args[0])
    source = places[before]
    if getattr(module, "inplace", False) and len(before.users) > 1:
        raise NotLocalError("an activation overwrites a value that is read again")
    if isinstance(module, TRANSPARENT):
        places[step] = source
        return
    if _is_subpixel(module):
        places[step] = _add_subpixel(module, nodes, source)
        return
    if isinstance(module, nn.BatchNorm3d):
        if _fold_norm(module, step, nodes, source):
            places[step] = source
            return
        layer: Layer = Affine(*_norm_factors(module))
    else:
        layer = _module_layer(module)
    places[step] = len(nodes)
    nodes.append(Node(layer, (source,), _out_channels(module, _width(nodes, source))))


def _add_subpixel(module: Any, nodes: list[Node], source: int) -> int:
    """Add MONAI's subpixel upsampling: its convolution, then all that follows as one transposed.

    What follows weaves channels into space, and averages each voxel with those before it; its
    weights are what the module itself makes of the unit vectors.
    """
    from monai.networks.utils import pixelshuffle

    convolution, scale = module.conv_block, module.scale_factor
    if not isinstance(convolution, nn.Conv3d):
        raise NotLocalError("it upsamples by another module than a convolution")
    wide = convolution.out_channels
    unit = torch.zeros((wide, wide, 2, 2, 2), dtype=convolution.weight.dtype)
    unit[range(wide), range(wide), 0, 0, 0] = 1
    woven = module.pad_pool(pixelshuffle(unit, 3, scale)).to(convolution.weight)
    averaged = not isinstance(module.pad_pool, nn.Identity)
    edge = 2 * scale - 1 if averaged else scale
    weight, cut = packed(woven[..., :edge, :edge, :edge]), edge - scale
    nodes.append(Node(_module_layer(convolution), (source,), wide))
    sizes = (scale,) * 3, (0, 0, 0), (-cut,) * 3
    nodes.append(
        Node(TransposedConvolution(weight, None, *sizes), (len(nodes) - 1,), weight.shape[1])
    )
    return len(nodes) - 1


def _add_repeat(
    step: fx.Node, modules: dict[str, nn.Module], nodes: list[Node], places: dict[fx.Node, int]
) -> None:
    """Add channels repeated several times, as a convolution."""
    before = _tensor(step.args[0])
    times: Any = step.args[1]
    readers = [modules[str(user.target)] for user in before.users if user.op == "call_module"]
    convolutions = [module for module in readers if isinstance(module, nn.Conv3d)]
    plain = isinstance(times, (list, tuple)) and len(times) == 5 and set(times[2:]) == {1}
    if not (plain and times[0] == 1 and convolutions):
        raise NotLocalError("it repeats something else than channels")
    like = convolutions[0].weight
    weight = torch.eye(convolutions[0].in_channels, dtype=like.dtype, device=like.device)
    weight = weight.repeat(times[1], 1)[:, :, None, None, None]
    layer = Convolution(packed(weight), None, (1, 1, 1), (0, 0, 0), (1, 1, 1), 1)
    source, places[step] = places[before], len(nodes)
    nodes.append(Node(layer, (source,), len(weight)))


def _module_layer(module: nn.Module) -> Layer:
    name = type(module).__name__
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        weight = packed(module.weight.detach())
        bias = None if module.bias is None else module.bias.detach()
    if isinstance(module, nn.Conv3d):
        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            raise NotLocalError(f"its {name} pads with {module.padding_mode} or by name")
        sizes = _three(module.padding), _three(module.dilation)
        return Convolution(weight, bias, _three(module.stride), *sizes, module.groups)
    if isinstance(module, nn.ConvTranspose3d):
        if _three(module.dilation) != (1, 1, 1):
            raise NotLocalError(f"its {name} has dilation")
        weight = packed(torch.cat(_groups_apart(weight, module.groups)))
        sizes = _three(module.padding), _three(module.output_padding)
        return TransposedConvolution(weight, bias, _three(module.stride), *sizes)
    if isinstance(module, nn.MaxPool3d):
        kernel = _three(module.kernel_size)
        beside = _three(module.stride) == kernel and _three(module.padding) == (0, 0, 0)
        if not beside or _three(module.dilation) != (1, 1, 1) or module.ceil_mode:
            raise NotLocalError(f"its {name} has windows that overlap or reach beyond the image")
        return MaxPooling(kernel)
    if isinstance(module, POINTWISE):
        return Pointwise(_out_of_place(module))
    if isinstance(module, nn.Upsample) and module.mode in UPSAMPLING and module.size is None:
        x, y, z = (float(v) for v in np.broadcast_to(np.asarray(module.scale_factor), 3))
        return Upsampling((x, y, z), UPSAMPLING[module.mode], module.align_corners)
    raise NotLocalError(f"it has layers of the kind {name}")


def _groups_apart(weight: torch.Tensor, groups: int) -> list[torch.Tensor]:
    """Return each group's weights of a transposed convolution, 0 for the outputs of others."""
    width = weight.shape[1]
    return [
        functional.pad(part, (0,) * 6 + (number * width, (groups - 1 - number) * width))
        for number, part in enumerate(weight.chunk(groups))
    ]


def _add_function(step: fx.Node, nodes: list[Node], places: dict[fx.Node, int]) -> None:
    if step.target is torch.cat:
        tensors = step.args[0]
        axis = step.kwargs.get("dim", step.args[1] if len(step.args) > 1 else 0)
        if axis != 1 or not isinstance(tensors, (list, tuple)):
            raise NotLocalError("it concatenates along another axis than the channels")
        sources = tuple(places[_tensor(tensor)] for tensor in tensors)
        parts = tuple(_width(nodes, source) for source in sources)
        if 0 in parts:
            raise NotLocalError("it concatenates its own input")
        layer: Layer = Concatenation(parts)
        width = sum(parts)
    elif step.target in (operator.add, operator.iadd, torch.add) and not step.kwargs:
        sources = tuple(places[_tensor(tensor)] for tensor in step.args)
        layer, width = Sum(len(sources)), max(_width(nodes, source) for source in sources)
        if len({_width(nodes, source) for source in sources}) > 1:
            raise NotLocalError("it adds tensors of different widths")
    else:
        raise NotLocalError(f"it calls {getattr(step.target, '__name__', step.target)}")
    places[step] = len(nodes)
    nodes.append(Node(layer, sources, width))


def _fold_norm(norm: nn.BatchNorm3d, step: fx.Node, nodes: list[Node], source: int) -> bool:
    """Take a batch norm into the convolution before it, if nothing else reads that one."""
    before = step.args[0]
    if source < 0 or not isinstance(before, fx.Node) or len(before.users) > 1:
        return False
    if before.op != "call_module" or source != len(nodes) - 1:
        return False
    scale, shift = _norm_factors(norm)
    layer = nodes[source].layer
    if isinstance(layer, Convolution):
        weight = layer.weight * scale.view(-1, 1, 1, 1, 1)
    elif isinstance(layer, TransposedConvolution):
        weight = layer.weight * scale.view(1, -1, 1, 1, 1)
    else:
        return False
    bias = shift if layer.bias is None else layer.bias * scale + shift
    fields = {**vars(layer), "weight": packed(weight), "bias": bias}
    nodes[source] = replace(nodes[source], layer=type(layer)(**fields))
    return True


def _norm_factors(norm: nn.BatchNorm3d) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scale and the shift of a batch norm in evaluation mode."""
    if norm.running_mean is None or norm.running_var is None:
        raise NotLocalError("a batch norm uses the statistics of its input")
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.detach()
        return scale, norm.bias.detach() - norm.running_mean * scale
    return scale, -norm.running_mean * scale


def _out_of_place(module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    if not getattr(module, "inplace", False):
        return module
    return lambda values: module(values.clone())


def _out_channels(module: nn.Module, before: int) -> int:
    width = getattr(module, "out_channels", None) or getattr(module, "num_features", None)
    return int(width or before)


def _width(nodes: list[Node], source: int) -> int:
    """Return the channels of a node's output; 0 where it is the input, whose are not known."""
    return nodes[source].channels if source >= 0 else 0


def _tensor(argument: Any) -> fx.Node:
    if not isinstance(argument, fx.Node):
        raise NotLocalError("it mixes tensors with constants")
    return argument


def _three(value: Any) -> Triple:
    x, y, z = (int(v) for v in np.broadcast_to(np.asarray(value), 3))
    return x, y, z
