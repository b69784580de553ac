"""What is computed for a lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QLabel, QSizePolicy, QWidget

from napari_ies.saliency.request import METHODS, NOISE_VERSION, SaliencyRequest
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.combo_entries import permit, refuse
from napari_ies.viewer.panel.controls import button, grid, row
from napari_ies.viewer.panel.parameter_form import ParameterForm

if TYPE_CHECKING:
    from collections.abc import Sequence

SMOOTHGRAD, GRADCAM = METHODS
DEFAULT_LAYER = "default layer"
ROWS = {
    "Method": ("method", "aggregation"),
    "Noise": ("n_samples", "noise"),
    "Forward": ("forward", "seed"),
    "Layer": ("layer", "precision"),
}
"""The parameters of a request, two in a row."""
OF_SMOOTHGRAD = ("aggregation", "n_samples", "noise", "seed")


class SaliencyForm(QWidget):
    """Method, aggregation, noise and layer; controls that do not apply are disabled."""

    explain_requested = Signal()
    """The button was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controls = ParameterForm(
            SaliencyRequest, *(name for row in ROWS.values() for name in row)
        )
        self.method, self.aggregation = self._controls["method"], self._controls["aggregation"]
        self.samples, self.noise = self._controls["n_samples"], self._controls["noise"]
        self.forward, self.seed = self._controls["forward"], self._controls["seed"]
        self.layer, self.precision = self._controls["layer"], self._controls["precision"]
        about = "Compute the saliency of the selected lesion."
        self.button = button("Explain", "explain", about, self.explain_requested)
        layout = grid(self, 0, 1)
        for number, (text, names) in enumerate(ROWS.items()):
            wide, narrow = (self._controls[name] for name in names)
            for control in (wide, narrow):
                if isinstance(control, QComboBox):
                    control.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            layout.addWidget(QLabel(text), number, 0)
            # The button stands beside what changes most, in sight in the lowest window.
            beside = (self.button,) if text == "Method" else ()
            line = row((wide, 3), (narrow, 2), *beside)
            line.setSpacing(3)
            layout.addLayout(line, number, 1)
        self._noise_version = NOISE_VERSION
        self._no_gradcam = ""
        self.set_layers((), "")
        self.method.currentIndexChanged.connect(self._on_method)
        self._on_method()

    def request(self) -> SaliencyRequest:
        """Return what the form asks for."""
        values = self._controls.values()
        for name in ("layer",) if values["method"] == "smoothgrad" else OF_SMOOTHGRAD:
            del values[name]
        if values["method"] == "smoothgrad":
            values["noise_version"] = self._noise_version
        return SaliencyRequest(**values)

    def set_method(self, method: str) -> None:
        """Choose a method by its name in a request, if the loaded network allows it."""
        if not (self._no_gradcam and method == GRADCAM):
            self._controls.widgets["method"].value = method

    def set_aggregation(self, aggregation: str) -> None:
        """Choose an aggregation by its name in a request."""
        self._controls.widgets["aggregation"].value = aggregation

    def set_request(self, request: SaliencyRequest) -> None:
        """Ask for what a request asks for; a layer that is not on offer is left at the default.

        So does an older session go on with the noise that it began with.
        """
        self._controls.show(request)
        if request.is_smoothgrad:
            self._noise_version = request.noise_version

    def begin_anew(self, _reading: object = None) -> None:
        """Ask for the noise of new maps, as another patient is read."""
        self._noise_version = NOISE_VERSION

    def set_layers(self, layers: Sequence[str], default: str) -> None:
        """Offer the layers of a network; the first choice is the `default` one."""
        self.layer.clear()
        self.layer.addItem(f"default ({default})" if default else DEFAULT_LAYER, None)
        for layer in layers:
            self.layer.addItem(layer, layer)

    def refuse_gradcam(self, why: str) -> bool:
        """Offer Grad-CAM++ unless there is a reason why not; return whether it was chosen."""
        self._no_gradcam, about = why, self._controls.about["method"].help
        describe(self.method, f"{about}\n{why}".strip())
        entry = METHODS.index(GRADCAM)
        if not why:
            permit(self.method, entry)
            return False
        refuse(self.method, entry, why)
        chosen = bool(self._controls.value("method") == GRADCAM)
        self.set_method(SMOOTHGRAD)
        return chosen

    def _on_method(self) -> None:
        smoothgrad = self._controls.value("method") == "smoothgrad"
        for name in OF_SMOOTHGRAD:
            allow(
                self._controls[name],
                "" if smoothgrad else "Only for SmoothGrad; Grad-CAM++ adds no noise.",
            )
        allow(
            self.layer, "Only for Grad-CAM++; SmoothGrad looks at the input." if smoothgrad else ""
        )
