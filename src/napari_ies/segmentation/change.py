"""Change: what became of the lesions that were found, from one threshold to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.printable import counted, joined

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from napari_ies.segmentation.segmentation import Segmentation

MOST_NAMED = 30
"""So many changed lesions are named one by one."""


@dataclass(frozen=True)
class Change:
    """What became of the lesions that were found, by their numbers.

    Those of a reference that were missed do not count: no network found them.
    """

    same: tuple[int, ...]
    """Those that are in both, with the same voxels."""
    back: tuple[int, ...]
    """Those that an earlier table had, and are there again with the same voxels."""
    changed: Mapping[int, tuple[int, ...]]
    """Of each that shares voxels with lesions of before and is none of them: which those are."""
    new: tuple[int, ...]
    """Those that share no voxel with a lesion of before."""
    gone: tuple[int, ...]
    """Those of before that share no voxel with a lesion there is now."""
    larger: frozenset[int]
    """Those of the changed that have more voxels than all of theirs of before together."""

    @property
    def parts(self) -> dict[int, tuple[int, ...]]:
        """By lesion of before, what it was split into; those that share theirs are merged."""
        alone = {now: were[0] for now, were in self.changed.items() if len(were) == 1}
        parts: dict[int, list[int]] = {}
        for now, was in alone.items():
            parts.setdefault(was, []).append(now)
        return {was: tuple(those) for was, those in parts.items() if len(those) > 1}

    @property
    def merged(self) -> dict[int, tuple[int, ...]]:
        """By lesion of now, the several of before that it was merged from."""
        return {now: were for now, were in self.changed.items() if len(were) > 1}

    @property
    def words(self) -> str:
        """How many stayed, changed, came and went."""
        said = [
            f"{counted(len(self.same), 'lesion')} stayed the same",
            f"{len(self.changed)} changed{self._how()}",
            f"{len(self.new)} new",
            f"{len(self.gone)} gone",
        ]
        if self.back:
            said.append(
                f"{len(self.back)} back as {'it was' if len(self.back) == 1 else 'they were'}"
            )
        return ", ".join(said)

    @property
    def renumbered(self) -> str:
        """Which numbers those of before have now: ``4 is now 16, 7 and 8 are now 19``."""
        into: dict[tuple[int, ...], list[int]] = {}
        for now, were in self.changed.items():
            into.setdefault(were, []).append(now)
        named = [
            f"{joined(were)} {'is' if len(were) == 1 else 'are'} now {joined(those)}"
            for were, those in sorted(into.items())
        ]
        more = len(named) - MOST_NAMED
        return ", ".join([*named[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])

    @property
    def named_gone(self) -> str:
        """The numbers of those that are gone: ``6, 11 and 14``."""
        more = len(self.gone) - MOST_NAMED
        named = [str(number) for number in self.gone[:MOST_NAMED]]
        return joined([*named, *([f"{more} more"] if more > 0 else [])])

    def _how(self) -> str:
        parts, merged = self.parts, self.merged
        pieces = [now for those in parts.values() for now in those]
        single = self.changed.keys() - {*pieces} - merged.keys()
        larger = len(single & self.larger)
        of = {was for were in merged.values() for was in were}
        said = [(len(single) - larger, "smaller"), (larger, "larger")]
        said.append((len(pieces), f"parts of {len(parts)} that split"))
        said.append((len(merged), f"merged from {len(of)}"))
        how = [f"{count} {what}" for count, what in said if count]
        return f" ({', '.join(how)})" if how else ""


def change_of(before: Segmentation, after: Segmentation, former: Collection[int] = ()) -> Change:
    """Return what became of the lesions that were found.

    Parameters
    ----------
    before, after
        The same patient on the same grid; a number never means other voxels in the other one.
    former
        The numbers of lesions that earlier tables had.
    """
    old, labels = found_labels(before), found_labels(after)
    size, own = _sizes(old), _sizes(labels)
    both = (old > 0) & (labels > 0)
    pairs = np.unique(labels[both].astype(np.int64) << 32 | old[both])
    shared: dict[int, tuple[int, ...]] = {}
    for number, other in zip((pairs >> 32).tolist(), (pairs & 0xFFFFFFFF).tolist(), strict=True):
        shared[number] = (*shared.get(number, ()), other)
    same = tuple(number for number in own if number in size)
    back = tuple(number for number in own if number not in size and number in former)
    rest = [number for number in own if number not in {*same, *back}]
    changed = {number: shared[number] for number in rest if number in shared}
    going_on = {other for others in shared.values() for other in others}
    return Change(
        same,
        back,
        changed,
        tuple(number for number in rest if number not in shared),
        tuple(number for number in size if number not in going_on),
        frozenset(n for n, were in changed.items() if own[n] > sum(size[one] for one in were)),
    )


def found_labels(segmentation: Segmentation) -> NDArray[np.int32]:
    """Return the labels without those of the reference that were missed."""
    labels, lesions = segmentation.labels, segmentation.lesions
    if "match" not in lesions:
        return labels
    missed = lesions.index[lesions["match"] == "FN"]
    return np.where(np.isin(labels, missed), np.int32(0), labels)


def _sizes(labels: NDArray[np.int32]) -> dict[int, int]:
    """Return how many voxels each lesion has, in the order of their numbers."""
    numbers, counts = np.unique(labels[labels > 0], return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))
