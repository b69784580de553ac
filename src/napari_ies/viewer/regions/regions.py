"""Regions: explains any region, and shows what the network would mark were it different."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_ies.errors import NapariIESError
from napari_ies.viewer.canvas.layers import key_of
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
        self.view.what_if.image_toggled.connect(scene.counterfactual.show_image)
        self.link.layers_changed.connect(self._on_layers_changed)
        state.reading_changed.connect(self._on_reading)
        state.selection_changed.connect(self._refresh)
        state.answer_shown.connect(scene.counterfactual.make_way)
        self._refresh()
        about = "Explain any region, and see what the network would mark were it different."
        self.views = (Placed(Place.TAB, [self.view], "Regions", about),)

    def add_region(self) -> None:
        """Add an empty layer to paint a region in, and take it as the region."""
        reading = self.state.reading
        if reading is None:
            return
        key = self.scene.add_region(reading.case, reading.frame)
        self._on_layers_changed()
        self.view.region.choose(key)
        self.tell.say("Paint the region with the brush, then press Explain region.")

    def explain(self) -> None:
        """Explain the chosen region, computing it if need be."""
        reading, choice = self.state.reading, self._choice()
        if reading is None or choice is None:
            return
        if choice.subject is not None:
            self.explaining.explain(choice.subject)
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
        edit = self.view.what_if.edit
        work = partial(see_changes, choice, reading, segmentation, edit)
        done = partial(self._on_seen, reading)
        self.work.run(Job("what if", f"Trying {edit.title}", work, done))

    def undo(self) -> None:
        """Remove the change and all that was shown of it."""
        self.work.cancel("what if")
        self.scene.counterfactual.clear()
        self.counterfactual = None
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

    def _on_layers_changed(self) -> None:
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
        self.counterfactual = seen.counterfactual
        self._segmentation = seen.counterfactual.before
        form = self.view.what_if
        self.scene.counterfactual.show(seen, reading.frame, image=form.image.isChecked())
        self.scene.look_at(reading.frame.to_world(seen.region.place.centre))
        form.say((*seen.counterfactual.sentences, *seen.region.notes))
        self.tell.say(seen.counterfactual.sentences[0])
        self._refresh()
