"""Gradients of a window's logits with respect to its input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_ies.checkpoints.device import exact_float32
from napari_ies.inference import network_logits

if TYPE_CHECKING:
    from torch import nn


class WindowGradients:
    """One forward of one noisy window, ready to be differentiated many times.

    Parameters
    ----------
    network
        In evaluation mode, its weights not requiring gradients.
    window
        (C, x, y, z): the normalised, noisy input.
    class_index
        Output channel whose logit is differentiated.
    """

    def __init__(self, network: nn.Module, window: torch.Tensor, class_index: int) -> None:
        with torch.enable_grad(), exact_float32():
            self._input = window.detach().clone()[None].requires_grad_()
            self._logits = network_logits(network, self._input)[0, class_index]

    def combined(self, local: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return the gradient of a weighted sum of logits.

        Parameters
        ----------
        local
            int64 (R, 3): voxels of the window.
        weight
            (R,): their weights.

        Returns
        -------
        (C, x, y, z)
        """
        cotangent = torch.zeros_like(self._logits)
        cotangent[tuple(local.T)] = weight.to(cotangent)
        with exact_float32():
            (gradient,) = torch.autograd.grad(
                self._logits, self._input, cotangent, retain_graph=True
            )
        return gradient[0]
