"""Several networks, or one seen in mirrors, as one network: the mean of their logits."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_ies.errors import SegmentationError

if TYPE_CHECKING:
    from collections.abc import Sequence

Mirror = tuple[int, ...]
"""Axes of a window, 0 to 2, that run backwards in it."""

MIRRORED_VOXELS = 2**18
"""Mirror images of no more voxels than this run as one batch: a graph of some 100 MB."""


class Members(nn.Module):
    """The mean of networks' logits, of each its mean over mirror images.

    Parameters
    ----------
    networks
        All with the same layers.
    mirrored
        Axes (0 to 2) that are mirrored, each alone and with the others, as nnU-Net does.
    average
        ``"probability"`` or ``"logit"``: what makes the lesions' probability.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        mirrored: Sequence[int] = (),
        average: str = "logit",
    ) -> None:
        super().__init__()
        self.average = average
        self.members = nn.ModuleList(networks)
        self.mirrored = tuple(mirrored)
        self.mirrors: tuple[Mirror, ...] = tuple(
            axes for count in range(len(mirrored) + 1) for axes in combinations(mirrored, count)
        )

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the mean logits, (N, classes, x, y, z), of a batch (N, C, x, y, z)."""
        total: Any = 0
        for member in self.members:
            for mirror in self.mirrors:
                total = total + InMirrors(member, [mirror])(batch)
        mean: torch.Tensor = total / (len(self.members) * len(self.mirrors))
        return mean


class InMirrors(nn.Module):
    """The mean of a network's logits over mirror images, which it sees as one batch.

    Parameters
    ----------
    network
        Gives logits of the input's size, or several outputs of which the first is.
    mirrors
        At least one.
    """

    def __init__(self, network: nn.Module, mirrors: Sequence[Mirror]) -> None:
        super().__init__()
        self.network, self.mirrors = network, tuple(mirrors)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return logits (N, classes, x, y, z) of a batch (N, C, x, y, z)."""
        views = [mirror_image(batch, mirror) for mirror in self.mirrors]
        seen = self.network(torch.cat(views) if len(views) > 1 else views[0])
        logits = seen[0] if isinstance(seen, (list, tuple)) else seen
        several = logits.view(len(views), len(batch), *logits.shape[1:]).unbind()
        back = [mirror_image(*one) for one in zip(several, self.mirrors, strict=True)]
        total: Any = sum(back[1:], back[0])
        mean: torch.Tensor = total / len(back) if len(back) > 1 else total
        return mean


def one_network(networks: Sequence[nn.Module], mirrored: Sequence[int] = ()) -> nn.Module:
    """Return networks as one: the network itself where it is a single one without mirrors."""
    return networks[0] if len(networks) == 1 and not mirrored else Members(networks, mirrored)


def members_of(network: nn.Module) -> tuple[nn.Module, ...]:
    """Return the networks that a network is the mean of: itself, where it is a single one."""
    return tuple(network.members) if isinstance(network, Members) else (network,)


def alone(network: nn.Module) -> tuple[nn.Module, ...]:
    """Return each member as a network of its own that sees the same mirror images.

    Nothing, where there is one member only.
    """
    if not isinstance(network, Members) or len(network.members) == 1:
        return ()
    return tuple(one_network([one], network.mirrored) for one in network.members)


def averages_probabilities(network: nn.Module) -> bool:
    """Whether a network's probability is the mean of its members', not that of its logit."""
    return isinstance(network, Members) and network.average == "probability"


def check_one_logit(network: nn.Module) -> None:
    """Refuse to compute a probability from logits that it does not follow from.

    Raises
    ------
    SegmentationError
        If it is the mean of several members' probabilities.
    """
    if averages_probabilities(network):
        raise SegmentationError(
            "Changed images (what-if, context) are not computed with an ensemble whose "
            'probabilities are averaged: have it average logits ("average": "logit"), or choose '
            "one of its members."
        )


def mirrors_of(network: nn.Module) -> tuple[Mirror, ...]:
    """Return the mirror images that each member sees, in the order in which they run."""
    return network.mirrors if isinstance(network, Members) else ((),)


def mirrors_together(network: nn.Module, voxels: int) -> list[tuple[Mirror, ...]]:
    """Return the mirror images in batches that run through a member at once.

    Those of small windows take a fraction of the time so; large ones would take memory only.

    Parameters
    ----------
    network
        What is seen in mirrors.
    voxels
        Of a window.
    """
    mirrors = mirrors_of(network)
    size = max(min(MIRRORED_VOXELS // voxels, len(mirrors)), 1)
    return [mirrors[start : start + size] for start in range(0, len(mirrors), size)]


def mirror_image(values: torch.Tensor, mirror: Mirror) -> torch.Tensor:
    """Return values (..., x, y, z) with some axes backwards; undoes itself."""
    return values.flip([axis - 3 for axis in mirror]) if mirror else values
