"""What became of each lesion when the probability changed, as numbers and as a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_ies.segmentation.segmentation import Segmentation

NOTHING_CHANGED = "No lesion changes its volume, or its mean probability by more than a hundredth."


@dataclass(frozen=True)
class LesionChange:
    """One lesion before and after."""

    label: int | None
    """Its label before, or None for a lesion where none was marked before."""
    mean_before: float
    mean_after: float
    """Mean probability over the voxels it had before; of a new lesion, over its voxels now."""
    volume_before_mm3: float
    """What the network marked of it: 0 for a new lesion, and for one of the reference only (FN)."""
    volume_after_mm3: float
    """Volume of all that is marked now and shares a voxel with it; 0 if nothing does."""
    joined: tuple[int, ...] = ()
    """Labels of other lesions that are marked as one with it now and were not before."""

    @property
    def noticeable(self) -> bool:
        """Whether its volume changed, or its mean probability by more than a hundredth."""
        return (
            self.volume_before_mm3 != self.volume_after_mm3
            or abs(self.mean_after - self.mean_before) > 0.01
        )

    @property
    def sentence(self) -> str:
        """The change in one sentence."""
        who = "New lesion" if self.label is None else f"Lesion {self.label}"
        numbers = (
            f"{who}: mean probability {self.mean_before:.2f} → {self.mean_after:.2f}, volume "
            f"{self.volume_before_mm3:.0f} → {self.volume_after_mm3:.0f} mm³"
        )
        return f"{numbers}: {self._outcome}."

    @property
    def _outcome(self) -> str:
        before, after = self.volume_before_mm3, self.volume_after_mm3
        if self.label is None:
            return "the network marks it where it marked nothing"
        if self.joined:
            others = " and ".join(map(str, self.joined))
            return f"the network marks it as one with lesion {others}"
        if after == 0:
            return "the network no longer marks it" if before else "the network still misses it"
        if before == 0:
            return "the network marks it now"
        if after == before:
            return "the network marks it as before"
        return f"the network marks it, {'larger' if after > before else 'smaller'} than before"


def lesion_changes(
    before: Segmentation,
    labels: NDArray[np.int32],
    probability: NDArray[np.float32],
    voxel_mm3: float,
) -> tuple[LesionChange, ...]:
    """Compare the lesions of a segmentation with those after a change.

    Parameters
    ----------
    before
        The segmentation before.
    labels, probability
        (X, Y, Z): the lesions and the probability after.
    voxel_mm3
        Volume of a voxel.

    Returns
    -------
    Every lesion before and every new one, the largest change of mean probability first.
    """
    missed = _missed(before)
    touching = _touching(before.labels, labels)
    volumes = np.bincount(labels.ravel()) * voxel_mm3
    means = [_means(before.labels, p) for p in (before.probability, probability)]
    sizes = np.bincount(before.labels.ravel())
    changes = []
    for label in (int(label) for label in before.lesions.index):
        now = {b for a, b in touching if a == label}
        joined = {a for a, b in touching if b in now and a != label}
        changes.append(
            LesionChange(
                label=label,
                mean_before=float(means[0][label]),
                mean_after=float(means[1][label]),
                volume_before_mm3=0.0 if label in missed else float(sizes[label] * voxel_mm3),
                volume_after_mm3=float(sum(volumes[b] for b in now)),
                joined=tuple(sorted(joined)),
            )
        )
    means = [_means(labels, p) for p in (before.probability, probability)]
    known = {b for _, b in touching}
    new = [b for b in range(1, len(volumes)) if b not in known and volumes[b] > 0]
    changes += [
        LesionChange(None, float(means[0][b]), float(means[1][b]), 0.0, float(volumes[b]))
        for b in new
    ]
    return tuple(sorted(changes, key=lambda c: -abs(c.mean_after - c.mean_before)))


def change_sentences(changes: Sequence[LesionChange]) -> tuple[str, ...]:
    """Return a sentence per lesion that changed noticeably, or one that says none did."""
    sentences = tuple(change.sentence for change in changes if change.noticeable)
    return sentences or (NOTHING_CHANGED,)


def _missed(segmentation: Segmentation) -> set[int]:
    table = segmentation.lesions
    if "match" not in table.columns:
        return set()
    return {int(label) for label in table.index[table["match"] == "FN"]}


def _touching(before: NDArray[np.int32], after: NDArray[np.int32]) -> set[tuple[int, int]]:
    """Return the pairs of labels, before and after, that share a voxel."""
    both = (before > 0) & (after > 0)
    pairs = np.unique(np.column_stack([before[both], after[both]]), axis=0)
    return {(int(a), int(b)) for a, b in pairs}


def _means(labels: NDArray[np.int32], probability: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean probability of each label; index 0 is the background."""
    sizes = np.bincount(labels.ravel())
    sums = np.bincount(labels.ravel(), weights=probability.ravel().astype(np.float64))
    return sums / np.maximum(sizes, 1)
