"""Guessed strides and activation of a U-Net, tested by the running statistics of its batch norms.

Run with a window's own statistics in place of the running ones, as in training, the input of each
batch norm keeps the scale that it had then if, and only if, the layers before it are what they
were: a wrong stride changes the variance behind a transposed convolution eightfold.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from napari_ies.network.guesses.agreement import Agreement, Testing, central_window
from napari_ies.network.members import members_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from numpy.typing import NDArray
    from torch import nn
    from torch.nn.modules.batchnorm import _BatchNorm

    from napari_ies.network.model import SegmentationModel
    from napari_ies.patient.case import Case

RATIO = {"strides": 3.0, "activation": 1.3}
"""How many times less the best guess must disagree than the next one to be sure.

On six patients the true strides disagreed 18 to 75 times less than any with one level wrong.
"""


_LARGEST_WINDOW = 64
_ACTIVATIONS: Mapping[str, object] = MappingProxyType(
    {
        "ReLU": "RELU",
        "leaky ReLU 0.01": ("LEAKYRELU", {"negative_slope": 0.01}),
        "leaky ReLU 0.1": ("LEAKYRELU", {"negative_slope": 0.1}),
        "ELU": "ELU",
        "GELU": "GELU",
        "Swish": "SWISH",
    }
)


def testing_guesses(model: SegmentationModel, case: Case) -> Testing[tuple[Agreement, ...]]:
    """Test guessed strides and activation of a U-Net by the running statistics of its batch norms.

    The stride of the top level is not tested: no batch norm comes after its transposed
    convolution, so that it leaves no trace. Nothing of the network changes.

    Returns
    -------
    An agreement for each guess that can be tested; none for ensembles, and networks without
    running statistics or guesses of this kind. Computed once per network and case.
    """
    if model.profile.architecture != "UNet" or case.missing or not batch_norms(model.network):
        return ()
    if len(members_of(model.network)) > 1:
        return ()  # each has arguments of its own
    kept = model.derive("guess agreements", WeakKeyDictionary[object, tuple[Agreement, ...]])
    if case not in kept:
        guessed = " ".join(model.profile.guessed)
        found: list[Agreement | None] = []
        # Residual connections show the strides, so there is nothing to test.
        if "The strides" in guessed and not model.profile.arguments.get("num_res_units"):
            found.append((yield from _tested_strides(model, case)))
        if "The activation" in guessed:
            found.append((yield from _tested_activation(model, case)))
        kept[case] = tuple(each for each in found if each is not None)
    return kept[case]


def channel_disagreement(
    network: nn.Module, window: torch.Tensor
) -> tuple[NDArray[np.float64], ...]:
    """Compare a window's statistics with the running ones at each batch norm's input.

    The batch norms take the window's own mean and variance, as in training, so that a difference
    in one layer does not reach the next. The network's state does not change.

    Parameters
    ----------
    network
        In evaluation mode.
    window
        (1, C, x, y, z), on the network's device.

    Returns
    -------
    For each batch norm, in the order they run, float64 (channels,): the symmetric
    Kullback-Leibler divergence ``((v/V + V/v) + (m - M)² (1/v + 1/V) - 2) / 4`` of the normal
    distributions with the window's mean m and variance v and with the running M and V, the
    layer's epsilon added to both variances.
    """
    import torch
    from torch.nn import functional

    found: list[NDArray[np.float64]] = []

    def compare(norm: _BatchNorm, inputs: tuple[torch.Tensor], _: torch.Tensor) -> torch.Tensor:
        assert norm.running_mean is not None  # noqa: S101 - these were chosen
        assert norm.running_var is not None  # noqa: S101
        (values,) = inputs
        variance, mean = torch.var_mean(values, dim=(0, 2, 3, 4), correction=0)
        v, m, running_v, running_m = (
            t.double().cpu().numpy() for t in (variance, mean, norm.running_var, norm.running_mean)
        )
        v, running_v = v + norm.eps, running_v + norm.eps
        ratio = v / running_v
        found.append((ratio + 1 / ratio + (m - running_m) ** 2 * (1 / v + 1 / running_v) - 2) / 4)
        return functional.batch_norm(
            values, None, None, norm.weight, norm.bias, training=True, momentum=0.0, eps=norm.eps
        )

    with ExitStack() as hooks, torch.inference_mode():
        for norm in batch_norms(network):
            hooks.callback(norm.register_forward_hook(compare).remove)
        network(window)
    return tuple(found)


def _tested_strides(model: SegmentationModel, case: Case) -> Testing[Agreement | None]:
    """Compare a U-Net's strides with those that have one lower level at 1; None: no window."""
    strides = tuple(model.profile.arguments["strides"])
    wanted = {strides} | {
        (*strides[:level], 1, *strides[level + 1 :]) for level in range(1, len(strides))
    }
    scores: dict[str, float] = {}
    for candidate in sorted(wanted, key=lambda each: each != strides):
        layers = _as_if(model, case, strides=candidate)
        yield
        if layers is None:
            return None
        # One wrong stride shows in one layer.
        scores[_listed(candidate)] = max(float(layer.mean()) for layer in layers)
    beyond = " below the top level, which leaves no trace"
    return _judged_guess("strides", _listed(strides), scores, beyond)


def _tested_activation(model: SegmentationModel, case: Case) -> Testing[Agreement | None]:
    """Compare ReLU with other activations that leave no trace in a file; None without a window."""
    scores: dict[str, float] = {}
    for name, act in _ACTIVATIONS.items():
        layers = _as_if(model, case, act=act)
        yield
        if layers is None:
            return None
        scores[name] = float(np.concatenate(layers).mean())
    return _judged_guess("activation", "ReLU", scores)


def _judged_guess(
    what: str, assumed: str, scores: Mapping[str, float], beyond: str = ""
) -> Agreement:
    """Decide from the scores of a guess and of other possibilities."""
    noun, verb = ("strides", "were") if what == "strides" else ("activation", "was")
    ranked = sorted(scores, key=lambda name: scores[name])
    within = scores[ranked[0]] * RATIO[what]
    alike = [name for name in ranked if scores[name] <= within]
    rest = [name for name in ranked if name not in alike]
    tested = f"The {noun} {assumed} {verb} tested on this image by the running statistics{beyond}"
    if assumed not in alike:
        best = alike[0]
        times = scores[assumed] / scores[best]
        sentence = (
            f"{tested}: {best} agrees {_times(times)} better; state the {noun} in the profile."
        )
        return Agreement(what, assumed, best, scores, sentence, sure=True)
    others = [name for name in alike if name != assumed]
    if not rest:
        sentence = f"{tested}: nothing else fits better or worse, so that this stays a guess."
        return Agreement(what, assumed, assumed, scores, sentence)
    times = scores[rest[0]] / scores[assumed]
    if others:
        sentence = f"{tested}: {', '.join(others)} fit as well, {', '.join(rest)} do not."
    else:
        sentence = f"{tested}: they agree {_times(times)} better than the next best."
        sentence = sentence.replace("they agree", "they agree" if verb == "were" else "it agrees")
    return Agreement(what, assumed, assumed, scores, sentence, sure=not others)


def _as_if(
    model: SegmentationModel, case: Case, **changes: object
) -> tuple[NDArray[np.float64], ...] | None:
    """Return the disagreement of a U-Net with the same weights and other arguments."""
    import torch
    from monai.networks.nets import UNet

    window = central_window(model, case, _LARGEST_WINDOW)
    if window is None:
        return None
    with torch.device("meta"):  # without numbers of its own
        twin = UNet(**{"spatial_dims": 3, **model.profile.arguments, **changes})
    twin.load_state_dict(model.network.state_dict(), assign=True)
    twin.eval()
    batch = torch.from_numpy(np.ascontiguousarray(window))[None].to(model.device)
    return channel_disagreement(twin, batch)


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """Return the layers of a network that have running statistics."""
    from torch.nn.modules.batchnorm import _BatchNorm

    return [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]


def _listed(strides: tuple[object, ...]) -> str:
    return ", ".join(map(str, strides))


def _times(ratio: float) -> str:
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.2g} times"
