"""Preparation: how another tool makes a network's input of a case, and its results of logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from napari_ies.geometry.orientation import Reorientation
    from napari_ies.patient.case import Case
    from napari_ies.progress import Progress

    Blending = Callable[
        [nn.Module, torch.device, torch.Tensor],
        Generator[Progress[Any], None, tuple[int, torch.Tensor]],
    ]


class Preparation(Protocol):
    """What a tool does around its networks, by its own functions.

    The network's space is a grid along the stored axes, so that a place in it is a place in the
    patient: cropped, or of other voxels. Gradients are those in it.
    """

    @property
    def normalises(self) -> bool:
        """Whether its cases hold what the network gets; else the profile normalises them."""

    @property
    def steps(self) -> tuple[str, ...]:
        """What it does to the images, step by step, in the tool's own names."""

    @property
    def blend(self) -> Blending | None:
        """The tool's own sliding window over an image (C, x, y, z), in the network's axes.

        Yields a report after each pass of the network, and returns how many there were and the
        logits, float32 (classes, x, y, z) on the CPU. Who stops iterating ends it. None where the
        profile says which windows there are and how they are blended.
        """

    @property
    def own(self) -> Mapping[str, str]:
        """What the tool does itself and nobody states: fields of a profile, each in words."""

    @property
    def choices(self) -> Mapping[str, Sequence[str]]:
        """What a person chooses some of: arguments of a profile, each with all that is there."""

    def network_case(self, case: Case, statistics: Case | None) -> Case:
        """Return a case in the network's space, (C, X', Y', Z').

        It is another case than the one given, and made anew each time. `statistics` is what was
        made of the case that it is a changed copy of (`Case.normalised_as`), or None.

        Raises
        ------
        SegmentationError
            If the tool makes no input of this case.
        """

    def turn(self, case: Case) -> Reorientation:
        """Return how the axes of a case, as stored or in the network's space, are turned."""

    def to_stored(self, values: NDArray[np.float32], seen: Case, case: Case) -> NDArray[np.float32]:
        """Bring logits from the network's space to the stored grid.

        Parameters
        ----------
        values
            float32 (classes, X', Y', Z').
        seen, case
            What :meth:`network_case` returned, and what it was made of.

        Returns
        -------
        float32 (classes, X, Y, Z); outside the network's space those that mean background.
        """

    def marked(
        self, logits: NDArray[np.floating[Any]], class_index: int
    ) -> tuple[float, NDArray[np.bool_]] | None:
        """Return what the tool itself marks, where that is not what lies above a threshold.

        Parameters
        ----------
        logits
            (classes, …), such as :meth:`to_stored` returns them, of any voxels.
        class_index
            Which class.

        Returns
        -------
        The threshold that stands for the tool's own decision, and bool (…); or None.
        """

    def notes(self, case: Case) -> tuple[str, ...]:
        """Say what it does to this case: plain sentences."""
