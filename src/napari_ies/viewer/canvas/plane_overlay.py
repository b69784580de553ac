"""PlaneOverlay: letters for the sides of the patient, crosshair, and what lies under the mouse.

It is a Qt widget and not part of the scene: moving the crosshair then repaints a few lines and not
every layer, and neither changes the layers nor napari's own overlays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QLineF, QObject, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_ies.geometry.planes import PLANES, Marks, marks_in_space, marks_of
from napari_ies.viewer.canvas.canvases import cells, pixel_at, shown_axes
from napari_ies.viewer.canvas.legend.writing import MARGIN, write

if TYPE_CHECKING:
    from collections.abc import Sequence

SCALE_BAR_WIDTH, SCALE_BAR_HEIGHT = 180, 44
"""What napari's scale bar takes of the lower right corner at most, in pixels."""
REACH = 0.9
"""Where the letters of the 3-d view lie, as a part of the way from the middle to the border."""
GAP_PIXELS = 14
"""The crosshair leaves this free around its centre, so that it hides no small lesion."""
LINE = QColor(120, 220, 255, 170)
LETTER_PIXELS, TEXT_PIXELS = 15, 12


class PlaneOverlay(QWidget):
    """What is drawn over one canvas.

    Parameters
    ----------
    viewer
        The viewer, or viewer model, whose canvas it is.
    native
        The canvas.
    canvas
        napari's own name for it (``QtViewer.canvas``): in its grid each cell is drawn over. None
        for a canvas without a grid.
    """

    def __init__(self, viewer: Any, native: QWidget, canvas: Any = None) -> None:
        super().__init__(native)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setObjectName("plane_overlay")
        self._viewer, self._native, self._canvas = viewer, native, canvas
        self._under_mouse: tuple[str, ...] = ()
        self._drawn_in: list[QRectF] = []
        if canvas is not None:
            canvas.events.draw.connect(self._on_canvas_drawn)
        self._crosshair: tuple[float, ...] | None = None
        self._named = False
        self._events: tuple[Any, ...] = (
            viewer.dims.events.order,
            viewer.dims.events.ndisplay,
            viewer.scene.camera.events.zoom,
            viewer.scene.camera.events.center,
            viewer.scene.camera.events.orientation,
            viewer.scene.camera.events.angles,
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
        )
        for event in self._events:
            event.connect(self._on_view)
        native.installEventFilter(self)
        self._on_view()

    @property
    def marks(self) -> Marks | None:
        """The letters on show, or None where there are none: in 3-d, or without images."""
        dims = self._viewer.dims
        if dims.ndisplay != 2 or dims.ndim < 3 or not len(self._viewer.layers):
            return None
        shown = shown_axes(dims)
        if min(shown) < 0:
            return None
        orientation = [str(way) for way in self._viewer.scene.camera.orientation2d]
        return marks_of(shown, orientation)

    @property
    def marks_in_space(self) -> dict[str, QPointF]:
        """The letters on show in 3-d, and the pixel at which each is written; none in slices."""
        dims, camera = self._viewer.dims, self._viewer.scene.camera
        if dims.ndisplay != 3 or dims.ndim < 3 or not len(self._viewer.layers):
            return {}
        axes = [axis - (dims.ndim - 3) for axis in dims.displayed]
        if min(axes) < 0:
            return {}
        mirrored = str(camera.handedness) == "left"
        sides = marks_in_space(camera.view_direction, camera.up_direction, axes, mirrored=mirrored)
        middle, reach = QRectF(self.rect()).center(), REACH * min(self.width(), self.height()) / 2
        return {one: middle + QPointF(*place) * reach for one, place in sides.items()}

    @property
    def plane_name(self) -> str:
        """The plane's name, as it is written in the corner."""
        if self.marks is None:
            return ""
        (depth,) = {0, 1, 2} - set(shown_axes(self._viewer.dims))
        return PLANES[depth].name

    @property
    def crosshair(self) -> QPointF | None:
        """The pixel where the lines would cross, or None where no crosshair is drawn."""
        if self._crosshair is None or self.marks is None:
            return None
        return self._pixel_in(self.cells[0], self._crosshair)

    def set_crosshair(self, position: Sequence[float] | None) -> None:
        """Draw the crosshair at a world position in mm; None for no crosshair."""
        self._crosshair = None if position is None else tuple(float(p) for p in position)
        self.update()

    def set_under_mouse(self, lines: tuple[str, ...]) -> None:
        """Write what is known of the place under the mouse; nothing for no lines."""
        if lines != self._under_mouse:
            self._under_mouse = lines
            self.update()

    @property
    def under_mouse(self) -> tuple[str, ...]:
        """What is written of the place under the mouse, line by line."""
        return self._under_mouse

    def set_named(self, named: bool) -> None:
        """Write the plane's name in the corner, or not."""
        self._named = named
        self.update()

    def release(self) -> None:
        """Leave the canvas and its viewer."""
        for event in self._events:
            event.disconnect(self._on_view)
        self._events = ()
        self._native.removeEventFilter(self)
        if self._canvas is not None:
            self._canvas.events.draw.disconnect(self._on_canvas_drawn)
        self.hide()
        self.setParent(None)
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Cover the canvas, whatever its size."""
        if event.type() == QEvent.Type.Resize:
            self._on_view()
        elif event.type() == QEvent.Type.Leave:
            self.set_under_mouse(())
        return bool(super().eventFilter(watched, event))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the crosshair, the letters and the name."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        marks = self.marks
        if marks is None:
            painter.setFont(_font(self.font(), LETTER_PIXELS, bold=True))
            for letter, at in self.marks_in_space.items():
                write(painter, QRectF(at, at), Qt.AlignmentFlag.AlignCenter, letter)
            return
        for cell in self.cells:
            painter.setClipRect(cell)
            if self._crosshair is not None:
                _draw_lines(painter, cell, self._pixel_in(cell, self._crosshair))
            self._draw_letters(painter, cell, marks)
        painter.setClipping(False)
        self._draw_under_mouse(painter)

    def _draw_letters(self, painter: QPainter, cell: QRectF, marks: Marks) -> None:
        painter.setFont(_font(self.font(), LETTER_PIXELS, bold=True))
        inner = cell.adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        middle = Qt.AlignmentFlag.AlignVCenter
        centre = Qt.AlignmentFlag.AlignHCenter
        write(painter, inner, middle | Qt.AlignmentFlag.AlignLeft, marks.left)
        write(painter, inner, middle | Qt.AlignmentFlag.AlignRight, marks.right)
        write(painter, inner, centre | Qt.AlignmentFlag.AlignTop, marks.top)
        lower = inner.adjusted(0, 0, 0, -self._room_of_scale_bar(cell))
        write(painter, lower, centre | Qt.AlignmentFlag.AlignBottom, marks.bottom)
        if self._named:
            corner = Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft
            painter.setFont(_font(self.font(), TEXT_PIXELS))
            write(painter, inner, corner, self.plane_name)

    def _room_of_scale_bar(self, cell: QRectF) -> int:
        """Return how high the scale bar stands in a view so narrow that it reaches the middle."""
        shown = self._viewer.canvas.overlays.scale_bar.visible
        return SCALE_BAR_HEIGHT if shown and cell.width() < 2 * SCALE_BAR_WIDTH else 0

    def _draw_under_mouse(self, painter: QPainter) -> None:
        painter.setFont(_font(self.font(), TEXT_PIXELS))
        height = painter.fontMetrics().height()
        # Above the letter at the lower border, which a long line would reach.
        box = QRectF(self.rect()).adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN - 1.5 * LETTER_PIXELS)
        corner = Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft
        for line in reversed(self._under_mouse):
            write(painter, box, corner, line)
            box.adjust(0, 0, 0, -height)

    @property
    def cells(self) -> list[QRectF]:
        """Where in the canvas the slice is shown, in pixels: more than once in napari's grid."""
        if self._canvas is None:
            return [QRectF(self.rect())]
        return [cell for cell, _ in cells(self._viewer, self._canvas)]

    def _pixel_in(self, cell: QRectF, position: Sequence[float]) -> QPointF:
        return pixel_at(self._viewer, (cell.width(), cell.height()), position) + cell.topLeft()

    def _on_canvas_drawn(self, _: Any = None) -> None:
        """Follow napari's grid, whose cells come and go with layers."""
        drawn_in = self.cells
        if drawn_in != self._drawn_in:
            self._drawn_in = drawn_in
            self.update()

    def _on_view(self, _: Any = None) -> None:
        self.setGeometry(self._native.rect())
        self.setVisible(self.marks is not None or bool(self.marks_in_space))
        self.raise_()
        self.update()


def _font(like: QFont, pixels: int, *, bold: bool = False) -> QFont:
    font = QFont(like)
    font.setPixelSize(pixels)
    font.setBold(bold)
    return font


def _draw_lines(painter: QPainter, cell: QRectF, cross: QPointF) -> None:
    """Draw the crosshair in one cell."""
    painter.setPen(QPen(LINE, 1))
    # On whole pixels, or a thin line is smeared over two.
    x, y = round(cross.x()) + 0.5, round(cross.y()) + 0.5
    painter.drawLine(QLineF(cell.left(), y, x - GAP_PIXELS, y))
    painter.drawLine(QLineF(x + GAP_PIXELS, y, cell.right(), y))
    painter.drawLine(QLineF(x, cell.top(), x, y - GAP_PIXELS))
    painter.drawLine(QLineF(x, y + GAP_PIXELS, x, cell.bottom()))
