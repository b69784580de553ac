"""Two maps side by side: B, or A − B, in a second view beside A, each with what it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_ies.colour_maps import colour_limit, opacity
from napari_ies.saliency.request import ALL_SEQUENCES
from napari_ies.viewer.canvas.canvases import around, qt_viewer_of
from napari_ies.viewer.canvas.caption import Caption
from napari_ies.viewer.canvas.layers.second_view import SecondView
from napari_ies.viewer.canvas.window_close import WindowClose

if TYPE_CHECKING:
    from collections.abc import Callable

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
class Pair:
    """Two maps, how each is called, and what is shown of them."""

    a: Answer
    b: Answer
    titles: tuple[str, str]
    """Of A and B; they differ."""
    difference: Comparison | None = None
    """What A − B is taken from, if that is shown beside A and not B."""
    same_limits: bool = True
    """Whether the colours of both are to end at one limit."""

    @property
    def title_beside(self) -> str:
        """What is shown beside A."""
        title, other = self.titles
        return f"B: {other}" if self.difference is None else f"A − B: {title} − {other}"


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
        self._caption: Caption | None = None
        self._window: WindowClose | None = None
        self._pair: Pair | None = None
        self._beside: Saliency | None = None
        self._busy = False

    def open(self, panel: QWidget, gone: Callable[[], object]) -> None:
        """Open the second view in the window of a panel.

        Parameters
        ----------
        panel
            A widget of the panel.
        gone
            Called when the window closes.
        """
        window = around(panel, QMainWindow)
        main = qt_viewer_of(window)
        if window is None or main is None:
            return
        self._window = WindowClose(window, gone)
        self.second = SecondView(self._viewer, main, self._scene.images_shown())
        self._caption = Caption(main.canvas.native)

    def close(self) -> None:
        """Close the second view; everything else is as it was before."""
        for part in (self._window, self._caption, self.second):
            if part is not None:
                part.release()
        if self.second is not None:
            self._scene.overlays.set_common_limit(None)
            self._on_faint("")
        self._window = self._caption = self.second = self._pair = self._beside = None

    def show(self, pair: Pair, reading: Reading) -> None:
        """Show two maps, of which A is on screen."""
        second, frame = self.second, reading.frame
        if second is None:
            return
        a, b = pair.a, pair.b
        self._pair = pair
        second.set_offset(self._offset(a, b, reading))
        second.outlines.select(*reading.displayed(b.subject), frame)
        if pair.difference is None:
            self._beside = b.saliency
            second.overlays.show(b.saliency, frame, pair.title_beside, b.limit)
        else:
            self._beside = difference_map(a.saliency, pair.difference)
            limit = max(a.limit, b.limit)
            second.overlays.show(self._beside, frame, pair.title_beside, limit, signed=True)
        self.follow()

    def follow(self) -> None:
        """Give the second view the look of the first: colours, limits, sequences on show."""
        pair, second, beside = self._pair, self.second, self._beside
        if self._busy or pair is None or second is None or beside is None:
            return
        self._busy = True
        try:
            here, there = self._scene.overlays, second.overlays
            there.set_look(here.look)
            limit = here.limit or 1.0
            if here.look.limits != "fixed":
                limit = max(limit, pair.b.limit)
            for overlays in (here, there):
                overlays.set_common_limit(limit if pair.same_limits else None)
            there.set_visible_sequences(here.visible_sequences())
            common = limit if pair.same_limits else None
            on_a = (pair.a.saliency, here.visible_sequences(), f"A: {pair.titles[0]}")
            on_b = (beside, there.visible_sequences(), pair.title_beside)
            threshold = here.look.threshold
            words_a, words_b = (_words(*one, common, threshold) for one in (on_a, on_b))
            if self._caption is not None:
                self._caption.setText("\n".join(filter(None, words_a)))
            second.caption.setText("\n".join(filter(None, words_b)))
            faint = [said for _, said in (words_a, words_b) if said]
            self._on_faint(" ".join([*faint, FAINT_REST]) if faint else "")
        finally:
            self._busy = False

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


def _words(
    saliency: Saliency, visible: set[str], title: str, common: float | None, threshold: int
) -> tuple[str, str]:
    """Return what a canvas shows, and whether the common limit lets it hardly be seen."""
    shown = [name for name in saliency.sequences if name in visible]
    words = " · ".join([title, *(name for name in shown if name != ALL_SEQUENCES)])
    if common is None or not shown:
        return words, ""
    reach = max(colour_limit(saliency, saliency.sequences.index(name)) for name in shown)
    if not is_faint(reach, common, threshold):
        return words, ""
    which = title.partition(":")[0]
    return words, (
        f"{which} hardly shows: its own limit is ±{reach:.3g}, the common one ±{common:.3g}."
    )


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


def difference_map(a: Saliency, comparison: Comparison) -> Saliency:
    """Return the difference A − B, which there must be, as maps that can be shown like others."""
    difference = comparison.difference
    assert difference is not None  # noqa: S101 - A − B cannot be chosen otherwise
    footprint = a.box.lay(a.footprint, comparison.box)
    return replace(
        a,
        sequences=comparison.sequences,
        box=comparison.box,
        cropped=difference,
        cropped_standard_error=None,
        footprint=footprint,
    )
