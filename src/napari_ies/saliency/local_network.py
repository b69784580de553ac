"""A network as a list of local layers: exact gradients for the work their footprint needs.

A network of convolutions, batch norms in evaluation mode, pointwise activations, sums,
concatenations and upsampling is, for a given input, a linear map made of local ones. What
one output voxel depends on is then a box that the layers' kernels and strides give, and nothing
outside that box has to be computed: neither in the forward nor for the gradients. Networks with
instance statistics, attention or global pooling have no such box, and are refused here with the
reason.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import fx, nn

from napari_ies.saliency.local_layers import (
    Affine,
    Concatenation,
    Convolution,
    Layer,
    Pointwise,
    Sum,
    TransposedConvolution,
    Upsampling,
)
from napari_ies.saliency.patches import Kept, Patch, Span, Triple, add_patches, union

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

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
    """A layer and the nodes it reads; node -1 is the network's input."""

    layer: Layer
    inputs: tuple[int, ...]


class LocalNetwork:
    """A network whose layers are all local.

    Parameters
    ----------
    network
        In evaluation mode.

    Raises
    ------
    NotLocalError
        If a layer is not local or not known, with the reason.
    """

    def __init__(self, network: nn.Module) -> None:
        self._nodes = _compile(network)

    def sizes(self, domain: Triple) -> list[Triple]:
        """Return the size of every node's output for an input of a size."""
        sizes: list[Triple] = []
        for node in self._nodes:
            sizes.append(node.layer.output_size(self._sources(node, sizes, domain)))
        return sizes

    def reach(self, span: Span, domain: Triple) -> Span:
        """Return the box of the input that a box of the output depends on."""
        demands = self._demands(span, domain, self.sizes(domain))
        return demands[-1]

    def linearise(
        self, image: torch.Tensor, span: Span, domain: Triple, class_index: int
    ) -> LocalLinearisation:
        """Run the network for a box of its output.

        Parameters
        ----------
        image
            (C, x, y, z): the input on the box that :meth:`reach` gives.
        span
            Box of the output.
        domain
            Size of the whole input.
        class_index
            Output channel whose gradients will be asked for.
        """
        sizes = self.sizes(domain)
        demands = self._demands(span, domain, sizes)
        last_use = {source: i for i, node in enumerate(self._nodes) for source in node.inputs}
        kept = {-1: Kept(_packed(image[None]), demands[-1])}
        slopes: dict[int, Kept] = {}
        with torch.no_grad():
            for index, node in enumerate(self._nodes):
                values, slope = node.layer.forward(
                    [kept[source] for source in node.inputs],
                    demands[index],
                    self._sources(node, sizes, domain),
                )
                kept[index] = Kept(values, demands[index])
                if slope is not None:
                    slopes[index] = Kept(_packed(slope), demands[index])
                for source in set(node.inputs):
                    if last_use[source] == index:
                        del kept[source]
        logits = kept[len(self._nodes) - 1].part(span)[0]
        return LocalLinearisation(self, slopes, sizes, domain, span, class_index, logits)

    def pull(
        self, seeds: Patch, slopes: dict[int, Kept], sizes: list[Triple], domain: Triple
    ) -> Patch:
        """Take cotangents of the output back to the input."""
        waiting = {len(self._nodes) - 1: seeds}
        for index in range(len(self._nodes) - 1, -1, -1):
            node, patch = self._nodes[index], waiting.pop(index, None)
            if patch is None:
                continue
            pulled = node.layer.pull(patch, slopes.get(index), self._sources(node, sizes, domain))
            for source, part in zip(node.inputs, pulled, strict=True):
                before = waiting.get(source)
                waiting[source] = part if before is None else add_patches(before, part)
        return waiting[-1]

    def _sources(self, node: Node, sizes: list[Triple], domain: Triple) -> list[Triple]:
        return [domain if source < 0 else sizes[source] for source in node.inputs]

    def _demands(self, span: Span, domain: Triple, sizes: list[Triple]) -> dict[int, Span]:
        asked: dict[int, list[Span]] = {len(self._nodes) - 1: [span]}
        demands: dict[int, Span] = {}
        for index in range(len(self._nodes) - 1, -1, -1):
            node = self._nodes[index]
            demands[index] = union(asked[index])
            needed = node.layer.demand(demands[index], self._sources(node, sizes, domain))
            for source in node.inputs:
                asked.setdefault(source, []).append(needed)
        demands[-1] = union(asked[-1])
        return demands


@dataclass(frozen=True, eq=False)
class LocalLinearisation:
    """One local forward, ready to be differentiated many times.

    Parameters
    ----------
    network, slopes, sizes, domain
        The network and what its pull needs of the forward.
    span
        Box of the output that the forward covered.
    class_index
        Output channel that is differentiated.
    logits
        (classes, x, y, z) on `span`.
    """

    network: LocalNetwork
    slopes: dict[int, Kept]
    sizes: list[Triple]
    domain: Triple
    span: Span
    class_index: int
    logits: torch.Tensor

    def rows(self, voxels: NDArray[np.int64], weights: torch.Tensor) -> Patch:
        """Return the weighted gradients of single output voxels.

        Parameters
        ----------
        voxels
            int64 (R, 3): voxels of the output, within `span`.
        weights
            (R,)

        Returns
        -------
        The gradient of each row with respect to the input, on a box of its own.
        """
        seeds = self.logits.new_zeros((len(voxels), len(self.logits), 1, 1, 1))
        seeds[:, self.class_index, 0, 0, 0] = weights.to(seeds)
        return self._pull(Patch(seeds, np.asarray(voxels)))

    def combined(self, voxels: NDArray[np.int64], weights: torch.Tensor) -> Patch:
        """Return the gradient of the weighted sum of output voxels: a patch of one row."""
        low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
        seeds = self.logits.new_zeros((1, len(self.logits), *(int(n) for n in high - low)))
        at = torch.from_numpy(voxels - low).to(seeds.device)
        seeds[0, self.class_index].index_put_(tuple(at.T), weights.to(seeds))
        return self._pull(Patch(seeds, low[None]))

    def _pull(self, seeds: Patch) -> Patch:
        with torch.no_grad():
            packed = Patch(_packed(seeds.values), seeds.base)
            return self.network.pull(packed, self.slopes, self.sizes, self.domain)


def _packed(values: torch.Tensor) -> torch.Tensor:
    """Lay a volume out channels last: the layout in which 3-d convolutions run fastest."""
    return values.contiguous(memory_format=torch.channels_last_3d)


def _compile(network: nn.Module) -> list[Node]:
    """Translate a network to nodes, or say why it is not local."""
    try:
        graph = fx.Tracer().trace(network)
    except Exception as error:  # tracing runs the network's own code: anything can come out
        raise NotLocalError(f"its forward cannot be traced ({type(error).__name__})") from error
    modules = dict(network.named_modules())
    nodes: list[Node] = []
    places: dict[fx.Node, int] = {}
    channels: dict[int, int] = {}
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
            _add_module(step, modules[str(step.target)], nodes, places, channels)
        elif step.op == "call_function":
            _add_function(step, nodes, places, channels)
        else:
            raise NotLocalError(f"it uses {step.op} {step.target}")
    return nodes


def _add_module(
    step: fx.Node,
    module: nn.Module,
    nodes: list[Node],
    places: dict[fx.Node, int],
    channels: dict[int, int],
) -> None:
    before = _tensor(step.args[0])
    source = places[before]
    if getattr(module, "inplace", False) and len(before.users) > 1:
        raise NotLocalError("an activation overwrites a value that is read again")
    if isinstance(module, TRANSPARENT):
        places[step] = source
        return
    if isinstance(module, nn.BatchNorm3d):
        if _fold_norm(module, step, nodes, source):
            places[step] = source
            return
        layer: Layer = Affine(*_norm_factors(module))
    else:
        layer = _module_layer(module)
    places[step] = len(nodes)
    channels[len(nodes)] = _out_channels(module, channels.get(source, 0))
    nodes.append(Node(layer, (source,)))


def _module_layer(module: nn.Module) -> Layer:
    name = type(module).__name__
    if isinstance(module, nn.Conv3d):
        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            raise NotLocalError(f"a {name} pads with {module.padding_mode} or by name")
        return Convolution(
            weight=_packed(module.weight.detach()),
            bias=None if module.bias is None else module.bias.detach(),
            stride=_three(module.stride),
            padding=_three(module.padding),
            dilation=_three(module.dilation),
            groups=module.groups,
        )
    if isinstance(module, nn.ConvTranspose3d):
        if module.groups != 1 or _three(module.dilation) != (1, 1, 1):
            raise NotLocalError(f"a {name} has groups or dilation")
        return TransposedConvolution(
            weight=_packed(module.weight.detach()),
            bias=None if module.bias is None else module.bias.detach(),
            stride=_three(module.stride),
            padding=_three(module.padding),
            output_padding=_three(module.output_padding),
        )
    if isinstance(module, POINTWISE):
        return Pointwise(_out_of_place(module))
    if isinstance(module, nn.Upsample) and module.mode in UPSAMPLING and module.size is None:
        x, y, z = (float(v) for v in np.broadcast_to(np.asarray(module.scale_factor), 3))
        return Upsampling((x, y, z), UPSAMPLING[module.mode], module.align_corners)
    raise NotLocalError(f"it has a {name} layer")


def _add_function(
    step: fx.Node, nodes: list[Node], places: dict[fx.Node, int], channels: dict[int, int]
) -> None:
    if step.target is torch.cat:
        tensors = step.args[0]
        axis = step.kwargs.get("dim", step.args[1] if len(step.args) > 1 else 0)
        if axis != 1 or not isinstance(tensors, (list, tuple)):
            raise NotLocalError("it concatenates along another axis than the channels")
        sources = tuple(places[_tensor(tensor)] for tensor in tensors)
        parts = tuple(channels.get(source, 0) for source in sources)
        if 0 in parts:
            raise NotLocalError("it concatenates its own input")
        layer: Layer = Concatenation(parts)
        width = sum(parts)
    elif step.target in (operator.add, operator.iadd, torch.add) and not step.kwargs:
        sources = tuple(places[_tensor(tensor)] for tensor in step.args)
        layer, width = Sum(), max(channels.get(source, 0) for source in sources)
        if len({channels.get(source, 0) for source in sources}) > 1:
            raise NotLocalError("it adds tensors of different widths")
    else:
        raise NotLocalError(f"it calls {getattr(step.target, '__name__', step.target)}")
    places[step] = len(nodes)
    channels[len(nodes)] = width
    nodes.append(Node(layer, sources))


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
    fields = {**vars(layer), "weight": _packed(weight), "bias": bias}
    nodes[source] = Node(type(layer)(**fields), nodes[source].inputs)
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
    return int(getattr(module, "out_channels", before) or before)


def _tensor(argument: Any) -> fx.Node:
    if not isinstance(argument, fx.Node):
        raise NotLocalError("it mixes tensors with constants")
    return argument


def _three(value: Any) -> Triple:
    x, y, z = (int(v) for v in np.broadcast_to(np.asarray(value), 3))
    return x, y, z
