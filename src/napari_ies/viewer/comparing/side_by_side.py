"""Two maps side by side: B, or A − B, in a second view beside A, each with what it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.colour_maps import opacity
from napari_ies.viewer.canvas.layers.second_view import SecondView
from napari_ies.viewer.state.captions import caption_of, is_odd
from napari_ies.viewer.state.look import MapRange, ranges_of
from napari_ies.viewer.state.titles import capitalised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qtpy.QtWidgets import QWidget

    from napari_ies.saliency.reading_off.comparison import Comparison
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.viewer.canvas.layers import Scene
    from napari_ies.viewer.state.answers import Answer
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.volumes.frame import Point

FAINT = 0.25
"""Opacity of its strong values below which a map is said to be hardly visible."""
FAINT_REST = "Without Same limits each map shows in full."


@dataclass(frozen=True, eq=False)
class Difference:
    """A − B as maps that are shown like others, and how far their values go."""

    saliency: Saliency
    ranges: tuple[MapRange, ...]

    @classmethod
    def of(cls, a: Saliency, comparison: Comparison) -> Difference | None:
        """Return the difference of two maps, or None where there is no such thing."""
        if comparison.difference is None:
            return None
        saliency = replace(
            a,
            sequences=comparison.sequences,
            box=comparison.box,
            cropped=comparison.difference,
            cropped_standard_error=None,
            cropped_spread=None,
            in_network=None,
            footprint=a.box.lay(a.footprint, comparison.box),
        )
        return cls(saliency, ranges_of(saliency))


@dataclass(frozen=True, eq=False)
class Pair:
    """Two maps, and what is shown of them."""

    a: Answer
    b: Answer
    difference: Difference | None = None
    """A − B, if that is shown beside A and not B."""
    same_limits: bool = True
    """Whether the colours of both are to end at one limit."""


class SideBySide:
    """The second view while it is open, and what is written on both canvases.

    Parameters
    ----------
    viewer, scene
        Where A is shown.
    on_faint
        Told which map the common limit makes invisible, as a sentence; empty if none.
    """

    def __init__(self, viewer: Any, scene: Scene, on_faint: Callable[[str], object]) -> None:
        self._viewer, self._scene, self._on_faint = viewer, scene, on_faint
        self.second: SecondView | None = None
        """The second view, or None while there is none."""
        self._pair: Pair | None = None
        self._busy = False

    def open(self, panel: QWidget, gone: Callable[[], object]) -> SecondView | None:
        """Open the second view in the window of a panel; see :meth:`SecondView.beside`."""
        images = self._scene.images_shown()
        self.second = SecondView.beside(self._viewer, panel, gone, images)
        if self.second is None:
            return None
        self._scene.legend.set_prefix("A")
        self._scene.lesions.outlines.changed.connect(self._outline)
        self._outline()
        return self.second

    def close(self) -> None:
        """Close the second view; everything else is as it was before."""
        # First of all: nobody may have A follow a common limit again when it is withdrawn.
        second, self.second, self._pair = self.second, None, None
        if second is not None:
            second.release()
            self._scene.lesions.outlines.changed.disconnect(self._outline)
            self._scene.overlays.set_common_limit(None)
            self._scene.legend.set_prefix("")
            self._scene.legend.set_remark("limits", "")
            self._on_faint("")

    def show(self, pair: Pair, reading: Reading, power: int) -> None:
        """Show two maps, of which A is on screen; B's numbers are in units of ten to a power."""
        second, frame = self.second, reading.frame
        if second is None:
            return
        a, b, before = pair.a, pair.b, self._pair
        self._pair = pair
        if before is None or (before.b, before.difference) != (b, pair.difference):
            second.outlines.select(*reading.displayed(b.subject), frame)
            if pair.difference is None:
                show, ranges = second.overlays.show, b.ranges
                show(b.saliency, frame, f"B: {b.title}", b.limit, ranges=ranges, power=power)
            else:
                title, limit = f"A − B: {a.title} − {b.title}", max(a.limit, b.limit)
                shown, ranges = pair.difference.saliency, pair.difference.ranges
                second.overlays.show(shown, frame, title, limit, ranges=ranges, signed=True)
        second.set_offset(self._offset(a, b, reading))
        self.follow()

    def _outline(self) -> None:
        """Outline beside A what is outlined there, but for what is selected."""
        if self.second is not None:
            self.second.outlines.take_all_but_selected(self._scene.lesions.outlines)

    def follow(self) -> None:
        """Give the second view the look of the first: colours, limits, sequences on show."""
        pair, second = self._pair, self.second
        if self._busy or pair is None or second is None:
            return
        self._busy = True
        try:
            here, there = self._scene.overlays, second.overlays
            there.set_look(here.look)
            there.set_visible_sequences(here.visible_sequences())
            if not here.visible_sequences():
                there.set_on_show(False)
            common = max(here.limit or 0.0, there.limit or 0.0) if pair.same_limits else None
            for overlays in (here, there):
                overlays.set_common_limit(common or None)
            self._say(pair, second, common or None)
        finally:
            self._busy = False

    def _say(self, pair: Pair, second: SecondView, common: float | None) -> None:
        """Say on both canvases what they show, and which map can hardly be seen there."""
        here, there = self._scene.overlays, second.overlays
        anatomy, image = self._scene.anatomy, second.image_shown
        ground = None if image is None else anatomy.name_of(image)
        maps, saliency = there.visible_sequences(), pair.b.saliency
        parts, ranges, name = caption_of(pair.b, maps, ground), pair.b.ranges, "B"
        if pair.difference is not None:
            saliency, ranges, name = pair.difference.saliency, pair.difference.ranges, "A − B"
            parts = (capitalised(pair.a.subject.called), *parts[-2:-1])
        second.legend.set_prefix(name)
        second.legend.set_caption(parts, odd=is_odd(maps, ground))
        threshold = here.look.threshold
        said = []
        for which, one, own, shown, legend in (
            ("A", pair.a.saliency, pair.a.ranges, here, self._scene.legend),
            (name, saliency, ranges, there, second.legend),
        ):
            visible = shown.visible_sequences()
            warning = _why_faint(one, own, visible, common, threshold)
            legend.set_remark("limits", warning)
            if warning:
                said.append(f"{which} {warning}.")
        self._on_faint(" ".join([*said, FAINT_REST]) if said else "")

    def _offset(self, a: Answer, b: Answer, reading: Reading) -> Point:
        """Return how far from A's place B lies, in the viewer's world."""
        if a.subject == b.subject:
            return (0.0, 0.0, 0.0)
        places = [reading.place_of(one.subject) for one in (a, b)]
        here, there = (
            np.zeros(3) if place is None else np.array(reading.frame.to_world(place.centre))
            for place in places
        )
        return self._scene.in_world((there - here).tolist())


def _why_faint(
    saliency: Saliency,
    ranges: Sequence[MapRange],
    visible: Sequence[str],
    common: float | None,
    threshold: int,
) -> str:
    """Say that the common limit lets a map hardly be seen; empty where it does not."""
    of = zip(saliency.sequences, ranges, strict=False)  # none where nobody measured them
    reach = max((one.limit for name, one in of if name in visible), default=0.0)
    if common is None or not reach or not is_faint(reach, common, threshold):
        return ""
    return f"hardly shows: its own limit is ±{reach:.3g}, the common one ±{common:.3g}"


def is_faint(reach: float, limit: float, threshold: int) -> bool:
    """Whether a map hardly shows where its colours end at a limit.

    Parameters
    ----------
    reach
        Magnitude of its strong values: the limit that it would have alone.
    limit
        Magnitude at which the colours end.
    threshold
        Magnitude up to which they are clear, in percent of the limit.
    """
    return bool(opacity(np.array(reach / limit), threshold / 100) < FAINT)
