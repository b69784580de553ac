"""Segments: lines of constant width on screen, whose ends are the only thing sent to OpenGL.

napari's own Vectors layer compiles its shader anew at every slice, and takes a row of the layer
list; OpenGL's own lines are one pixel wide on macOS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from vispy import gloo
from vispy.scene.visuals import create_visual_node
from vispy.visuals import Visual

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VERTEX = """
attribute vec2 a_start;
attribute vec2 a_end;
attribute vec2 a_corner;
attribute vec4 a_color;
varying vec4 v_color;

void main() {
    vec4 start = $visual_to_canvas(vec4(a_start, 0.0, 1.0));
    vec4 end = $visual_to_canvas(vec4(a_end, 0.0, 1.0));
    start /= start.w;
    end /= end.w;
    vec2 along = end.xy - start.xy;
    along = length(along) > 0.0 ? normalize(along) : vec2(1.0, 0.0);
    vec2 across = vec2(-along.y, along.x);
    vec2 corner = along * (2.0 * a_corner.x - 1.0) + across * a_corner.y;
    vec2 place = mix(start.xy, end.xy, a_corner.x) + 0.5 * $width * corner;
    gl_Position = $canvas_to_render(vec4(place, start.z, 1.0));
    v_color = a_color;
}
"""

_FRAGMENT = """
varying vec4 v_color;

void main() {
    gl_FragColor = v_color;
}
"""

_CORNERS = np.array([[0, -1], [0, 1], [1, -1], [1, -1], [0, 1], [1, 1]], np.float32)
"""Two triangles of a segment: 0 at its start, 1 at its end; to either side."""


class SegmentsVisual(Visual):
    """Straight lines with square ends, wide by pixels of the screen at any zoom.

    Parameters
    ----------
    width
        Width of the lines in pixels of the canvas.
    """

    def __init__(self, width: float) -> None:
        super().__init__(vcode=_VERTEX, fcode=_FRAGMENT)
        self._count = 0
        self._buffers = {name: gloo.VertexBuffer() for name in ("start", "end", "corner", "color")}
        for name, buffer in self._buffers.items():
            self.shared_program[f"a_{name}"] = buffer
        self.shared_program.vert["width"] = float(width)
        self._draw_mode = "triangles"
        self.set_gl_state("translucent", depth_test=False, cull_face=False)
        self.freeze()

    @property
    def count(self) -> int:
        """How many segments are drawn."""
        return self._count

    def set_segments(self, ends: NDArray[np.float32], colours: NDArray[np.float32]) -> None:
        """Draw these segments instead of those before.

        Parameters
        ----------
        ends
            (N, 2, 2): start and end of each, as (x, y) in the coordinates of the scene.
        colours
            (N, 4): red, green, blue and opacity, from 0 to 1.
        """
        self._count = len(ends)
        if self._count:
            six = np.repeat(np.asarray(ends, np.float32), 6, axis=0)
            values = {
                "start": np.ascontiguousarray(six[:, 0]),
                "end": np.ascontiguousarray(six[:, 1]),
                "corner": np.tile(_CORNERS, (self._count, 1)),
                "color": np.repeat(np.asarray(colours, np.float32), 6, axis=0),
            }
            for name, value in values.items():
                self._buffers[name].set_data(value)
        self.update()

    def _prepare_transforms(self, view: Any) -> None:
        view.view_program.vert["visual_to_canvas"] = view.get_transform("visual", "canvas")
        view.view_program.vert["canvas_to_render"] = view.get_transform("canvas", "render")

    def _prepare_draw(self, view: Any) -> bool | None:
        # False is vispy's word for nothing to draw.
        return None if self._count else False


Segments = create_visual_node(SegmentsVisual)
"""The lines as a node of a canvas's scene."""
