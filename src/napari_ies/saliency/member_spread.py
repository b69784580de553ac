"""How far the maps of a network's members lie apart, beside the map of their mean logit.

The map of several networks as one is that of the mean of their logits, with the Monte-Carlo error
of the noise. What another set of members would have given is told by their own maps: each is
computed alone, with the same noise, and their standard deviation is kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_ies.saliency.problem import Estimate, Problem

TIMES = 2
"""So many times the work of the map itself: each member runs once more, alone."""


def with_spread(
    explain: Callable[[Problem], Iterator[Estimate]],
    problem: Problem,
    members: Sequence[Problem],
) -> Iterator[Estimate]:
    """Explain by the mean of members, and then by each of them.

    Parameters
    ----------
    explain
        Yields the estimates of a problem's targets.
    problem
        Of the mean.
    members
        The same problem with each member alone; none, if there is one only.

    Yields
    ------
    The estimates of `explain`, which show the map of the mean, then those of the work on each
    member, without a map; at the end one for each target, finished and with the members' maps.
    """
    if not members:
        yield from explain(problem)
        return
    found: dict[int, Estimate] = {}
    total = 1
    for estimate in explain(problem):
        total = estimate.total
        if estimate.finished:
            found[estimate.target] = estimate
        yield replace(estimate, total=TIMES * total)
    own: dict[int, list[torch.Tensor]] = {number: [] for number in found}
    for number, member in enumerate(members):
        for estimate in explain(member):
            mean, known = estimate.mean, found[estimate.target]
            if mean is not None and estimate.finished:
                values = estimate.box.lay(mean.cpu().numpy(), known.box)
                own[estimate.target].append(torch.from_numpy(values))
            share = (number + estimate.done / max(estimate.total, 1)) / len(members)
            done = total + min(int(total * share), total - 1)
            yield replace(known, done=done, total=TIMES * total, mean=None, standard_error=None)
    for target, known in found.items():
        maps = tuple(own[target])
        yield replace(known, done=TIMES * total, total=TIMES * total, members=maps)
