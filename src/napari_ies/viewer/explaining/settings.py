"""SaliencySettings: the tab "Saliency", what it asks for, and the maps that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.viewer.explaining.map_memory import MapMemory
from napari_ies.viewer.explaining.saliency_form import SaliencyForm
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.preferences import Preferences

if TYPE_CHECKING:
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.loaded import LoadedModel


class SaliencySettings(Feature):
    """Says how lesions are explained, and explains the selected one at a button."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.form = form = SaliencyForm()
        self.memory = MapMemory(self.state, self.work.lane("maps"))
        self._preferences = Preferences(
            "computation",
            {
                "method": form.set_method,
                "aggregation": form.set_aggregation,
                "samples": form.samples.setValue,
                "noise": form.noise.setValue,
                "precision": form.precision.setCurrentText,
            },
        )
        state = self.state
        state.ask_as(form.request)
        form.explain_requested.connect(self.explaining.explain_selected)
        state.reading_changed.connect(form.begin_anew)
        state.request_restored.connect(form.set_request)
        state.model_changed.connect(self._on_model)
        state.reading_changed.connect(self._refresh)
        state.selection_changed.connect(self._refresh)
        self.work.idle.connect(self._refresh)
        self._refresh()
        about = "What is computed for the selected lesion."
        self.views = (Placed(Place.TAB, [self.form], "Saliency", about),)
        self.actions = {"explain": self.explaining.explain_selected}

    def attach(self) -> None:
        """Follow the preferences."""
        self._preferences.attach()

    def release(self) -> None:
        """Follow them no more, and move no maps."""
        self._preferences.release()
        self.memory.release()

    def _on_model(self, loaded: LoadedModel | None) -> None:
        if loaded is not None:
            self.form.set_layers(loaded.layers, loaded.default_layer)
            if self.form.refuse_gradcam(loaded.no_gradcam):
                self.tell.warn(f"The method is SmoothGrad now. {loaded.no_gradcam}")

    def _refresh(self, _: object = None) -> None:
        state = self.state
        chosen = "" if state.selected is not None else "Click a lesion or choose its row first."
        allow(
            self.form.button, chosen if state.reading is not None else "Segment the images first."
        )
