"""What is computed for a lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_ies.saliency.request import (
    AGGREGATIONS,
    FORWARDS,
    METHODS,
    PRECISIONS,
    SaliencyRequest,
)
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.state.titles import METHOD_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_LAYER = "default layer"


class SaliencyForm(QWidget):
    """Method, aggregation, noise and layer; controls that do not apply are disabled."""

    explain_requested = Signal()
    """The button was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.method = _combo(
            [METHOD_NAMES[method] for method in METHODS],
            "method",
            "SmoothGrad: how the lesion's score changes with each voxel of each sequence, averaged "
            "over noisy copies of the images. Grad-CAM++: where a layer of the network was active "
            "for the lesion.",
        )
        self.aggregation = _combo(
            list(AGGREGATIONS),
            "aggregation",
            "How the lesion's voxels become one map: their mean, their sum, or for each input "
            "voxel the strongest single one (max; slow).",
        )
        self.samples = QSpinBox()
        self.samples.setRange(1, 9_999)
        self.samples.setValue(50)
        self.samples.setSuffix(" samples")
        describe(
            self.samples, "Number of noisy copies: more are smoother and take longer.", "samples"
        )
        self.noise = QDoubleSpinBox()
        self.noise.setRange(0.0, 100.0)
        self.noise.setDecimals(1)
        self.noise.setSingleStep(1.0)
        self.noise.setValue(5.0)
        self.noise.setSuffix(" %")
        describe(
            self.noise,
            "Standard deviation of the noise, in percent of the range (maximum − minimum) of the "
            "first sequence.",
            "noise",
        )
        self.seed = QSpinBox()
        self.seed.setRange(0, 99_999)
        self.seed.setPrefix("seed ")
        describe(self.seed, "Seed of the noise: the same seed gives the same map.", "seed")
        self.layer = _combo([DEFAULT_LAYER], "layer", "The network's layer that is looked at.")
        self.forward = _combo(
            [name.replace("-", " ") for name in FORWARDS],
            "forward",
            "Sliding window: explains the lesions on screen as they were found. Whole volume: "
            "explains one pass over the whole image.",
        )
        self.precision = _combo(
            list(PRECISIONS),
            "precision",
            "Arithmetic of the network: float32 is exact; tf32 and bf16 are faster on some "
            "graphics cards and less exact.",
        )
        self.button = QPushButton("Explain")
        describe(self.button, "Compute the saliency of the selected lesion.", "explain")
        self._layers: tuple[str, ...] = ()
        self._lay_out()
        self.method.currentIndexChanged.connect(self._on_method)
        self.button.clicked.connect(self.explain_requested)
        self._on_method()

    def request(self) -> SaliencyRequest:
        """Return what the form asks for."""
        method = METHODS[self.method.currentIndex()]
        forward = FORWARDS[self.forward.currentIndex()]
        if method == "smoothgrad":
            return SaliencyRequest(
                method=method,
                aggregation=AGGREGATIONS[self.aggregation.currentIndex()],
                n_samples=self.samples.value(),
                # The spin box counts tenths of a percent; the request the fraction they stand for.
                noise=round(self.noise.value() / 100, 6),
                seed=self.seed.value(),
                forward=forward,
                precision=self.precision.currentText(),
            )
        chosen = self.layer.currentIndex() - 1
        layer = self._layers[chosen] if 0 <= chosen < len(self._layers) else None
        precision = self.precision.currentText()
        return SaliencyRequest(method=method, forward=forward, layer=layer, precision=precision)

    def set_method(self, method: str) -> None:
        """Choose a method by its name in a request."""
        self.method.setCurrentIndex(METHODS.index(method))

    def set_aggregation(self, aggregation: str) -> None:
        """Choose an aggregation by its name in a request."""
        self.aggregation.setCurrentIndex(AGGREGATIONS.index(aggregation))

    def set_request(self, request: SaliencyRequest) -> None:
        """Ask for what a request asks for; a layer that is not on offer is left at the default."""
        self.set_method(request.method)
        self.set_aggregation(request.aggregation)
        # Qt's own clamping ends at 32 bits.
        self.samples.setValue(min(request.n_samples, self.samples.maximum()))
        self.noise.setValue(100 * request.noise)
        self.seed.setValue(min(request.seed, self.seed.maximum()))
        self.forward.setCurrentIndex(FORWARDS.index(request.forward))
        self.precision.setCurrentText(request.precision)
        if request.layer in self._layers:
            self.layer.setCurrentIndex(self._layers.index(request.layer) + 1)

    def set_layers(self, layers: Sequence[str], default: str) -> None:
        """Offer the layers of a network; the first choice is the `default` one."""
        self._layers = tuple(layers)
        self.layer.clear()
        self.layer.addItems([f"default ({default})" if default else DEFAULT_LAYER, *layers])

    def _on_method(self) -> None:
        smoothgrad = METHODS[self.method.currentIndex()] == "smoothgrad"
        for widget in (self.aggregation, self.samples, self.noise, self.seed):
            allow(widget, "" if smoothgrad else "Only for SmoothGrad; Grad-CAM++ adds no noise.")
        allow(
            self.layer, "Only for Grad-CAM++; SmoothGrad looks at the input." if smoothgrad else ""
        )

    def _lay_out(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(3)
        rows: dict[str, tuple[tuple[QWidget, int], ...]] = {
            "Method": ((self.method, 3), (self.aggregation, 2)),
            "Noise": ((self.samples, 3), (self.noise, 2)),
            "Forward": ((self.forward, 3), (self.seed, 2)),
            "Layer": ((self.layer, 3), (self.precision, 2)),
        }
        for number, (text, controls) in enumerate(rows.items()):
            row = QHBoxLayout()
            for control, stretch in controls:
                row.addWidget(control, stretch)
            layout.addWidget(QLabel(text), number, 0)
            layout.addLayout(row, number, 1)
        layout.addWidget(self.button, len(rows), 0, 1, 2)
        layout.setColumnStretch(1, 1)


def _combo(items: Sequence[str], name: str, tooltip: str) -> QComboBox:
    combo = QComboBox()
    combo.addItems(list(items))
    combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    describe(combo, tooltip, name)
    return combo
