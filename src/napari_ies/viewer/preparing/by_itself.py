"""SegmentsByItself: what was opened to be segmented is, where nothing speaks against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.viewer.feature import Services


class SegmentsByItself:
    """Segments once the checkpoint is loaded and nobody need look at anything first.

    Parameters
    ----------
    services
        The state, what loads checkpoints, and what says why nothing was segmented.
    segment
        Segments what is chosen.
    why_not
        What a person should look at first, in a sentence; empty for nothing.
    """

    def __init__(
        self, services: Services, segment: Callable[[], None], why_not: Callable[[], str]
    ) -> None:
        self._state, self._work, self._tell = services.state, services.work, services.tell
        self._segment, self._why_not = segment, why_not
        self._wanted = self._anyway = False
        self._read_before: bool | None = None
        """Whether a session of the chosen images is on offer; None until that is known."""
        state = self._state
        state.segment_wanted.connect(self._on_wanted)
        state.images_chosen.connect(self._on_images)
        state.looked_ahead.connect(self._on_looked)
        state.model_changed.connect(self.go_on)
        for other in (state.layers_given, state.reading_changed):
            other.connect(self.give_up)

    def give_up(self, _: object = None) -> None:
        """Leave it to a person to press Segment."""
        self._wanted = False

    def go_on(self, _: object = None) -> None:
        """Segment if that was asked for and all is there, or say what is to be looked at."""
        if not self._wanted or self._state.model is None or self._work.is_active("checkpoint"):
            return
        why = "" if self._anyway else self._why_not()
        if why:
            self.give_up()
            self._tell.say(f"Not segmented yet: {why}")
        elif self._anyway or self._read_before is False:
            self.give_up()
            self._segment()

    def _on_wanted(self, anyway: bool) -> None:
        self._wanted, self._anyway = True, anyway
        self.go_on()

    def _on_images(self, _: object) -> None:
        self._read_before = None

    def _on_looked(self, read_before: bool) -> None:
        self._read_before = read_before
        self.go_on()
