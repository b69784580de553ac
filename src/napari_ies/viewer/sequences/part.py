"""Sequences: one sequence at a time, its image and its map together, and what is on show named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.viewer.canvas.layers.anatomy import next_of
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.sequences.beside import Beside
from napari_ies.viewer.sequences.switch import SequenceSwitch
from napari_ies.viewer.state.captions import (
    SPACE,
    caption_of,
    is_odd,
    short_caption_of,
    while_awaited,
)
from napari_ies.viewer.work.qt_clock import Soon

if TYPE_CHECKING:
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.loaded import Chosen
    from napari_ies.viewer.state.reading import Reading


class Sequences(Feature):
    """Switches image, map and limits together, and writes on the canvas what is shown."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._anatomy, self._overlays = self.scene.anatomy, self.scene.overlays
        self._names: tuple[str, ...] = ()
        self._wanted: str | None = None
        self._chosen_in_space = False
        self.switch = SequenceSwitch()
        self.beside = Beside(self.viewer, self.scene, self.state)
        self.switch.chosen.connect(self.show)
        self.switch.beside_toggled.connect(self.toggle_beside)
        self._soon = Soon(self._say, self.switch)  # once for many changes at a time
        self.state.reading_changed.connect(self._on_reading)
        self.state.images_chosen.connect(self._on_images)
        self.state.answer_shown.connect(self._on_answer)
        self.state.selection_changed.connect(self._ask)
        self.scene.room_taken.connect(self._on_room_taken)
        self.link.layers_changed.connect(self._anatomy.follow_layers)
        self.link.view_changed.connect(self._on_view)
        for ended in (self.work.idle, self.work.started, self.work.cancelled):
            ended.connect(self._ask)
        self.views = (Placed(Place.VIEW_BUTTON, [self.switch]),)
        self.actions = {"sequence": self.show_next, "sequences": self.toggle_beside}

    def attach(self) -> None:
        """Follow the layers."""
        for watched in (self._overlays, self._anatomy):
            watched.changed.disconnect(self._ask)
            watched.changed.connect(self._ask)
        self._anatomy.attach()

    def release(self) -> None:
        """Leave the layers to themselves."""
        for watched in (self._overlays, self._anatomy):
            watched.changed.disconnect(self._ask)
        self._anatomy.release()
        self._soon.stop()
        self._go_back()

    def show(self, name: str) -> None:
        """Show a sequence: its image, its map, and the limits of that."""
        self._wanted, self._chosen_in_space = name, self._in_space
        if not self._in_space:
            self._anatomy.show(name)
        self._overlays.set_sequence(name)
        self._say()

    def show_next(self) -> None:
        """Show the next sequence; or the same again, if another image lies over it."""
        names, wanted, shown = self._names, self._wanted, self._anatomy.shown
        if wanted is None:
            return
        if self._in_space or self._anatomy.layer_of(wanted) is None:
            self.show(next_of(names, wanted))
        else:
            self.show(next_of(names, shown) if shown in names else wanted)

    @property
    def _in_space(self) -> bool:
        """Whether surfaces are shown in place of images."""
        return self.scene.lesions.replaced and self._anatomy.shown is None

    def toggle_beside(self) -> None:
        """Show another sequence beside the one on show, or that one alone again."""
        if self.beside.second is not None:
            self._go_back()
        elif len(self._anatomy.sequences) > 1:
            self.scene.room_taken.emit(self)
            with self.tell.announce("Opening the second view…"):
                if self._anatomy.shown not in self._anatomy.sequences:
                    self.show_next()
                second = self.beside.open(self.switch, self._go_back)
                if second is not None:
                    self.link.follow(second, second.overlays.visible_sequences)
            self.switch.set_beside(self.beside.second is not None)
            self._say()

    def _go_back(self) -> None:
        self.beside.close()
        self.switch.set_beside(False)

    def _on_room_taken(self, part: object) -> None:
        if part is not self and self.beside.second is not None:
            self._go_back()
            self.tell.say("The second sequence was closed: there is no room beside other planes.")

    def _on_answer(self, _: object = None) -> None:
        self.beside.show_map()
        self._say()  # at once: what is said of a map is never later than the map

    def _on_reading(self, reading: Reading | None) -> None:
        """Show the sequence that was on show, if there is one, else the first; two if two were."""
        two = self.beside.second is not None
        self._offer(() if reading is None else reading.case.sequences)
        if self._wanted is not None and self._names:
            self.show(self._wanted)
            if two:
                self.toggle_beside()

    def _on_images(self, chosen: Chosen | None) -> None:
        """Switch between the images that are to be segmented, as they lie."""
        if self.state.reading is None:
            self._anatomy.set_layers({} if chosen is None else chosen.layers)
            self._offer(() if chosen is None else tuple(chosen.layers))
            self._ask()

    def _offer(self, names: tuple[str, ...]) -> None:
        self._go_back()
        self._names = names
        self.switch.set_sequences(names)
        if names and self._wanted not in names:
            self._wanted = names[0]

    def _on_view(self) -> None:
        """Show the image of what was chosen while surfaces stood for the images."""
        if self._chosen_in_space and not self._in_space and self._wanted is not None:
            self._chosen_in_space = False
            self._anatomy.show(self._wanted)
        self._ask()

    def _ask(self, _: object = None) -> None:
        self._soon.ask()

    def _say(self) -> None:
        """Write on the canvas what is shown, whoever showed it."""
        shown, image = self.state.shown, self._anatomy.shown
        maps = () if shown is None else self._overlays.visible_sequences()
        running = self.explaining.running
        in_space = self._in_space
        ground = SPACE if in_space else image
        computed = self.explaining.computed
        said = []
        for words in (caption_of, short_caption_of):
            parts = words(shown, maps, ground, running=running)
            said.append(while_awaited(parts, *computed, shown) if computed else parts)
        odd = not in_space and is_odd(maps, image)
        whole, short = said if len(self.viewer.layers) else ((), ())
        odd = odd or (computed is not None and shown is not None)
        hidden = not maps and computed is None
        self.scene.legend.set_caption(whole, short=short, odd=odd, hidden=hidden)
        self.switch.set_shown(self._wanted if in_space else image)
        self.beside.follow(running, computed)
