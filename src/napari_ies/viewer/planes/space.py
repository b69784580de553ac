"""SpaceView: the lesions in space, with the saliency of the selected one in a faint head."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

from napari_ies.errors import NapariIESError
from napari_ies.viewer.canvas.surfaces import surfaces_of
from napari_ies.viewer.work.failures import sentence
from napari_ies.viewer.work.lane import Errand

if TYPE_CHECKING:
    from napari_ies.viewer.canvas.layers import Scene
    from napari_ies.viewer.canvas.surfaces import Surfaces
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.state.tell import Tell
    from napari_ies.viewer.work.lane import Lane

logger = logging.getLogger("napari_ies")

FROM_THE_FRONT = (0.35, 1.0, 0.45)
"""Direction of sight (inferior, posterior, left): from the front, a little from above and right."""
CLOSER = 1.5
"""napari leaves room for the corners of the volume, where no head is."""
MAKING = "Making the surfaces of the head and the lesions…"
MADE = "The head and the lesions are shown as surfaces."
SUPERIOR = (-1.0, 0.0, 0.0)


@dataclass(frozen=True)
class _Slices:
    """The 2-d view as it was."""

    order: tuple[int, ...]
    point: tuple[float, ...]
    zoom: float
    center: tuple[float, ...]
    hidden: tuple[str, ...]


class SpaceView:
    """The 3-d view of a reading, and the way back to the slices as they were.

    Parameters
    ----------
    viewer, scene
        The viewer and what the panel shows in it.
    tell
        Where it is said that surfaces are being made.
    lane
        The thread that makes them.
    """

    def __init__(self, viewer: Any, scene: Scene, tell: Tell, lane: Lane) -> None:
        self._viewer, self._scene, self._tell, self._lane = viewer, scene, tell, lane
        self._given_up = Event()
        self._slices: _Slices | None = None
        self._reading: Reading | None = None
        self._selected: Any = None
        self._selected_before: Any = None

    @property
    def entered(self) -> bool:
        """Whether the 3-d view is on show through this."""
        return self._slices is not None

    def enter(self, reading: Reading | None) -> None:
        """Show space; images make way for a faint surface of the head where there is a reading."""
        dims, camera = self._viewer.dims, self._viewer.scene.camera
        # Images in space are costly, and a head full of grey hides its lesions.
        hidden = self._scene.hide_images() if reading is not None else ()
        self._slices = _Slices(
            tuple(dims.order), tuple(dims.point), camera.zoom, tuple(camera.center), hidden
        )
        self._selected_before = self._selected
        self._make(reading)
        dims.order = tuple(range(dims.ndim))
        dims.ndisplay = 3
        camera.set_view_direction(view_direction=FROM_THE_FRONT, up_direction=SUPERIOR)
        self._viewer.fit_to_view()
        camera.zoom *= CLOSER

    def follow(self, reading: Reading | None) -> bool:
        """Stay in space where a reading is the one on show at another threshold; say whether."""
        before = self._reading
        if self._slices is None or reading is None or before is None:
            return False
        if before.lineage is not reading.lineage:
            return False
        self._given_up.set()
        self._scene.space.hide()  # they are of the lesions before
        self._make(reading)
        return True

    def leave(self, to_chosen: bool = False) -> None:
        """Show the slices again, as they were, or at what was chosen in space if that is asked."""
        if self._slices is None:
            return
        slices, self._slices = self._slices, None
        self.give_up()
        dims, camera = self._viewer.dims, self._viewer.scene.camera
        self._scene.space.hide()
        dims.ndisplay = 2
        if len(slices.order) == dims.ndim:
            dims.order = slices.order
            dims.point = slices.point
        self._scene.show_images(slices.hidden)
        camera.center = slices.center
        camera.zoom = slices.zoom
        reading, chosen = self._reading, self._selected
        other = chosen is not None and chosen != self._selected_before
        if to_chosen and reading is not None and other:
            place = reading.place_of(chosen)
            if place is not None:
                self._scene.look_at(reading.frame.to_world(place.centre))

    def give_up(self) -> None:
        """Wait for no surfaces any more."""
        self._given_up.set()
        self._said("")

    def colour(self, selected: Any) -> None:
        """Tell the selected lesion from the others."""
        self._selected = selected
        if self._slices is not None:
            self._scene.space.colour(self._scene.lesions.matches, selected)

    def _make(self, reading: Reading | None) -> None:
        """Have the surfaces of a reading made, and shown when they are."""
        self._reading = reading
        if reading is None:
            return
        self._given_up = Event()
        work = partial(surfaces_of, reading, self._given_up.is_set)
        self._lane.add(Errand(work, partial(self._on_surfaces, reading), self._on_failed))
        self._tell.say(MAKING)

    def _on_failed(self, error: Exception) -> None:
        if not isinstance(error, NapariIESError):
            logger.error("The lesions could not be shown in space", exc_info=error)
        self._tell.fail(f"The lesions cannot be shown in space: {sentence(error)}")

    def _on_surfaces(self, reading: Reading, surfaces: Surfaces | None) -> None:
        if surfaces is None or self._slices is None or reading is not self._reading:
            return
        with self._tell.announce("Drawing the surfaces of the head and the lesions…"):
            matches = self._scene.lesions.matches
            self._scene.space.show(surfaces, reading.frame, matches, self._selected)
        self._said(MADE)

    def _said(self, text: str) -> None:
        """Say that the surfaces are made, or gone, unless something else was said meanwhile."""
        if self._tell.text in (MAKING, MADE):
            self._tell.say(text)
