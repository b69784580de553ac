"""The counterfactual: how the probability changes, what is marked then, and the changed image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.colour_maps import SIGNED_MAPS
from napari_ies.viewer.canvas import colours
from napari_ies.viewer.state.look import Look

if TYPE_CHECKING:
    from napari_ies.viewer.canvas.layers.stack import LayerStack
    from napari_ies.viewer.state.seen_change import SeenChange
    from napari_ies.viewer.volumes.frame import Frame

CHANGE_NAME = "What if: change of probability"
DEFAULT = Look()
MARKED_NAME = "What if: lesions marked then"


class CounterfactualLayers:
    """The layers of one counterfactual at a time; saliency makes way for them."""

    def __init__(self, stack: LayerStack) -> None:
        self._stack = stack
        self._change: str | None = None
        self._marked: str | None = None
        self._image: str | None = None
        self._hidden: list[str] = []

    def show(self, seen: SeenChange, frame: Frame, *, image: bool) -> None:
        """Show a counterfactual in place of the one before.

        Parameters
        ----------
        seen, frame
            What changed, and where it lies.
        image
            Whether the changed image is visible, and not the change of probability.
        """
        self.clear()
        result = seen.counterfactual
        turn = frame.reorientation
        whole = {"known": {"affine": result.case.affine}, **frame.placement()}
        channel = result.case.sequences.index(result.edit.sequence)
        self._image = self._stack.make(
            "image",
            "changed image",
            turn.apply(result.case.data[channel]),
            name=f"What if: {result.edit.title}",
            colormap="gray",
            interpolation2d="linear",
            contrast_limits=seen.window,
            visible=image,
            **whole,
        )
        self._stack.put_below(self._image, ("probability", "lesions", "overlay"))
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
            visible=not image,
            **frame.placement(seen.box),
        )
        self._hide_saliency()

    def show_image(self, visible: bool) -> None:
        """Show the changed image in place of the change of probability, or the other way round."""
        for key, shown in ((self._image, visible), (self._change, not visible)):
            layer = self._stack.find(key)
            if layer is not None:
                layer.visible = shown
                self._hide_saliency()

    def make_way(self, _: object = None) -> None:
        """Hide the change and show the saliency again that was hidden for it."""
        layer = self._stack.find(self._change)
        if layer is not None and layer.visible:
            layer.visible = False
        for key in self._hidden:
            overlay = self._stack.find(key)
            if overlay is not None:
                overlay.visible = True
        self._hidden = []

    def clear(self) -> None:
        """Remove the counterfactual; everything is as it was before."""
        self.make_way()
        self._stack.remove(self._change, self._marked, self._image)
        self._change = self._marked = self._image = None

    def _hide_saliency(self) -> None:
        """Two maps over each other cannot be told apart."""
        for layer in self._stack.made("overlay"):
            if layer.visible:
                layer.visible = False
                self._hidden.append(str(layer.unique_id))
