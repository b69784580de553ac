"""Regions: explains any region, and shows what the network would mark were it different."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_ies.errors import NapariIESError
from napari_ies.viewer.canvas.layers import key_of
from napari_ies.viewer.regions.region_choice import RegionChoice, choose_region, see_changes
from napari_ies.viewer.regions.regions_view import NO_REGION, SELECTED, VOXEL, RegionsView
from napari_ies.viewer.volumes.sources import source_of
from napari_ies.viewer.work.runner import Job

if TYPE_CHECKING:
    from napari_ies.counterfactual.counterfactual import Counterfactual
    from napari_ies.viewer.regions.region_choice import ChosenRegion, SeenChange
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.widget import LesionSaliencyWidget

UNSEGMENTED = "Segment the images first."
UNCHANGED = "Nothing was changed yet."


class Regions(QObject):
    """The tab "Regions" and what it asks for.

    Parameters
    ----------
    host
        The panel.

    Attributes
    ----------
    counterfactual
        The change that is shown, or None.
    """

    def __init__(self, host: LesionSaliencyWidget) -> None:
        super().__init__(host)
        self._host = host
        self.counterfactual: Counterfactual | None = None
        # As the reading's, with its logits once they are known.
        self._segmentation: Any = None
        self.view = RegionsView()
        host.add_tab(
            "Regions",
            self.view,
            "Explain any region, and see what the network would mark were it different.",
        )
        self.view.region.new_requested.connect(self.add_region)
        self.view.region.explain_requested.connect(self.explain)
        self.view.region.changed.connect(self._refresh)
        self.view.what_if.run_requested.connect(self.see_changes)
        self.view.what_if.undo_requested.connect(self.undo)
        self.view.what_if.image_toggled.connect(host.scene.counterfactual.show_image)
        host.link.layers_changed.connect(self._on_layers_changed)
        host.reading_changed.connect(self._on_reading)
        host.selection_changed.connect(self._refresh)
        host.answer_shown.connect(self._on_answer_shown)
        self._refresh()

    def add_region(self) -> None:
        """Add an empty layer to paint a region in, and take it as the region."""
        reading = self._host.reading
        if reading is None:
            return
        key = self._host.scene.regions.add(reading.case, reading.frame)
        self._on_layers_changed()
        self.view.region.choose(key)
        self._host.say("Paint the region with the brush, then press Explain region.")

    def explain(self) -> None:
        """Explain the chosen region, computing it if need be."""
        reading = self._host.reading
        choice = self._choice()
        if reading is None or choice is None:
            return
        if choice.subject is not None:
            self._host.explain(choice.subject)
            return
        work = partial(choose_region, choice, reading)
        self._host.jobs.cancel("explain")
        self._host.jobs.submit(
            Job("region", "Reading the region", work, partial(self._on_region, reading))
        )

    def see_changes(self) -> None:
        """Change the chosen region and show what the network marks then."""
        reading = self._host.reading
        choice = self._choice()
        if reading is None or choice is None:
            return
        edit = self.view.what_if.edit
        work = partial(see_changes, choice, reading, self._segmentation, edit)
        done = partial(self._on_seen, reading)
        self._host.jobs.submit(Job("what if", f"Trying {edit.title}", work, done))

    def undo(self) -> None:
        """Remove the change and all that was shown of it."""
        self._host.jobs.cancel("what if")
        self._host.scene.counterfactual.clear()
        self.counterfactual = None
        self.view.what_if.say(())
        self._refresh()

    def _choice(self) -> RegionChoice | None:
        """Return the region the form asks for, or None where it cannot be had."""
        host, form = self._host, self.view.region
        reading = host.reading
        if reading is None:
            return None
        crosshair = reading.frame.to_stored(host.scene.crosshair)
        if form.key == SELECTED:
            return None if host.selected is None else RegionChoice(subject=host.selected)
        if form.key == VOXEL:
            return RegionChoice(crosshair=crosshair)
        layer = host.scene.find(form.key)
        if layer is None:
            return None
        try:
            source = source_of(layer)
        except NapariIESError as error:
            host.jobs.failed.emit("region", str(error))
            return None
        return RegionChoice(
            source=source,
            value=form.label,
            only_part=form.only_part.isChecked(),
            crosshair=crosshair,
        )

    def _refresh(self, _: Any = None) -> None:
        unselected = self.view.region.key == SELECTED and self._host.selected is None
        self.view.allow_actions(
            segmented="" if self._host.reading is not None else UNSEGMENTED,
            region=NO_REGION if unselected else "",
            seen="" if self.counterfactual is not None else UNCHANGED,
        )

    def _on_layers_changed(self) -> None:
        masks = self._host.scene.masks()
        self.view.region.set_layers({key_of(layer): layer.name for layer in masks})

    def _on_reading(self, reading: Reading | None) -> None:
        self.undo()
        self._segmentation = None if reading is None else reading.segmentation
        if reading is not None:
            self._host.answers.regions = reading.regions
        self.view.what_if.set_sequences(() if reading is None else reading.case.sequences)
        self._refresh()

    def _on_answer_shown(self, _: Any) -> None:
        self._host.scene.counterfactual.make_way()

    def _on_region(self, reading: Reading, chosen: ChosenRegion) -> None:
        if reading is self._host.reading:
            self._host.explain_region(chosen.region)

    def _on_seen(self, reading: Reading, seen: SeenChange) -> None:
        if reading is not self._host.reading:
            return
        self.counterfactual = seen.counterfactual
        self._segmentation = seen.counterfactual.before
        form = self.view.what_if
        self._host.scene.counterfactual.show(seen, reading.frame, image=form.image.isChecked())
        self._host.scene.look_at(reading.frame.to_world(seen.region.place.centre))
        form.say((*seen.counterfactual.sentences, *seen.region.notes))
        self._host.say(seen.counterfactual.sentences[0])
        self._refresh()
