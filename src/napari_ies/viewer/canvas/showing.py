"""Showing: what the state says is shown in the viewer, and what is clicked there is explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.viewer.canvas.picking import pick_lesion
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.canvas.layers import Scene
    from napari_ies.viewer.canvas.picking import Click
    from napari_ies.viewer.canvas.viewer_link import ViewerLink
    from napari_ies.viewer.state.answers import Answer
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.state.state import State
    from napari_ies.viewer.work.explaining import Explaining


class Showing:
    """Follows the state before any part of the panel does, which then finds the layers there.

    Parameters
    ----------
    state, scene
        What is shown, and where.
    link, explaining
        What happens in the viewer, and what a click asks for.
    """

    def __init__(
        self, state: State, scene: Scene, link: ViewerLink, explaining: Explaining
    ) -> None:
        self._state, self._scene, self._explaining = state, scene, explaining
        state.reading_changed.connect(self._on_reading)
        state.selection_changed.connect(self._on_selected)
        state.answer_shown.connect(self._on_answer)
        state.answer_kept.connect(self._on_kept)
        self._selected: Subject | None = None
        self._lineage: object = None
        # Each in a turn of its own: the window need not stand still for all of them together.
        self._soon = Soon(self._prepare)
        link.clicked.connect(self._on_clicked)
        link.view_changed.connect(scene.lesions.follow_view)
        link.layers_changed.connect(scene.lesions.follow_layers)

    def _on_reading(self, reading: Reading | None) -> None:
        if reading is None:
            self._scene.clear()
            return
        self._scene.show_reading(reading)
        self._soon.ask()
        before, self._lineage = self._lineage, reading.lineage
        # At another threshold, or where somebody left off, it stays as a person looks at it.
        if before is reading.lineage or reading.session is not None:
            return
        found = reading.largest_first
        if found and not self._scene.shows_any(found):
            self._scene.look_at(reading.frame.to_world(reading.places[found[0]].centre))

    def release(self) -> None:
        """Make no more layers: the viewer may be going.

        Captions go with the panel. A map that is stopped in the middle then says by the names of
        its layers, which stay, that it is none of all the samples asked for.
        """
        self._soon.stop()
        shown = self._state.shown
        if shown is not None and not shown.finished:
            self._scene.mark_unfinished()

    def _prepare(self) -> None:
        if self._scene.prepare():
            self._soon.ask()

    def _on_selected(self, subject: Subject | None) -> None:
        reading, voxel = self._state.reading, self._state.at
        before, self._selected = self._selected, subject
        if reading is None or subject is None or voxel is None:
            return
        place, displayed = reading.place_of(subject), reading.displayed(subject)
        self._scene.lesions.select(subject, *displayed)
        # Explained once more it stays as a person looks at it.
        centred = place is not None and voxel == place.centre
        if not (subject == before and centred and self._scene.shows(*displayed)):
            self._scene.look_at(reading.frame.to_world(voxel))

    def _on_answer(self, answer: Answer) -> None:
        reading = self._state.reading
        if reading is not None:
            frame, show, ranges = reading.frame, self._scene.overlays.show, answer.ranges
            power = self._state.answers.power(answer)
            show(answer.saliency, frame, answer.title, answer.limit, ranges=ranges, power=power)

    def _on_kept(self, _: Answer) -> None:
        shown = self._state.shown
        if shown is not None:
            self._scene.overlays.set_power(self._state.answers.power(shown))

    def _on_clicked(self, click: Click) -> None:
        reading = self._state.reading
        if reading is None:
            return
        here = self._scene.in_mm(click.position)
        sight = None if click.direction is None else self._scene.in_mm(click.direction)
        labels = reading.segmentation.labels
        pick = pick_lesion(labels, reading.frame, here, sight, click.depth)
        if pick is not None:
            self._explaining.explain(*pick)
