"""The overlays: one image layer per map of the selected lesion's saliency."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_ies.viewer import colours

if TYPE_CHECKING:
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.viewer.frame import Frame
    from napari_ies.viewer.layers.stack import LayerStack


@dataclass
class _Overlay:
    """One sequence's overlay, and what a person set on it, for when it is added again."""

    key: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


class SaliencyOverlays:
    """One layer per sequence, used again and again, so that clicks leave no clutter.

    Parameters
    ----------
    stack
        The viewer's layers.
    """

    def __init__(self, stack: LayerStack) -> None:
        self._stack = stack
        self._overlays: dict[str, _Overlay] = {}
        self._hidden: tuple[str, ...] = ()

    def show(self, saliency: Saliency, frame: Frame, title: str, limit: float) -> None:
        """Show one overlay per sequence, in place of those of the lesion before.

        The first sequence lies on top and alone is visible at first: two maps over each other
        cannot be told apart, and the others are one click away in the layer list.

        Parameters
        ----------
        saliency, frame
            The maps and their place; only the box outside which they are 0 is shown.
        title
            Lesion, method and aggregation, for the layers' names.
        limit
            Magnitude at which the colours end.
        """
        signed = saliency.request.method == "smoothgrad"
        colormap = colours.diverging() if signed else colours.sequential()
        for name in [name for name in self._overlays if name not in saliency.sequences]:
            self._remove(name)
        for number, name in reversed(list(enumerate(saliency.sequences))):
            overlay = self._overlays.setdefault(name, _Overlay())
            look = {
                "name": title if name == "all" else f"{title} · {name}",
                "colormap": colormap,
                "contrast_limits": (-limit if signed else 0.0, limit),
            }
            data = frame.reorientation.apply(saliency.cropped[number])
            placement = frame.placement(saliency.box)
            layer = self._stack.find(overlay.key)
            if layer is None:
                settings = {"visible": number == 0, "opacity": 1.0, **overlay.settings}
                self._add(overlay, data, {**look, **settings, **placement})
            else:
                _change(layer, data, look, placement)

    def toggle(self) -> None:
        """Hide the overlays on show, or show again those that were."""
        layers = {name: self._stack.find(overlay.key) for name, overlay in self._overlays.items()}
        present = {name: layer for name, layer in layers.items() if layer is not None}
        shown = [name for name, layer in present.items() if layer.visible]
        if shown:
            self._hidden = tuple(shown)
        again = shown or [name for name in self._hidden if name in present] or list(present)[-1:]
        for name in again:
            present[name].visible = not shown

    def change_opacity(self, by: float) -> None:
        """Make the overlays on show less transparent, or more; opacity lies from 0 to 1."""
        for overlay in self._overlays.values():
            layer = self._stack.find(overlay.key)
            if layer is not None and layer.visible:
                layer.opacity = min(max(layer.opacity + by, 0.0), 1.0)

    def clear(self) -> None:
        """Remove the overlays; what a person set on them is remembered."""
        for name in list(self._overlays):
            self._remove(name)

    def _add(self, overlay: _Overlay, data: Any, arguments: dict[str, Any]) -> None:
        overlay.key = self._stack.make(
            "image",
            "overlay",
            data,
            blending="translucent_no_depth",
            interpolation2d="linear",
            **arguments,
        )
        overlay.settings = {}
        # The outlines stay in sight, or the overlay's colours would hide them.
        self._stack.put_below(overlay.key, ("lesions", "outline", "selected"))

    def _remove(self, name: str) -> None:
        overlay = self._overlays[name]
        layer = self._stack.find(overlay.key)
        if layer is not None:
            overlay.settings = {"visible": layer.visible, "opacity": layer.opacity}
        self._stack.remove(overlay.key)
        overlay.key = None


def _change(layer: Any, data: Any, look: dict[str, Any], placement: dict[str, Any]) -> None:
    """Change only what differs: each of these repaints."""
    if tuple(layer.translate) != placement["translate"]:
        layer.translate = placement["translate"]
    layer.data = data
    if layer.name != look["name"]:
        layer.name = look["name"]
    if layer.colormap.name != look["colormap"].name:
        layer.colormap = look["colormap"]
    if tuple(layer.contrast_limits) != look["contrast_limits"]:
        layer.contrast_limits_range = look["contrast_limits"]
        layer.contrast_limits = look["contrast_limits"]
