"""The counterfactual: how the probability changes, what is marked then, and the changed image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.experimental import link_layers, unlink_layers

from napari_ies.colour_maps import SIGNED_MAPS
from napari_ies.viewer.canvas import colours
from napari_ies.viewer.canvas.layers.stack import set_visible
from napari_ies.viewer.canvas.legend.bar import Bar
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.state.look import Look

if TYPE_CHECKING:
    from napari_ies.viewer.canvas.layers.overlays import SaliencyOverlays
    from napari_ies.viewer.canvas.layers.stack import LayerStack
    from napari_ies.viewer.canvas.legend.legend import Legend
    from napari_ies.viewer.state.seen_change import SeenChange
    from napari_ies.viewer.volumes.frame import Frame

CHANGE_NAME = "What if: change of probability"
DEFAULT = Look()
MARKED_NAME = "What if: lesions marked then"
CHANGE, IMAGE, ORIGINAL = "change", "image", "original"
"""What is shown of a counterfactual: the change of probability, the changed image, or nothing, so
that the image is seen as it is."""
LINKED = ("contrast_limits", "colormap", "gamma", "interpolation2d")
"""What the changed image has in common with the original: both are shown alike."""
BAR, REMARK = "change", "what if"
_OF_BAR = ("visible", "contrast_limits", "colormap", "gamma", "opacity")


class CounterfactualLayers:
    """The layers of one counterfactual at a time; saliency makes way for them.

    Parameters
    ----------
    stack
        The viewer's layers.
    overlays
        The saliency.
    legend
        Where it is said what is shown.
    """

    def __init__(self, stack: LayerStack, overlays: SaliencyOverlays, legend: Legend) -> None:
        self._stack, self._overlays, self._legend = stack, overlays, legend
        self.changed: Event[[]] = Event()
        """Something else is shown of it, or nothing."""
        self._seen: SeenChange | None = None
        self._change: str | None = None
        self._marked: str | None = None
        self._image: str | None = None
        self._linked: list[Any] = []
        self._heard: list[Any] = []
        self._looked_at = False
        self._hid_saliency = False

    @property
    def shows(self) -> str:
        """What is shown of it: one of :data:`CHANGE`, :data:`IMAGE`, :data:`ORIGINAL`."""
        for key, what in ((self._change, CHANGE), (self._image, IMAGE)):
            layer = self._stack.find(key)
            if layer is not None and layer.visible:
                return what
        return ORIGINAL

    def show(self, seen: SeenChange, frame: Frame, original: Any | None, *, what: str) -> None:
        """Show a counterfactual in place of the one before.

        Parameters
        ----------
        seen, frame
            What changed, and where it lies.
        original
            The layer of the image that was changed, or None if it is gone.
        what
            What is shown of it, see :attr:`shows`.
        """
        self.clear()
        self._seen, result, turn = seen, seen.counterfactual, frame.reorientation
        whole = {"known": {"affine": result.case.affine}, **frame.placement()}
        channel = result.case.sequences.index(result.edit.sequence)
        original = getattr(original, "__wrapped__", original)
        look = {"colormap": "gray", "interpolation2d": "linear", "contrast_limits": seen.window}
        if original is not None:
            look = {name: getattr(original, name) for name in LINKED}
        self._image = self._stack.make(
            "image",
            "changed image",
            turn.apply(result.case.data[channel]),
            name=f"What if: {result.edit.title}",
            visible=False,
            **look,
            **whole,
        )
        self._stack.put_below(self._image, ("probability", "lesions", "overlay"))
        if original is not None:
            image = self._stack.find(self._image)
            self._linked = [original, getattr(image, "__wrapped__", image)]
            link_layers(self._linked, LINKED)
        self._marked = self._stack.make(
            "labels",
            "marked then",
            turn.apply(result.labels),
            name=MARKED_NAME,
            visible=False,
            opacity=0.7,
            **whole,
        )
        self._change = self._stack.make(
            "image",
            "change of probability",
            turn.apply(seen.difference),
            name=CHANGE_NAME,
            colormap=colours.diverging(SIGNED_MAPS[DEFAULT.signed], DEFAULT.threshold),
            contrast_limits=(-1.0, 1.0),
            interpolation2d="linear",
            visible=False,
            **frame.placement(seen.box),
        )
        self._heard = [self._stack.find(key) for key in (self._image, self._change)]
        for layer in self._heard:
            for name in _OF_BAR:
                getattr(layer.events, name).connect(self._say)
        self.show_as(what)

    def show_as(self, what: str) -> None:
        """Show the change of probability, the changed image, or the original in its place."""
        if self._seen is None:
            return
        self._looked_at = True
        if self._overlays.on_show:
            # Two maps over each other cannot be told apart.
            self._overlays.set_on_show(False)
            self._hid_saliency = True
        for key, own in ((self._image, IMAGE), (self._change, CHANGE)):
            layer = self._stack.find(key)
            if layer is not None:
                set_visible(layer, own == what)
        self._say()

    def make_way(self, _: object = None) -> None:
        """Show the original, and the saliency again that was hidden for the change."""
        self._looked_at = False
        for key in (self._change, self._image):
            layer = self._stack.find(key)
            if layer is not None:
                set_visible(layer, False)
        if self._hid_saliency:
            self._hid_saliency = False
            self._overlays.set_on_show(True)
        self._say()

    def clear(self) -> None:
        """Remove the counterfactual; everything is as it was before."""
        self.make_way()
        for layer in self._heard:
            for name in _OF_BAR:
                getattr(layer.events, name).disconnect(self._say)
        if self._linked:
            unlink_layers(self._linked, LINKED)
        self._stack.remove(self._change, self._marked, self._image)
        self._change = self._marked = self._image = self._seen = None
        self._heard, self._linked = [], []

    def _say(self, _: Any = None) -> None:
        """Say what is shown, whoever showed it: with a colour bar where that has colours."""
        layer, seen, shows = self._stack.find(self._change), self._seen, self.shows
        bar = None
        if seen is not None and layer is not None and shows == CHANGE:
            ends = {"lowest": float(seen.difference.min()), "highest": float(seen.difference.max())}
            bar = Bar.of_layer(layer, "Change", "probability", **ends)
        self._legend.set_bar(BAR, bar)
        remark = ""
        if seen is not None and (self._looked_at or shows != ORIGINAL):
            edit = seen.counterfactual.edit
            remark = {
                CHANGE: f"change of probability, were {edit.title}",
                IMAGE: f"changed image: {edit.title}",
                ORIGINAL: f"original {edit.sequence}",
            }[shows]
        self._legend.set_remark(REMARK, remark)
        self.changed.emit()
