"""Regions: explains any region, and shows what the network would mark were it different."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_ies.errors import NapariIESError
from napari_ies.viewer.canvas.layers import key_of
from napari_ies.viewer.canvas.layers.counterfactual import CHANGE, IMAGE, ORIGINAL
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.regions.region_choice import RegionChoice, choose_region, see_changes
from napari_ies.viewer.regions.regions_view import NO_REGION, SELECTED, VOXEL, RegionsView
from napari_ies.viewer.volumes.sources import source_of
from napari_ies.viewer.work.job import Job

if TYPE_CHECKING:
    from napari_ies.counterfactual.counterfactual import Counterfactual
    from napari_ies.segmentation.segmentation import Segmentation
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.regions.region_choice import ChosenRegion
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.state.seen_change import SeenChange

UNSEGMENTED = "Segment the images first."
UNCHANGED = "Nothing was changed yet."


class Regions(Feature):
    """The tab "Regions" and what it asks for.

    Attributes
    ----------
    counterfactual
        The change that is shown, or None.
    """

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.counterfactual: Counterfactual | None = None
        # As the reading's, with its logits once they are known.
        self._segmentation: Segmentation | None = None
        self.view = RegionsView()
        state, scene = self.state, self.scene
        self.view.region.new_requested.connect(self.add_region)
        self.view.region.explain_requested.connect(self.explain)
        self.view.region.changed.connect(self._refresh)
        self.view.what_if.run_requested.connect(self.see_changes)
        self.view.what_if.undo_requested.connect(self.undo)
        self.view.what_if.shown_chosen.connect(self._show)
        self.view.region.renamed.connect(self._rename)
        self.link.layers_changed.connect(self._on_layers_changed)
        state.reading_changed.connect(self._on_reading)
        state.selection_changed.connect(self._on_selected)
        state.answer_shown.connect(scene.counterfactual.make_way)
        self._refresh()
        about = "Explain any region, and see what the network would mark were it different."
        self.views = (Placed(Place.TAB, [self.view], "Regions", about),)
        self.actions = {"what_if": self.flick}

    def attach(self) -> None:
        """Follow what is shown: regions are outlines while a map is."""
        for watched in (self.scene.overlays, self.scene.counterfactual):
            watched.changed.disconnect(self._follow)
            watched.changed.connect(self._follow)
        self._follow()

    def release(self) -> None:
        """Leave the layers as their owner made them."""
        for watched in (self.scene.overlays, self.scene.counterfactual):
            watched.changed.disconnect(self._follow)
        self.scene.regions.fill()

    def flick(self) -> None:
        """Show the changed image in place of the original, or the original again."""
        if self.counterfactual is None:
            self.tell.hint(f"{UNCHANGED} The tab Regions changes a region, and shows what follows.")
            return
        self._show(ORIGINAL if self.scene.counterfactual.shows == IMAGE else IMAGE)

    def add_region(self) -> None:
        """Add an empty layer to paint a region in, and take it as the region."""
        reading = self.state.reading
        if reading is None:
            return
        key = self.scene.regions.add(reading.case, reading.frame)
        self._on_layers_changed()
        self.view.region.choose(key)
        self.view.region.ask_for_name()
        self.tell.say("Paint the region with the brush, then press Explain region.")

    def explain(self) -> None:
        """Explain the chosen region, computing it if need be."""
        reading, choice = self.state.reading, self._choice()
        if reading is None or choice is None:
            return
        self.scene.regions.put_brush_away(self.view.region.key)
        if choice.subject is not None:
            self.explaining.explain(choice.subject, exactly=True)
            return
        work = partial(choose_region, choice, reading)
        self.explaining.stop()
        self.work.run(Job("region", "Reading the region", work, partial(self._on_region, reading)))

    def see_changes(self) -> None:
        """Change the chosen region and show what the network marks then."""
        reading, segmentation = self.state.reading, self._segmentation
        choice = self._choice()
        if reading is None or segmentation is None or choice is None:
            return
        self.scene.regions.put_brush_away(self.view.region.key)
        edit = self.view.what_if.edit
        work = partial(see_changes, choice, reading, segmentation, edit)
        done = partial(self._on_seen, reading)
        self.work.run(Job("what if", f"Trying {edit.title}", work, done))

    def undo(self) -> None:
        """Remove the change and all that was shown of it."""
        self.work.cancel("what if")
        self.counterfactual = None
        self.scene.counterfactual.clear()
        self._follow()
        self.view.what_if.say(())
        self._refresh()

    def _choice(self) -> RegionChoice | None:
        """Return the region the form asks for, or None where it cannot be had."""
        state, scene, form = self.state, self.scene, self.view.region
        reading = state.reading
        if reading is None:
            return None
        crosshair = reading.frame.to_stored(scene.crosshair)
        if form.key == SELECTED:
            return None if state.selected is None else RegionChoice(subject=state.selected)
        if form.key == VOXEL:
            return RegionChoice(crosshair=crosshair)
        layer = scene.find(form.key)
        if layer is None:
            return None
        try:
            source = source_of(layer)
        except NapariIESError as error:
            self.tell.fail(str(error))
            return None
        return RegionChoice(
            source=source,
            value=form.label,
            only_part=form.only_part.isChecked(),
            crosshair=crosshair,
        )

    def _refresh(self, _: object = None) -> None:
        unselected = self.view.region.key == SELECTED and self.state.selected is None
        self.view.allow_actions(
            segmented="" if self.state.reading is not None else UNSEGMENTED,
            region=NO_REGION if unselected else "",
            seen="" if self.counterfactual is not None else UNCHANGED,
        )

    def _show(self, what: str) -> None:
        """Show something else of the change, on the sequence that was changed."""
        if self.counterfactual is not None:
            self.scene.show_sequence(self.counterfactual.edit.sequence)
            self.scene.counterfactual.show_as(what)

    def _rename(self, name: str) -> None:
        layer = self.scene.find(self.view.region.key)
        if layer is not None:
            layer.name = name
            self._on_layers_changed()

    def _on_selected(self, _: object = None) -> None:
        # Whoever goes on to another lesion is done painting: a click is to select again.
        self.scene.regions.put_brush_away()
        self._refresh()

    def _follow(self, _: object = None) -> None:
        """Show regions as outlines while a map or a changed image is looked at, else filled."""
        reading, change = self.state.reading, self.scene.counterfactual.shows
        if self.counterfactual is not None:
            self.view.what_if.set_what(change)
        mapped = self.state.shown is not None and self.scene.overlays.on_show
        if reading is not None and (mapped or self.counterfactual is not None):
            self.scene.regions.outline(self.scene.masks(), reading.frame)
        else:
            self.scene.regions.fill()

    def _on_layers_changed(self) -> None:
        self._follow()
        masks = self.scene.masks()
        self.view.region.set_layers({key_of(layer): layer.name for layer in masks})

    def _on_reading(self, reading: Reading | None) -> None:
        self.undo()
        self._segmentation = None if reading is None else reading.segmentation
        self.view.what_if.set_sequences(() if reading is None else reading.case.sequences)
        self._refresh()

    def _on_region(self, reading: Reading, chosen: ChosenRegion) -> None:
        if reading is self.state.reading:
            self.explaining.explain_region(chosen.region)

    def _on_seen(self, reading: Reading, seen: SeenChange) -> None:
        if reading is not self.state.reading:
            return
        form = self.view.what_if
        what = CHANGE if form.what == ORIGINAL else form.what  # there is something new to see
        original = self.scene.show_sequence(seen.counterfactual.edit.sequence)
        self.counterfactual = seen.counterfactual
        self.scene.counterfactual.show(seen, reading.frame, original, what=what)
        self._segmentation = seen.counterfactual.before
        form.set_what(what)
        self.scene.look_at(reading.frame.to_world(seen.region.place.centre))
        form.say((*seen.counterfactual.sentences, *seen.region.notes))
        self.tell.say(seen.counterfactual.sentences[0])
        self._refresh()
