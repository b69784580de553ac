"""What can be chosen of several things that are there: a box to tick for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.controls import column, row, tick_box

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_ies.network.model import SegmentationModel

FOLDS, MIRRORING = "folds", "mirroring"
CALLED = {FOLDS: "Folds averaged", MIRRORING: "Mirrored along"}
ABOUT = {
    FOLDS: "The folds whose mean is taken, as nnU-Net does; each takes as long as the first.",
    MIRRORING: "Axes of the image along which each window is seen in mirrors too, as nnU-Net does; "
    "each of them doubles the time, and none is mirrored where no box is ticked.",
}


class Choice(QWidget):
    """Boxes side by side, some of which are ticked.

    Parameters
    ----------
    argument
        Of the profile, such as ``"folds"``.
    there
        What can be chosen.
    chosen
        What is.
    about
        What is said of it in the tooltip.
    """

    def __init__(
        self, argument: str, there: Sequence[str], chosen: Iterable[str], about: str
    ) -> None:
        super().__init__()
        self._argument, chosen = argument, set(chosen)
        name = f"profile_arguments.{argument}"
        describe(self, about, name)
        self._boxes = {one: tick_box(one, f"{name}.{one}", about, one in chosen) for one in there}
        column(self, row(*self._boxes.values(), (None, 1)))

    def value(self) -> Any:
        """Return what a profile file says of it."""
        ticked = [one for one, box in self._boxes.items() if box.isChecked()]
        if self._argument == MIRRORING and len(ticked) in (0, len(self._boxes)):
            return bool(ticked)
        return ticked


def choices_of(model: SegmentationModel, guessed: Mapping[str, str]) -> dict[str, Choice]:
    """Return what can be chosen of a network's checkpoint, as boxes, by the profile's argument.

    Parameters
    ----------
    model
        As it is chosen now.
    guessed
        What is said of a field that was not chosen by a person.
    """
    found = {}
    there = {} if model.preparation is None else model.preparation.choices
    for argument, several in there.items():
        if len(several) < (1 if argument == MIRRORING else 2):
            continue
        now = model.profile.arguments[argument]
        chosen = (several if now else ()) if isinstance(now, bool) else now
        said = guessed.get(f"arguments.{argument}", "")
        found[argument] = Choice(argument, several, chosen, f"{said}\n{ABOUT[argument]}".strip())
    return found
