"""Own context: what a canvas asks of OpenGL is done in its own context, never in another window's.

vispy queues what a canvas asks for and hands the queue on when it is drawn, and whenever somebody
asks it to; napari does when layers go (``VispyCanvas._clean_and_update_scenegraph``). It is then
carried out in whichever OpenGL context happens to be current: that of the canvas drawn last, or
the one that vispy makes for each new canvas. Contexts number their textures and buffers alike, so
that freed, or overwrote, what belonged to another canvas, whose next drawing failed (GLError 1282)
or read memory that is not there, which ends the program. Seen in napari 0.9.2 with vispy 0.17.

Qt gives a canvas a new context when it comes to another window, as in a dock that is pulled loose,
and all that vispy put in the one before is gone. vispy does not know and draws from it, which ends
the program, too. Such a canvas stays empty here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QOpenGLContext
from vispy.gloo.glir import BaseGlirParser

if TYPE_CHECKING:
    from collections.abc import Sequence

Command = tuple[Any, ...]

_NOT_KEPT = ("CURRENT", "DRAW")
"""Means nothing later: each drawing says it again."""


def keep_to_own_context(canvas: Any) -> None:
    """Let what a canvas asks of OpenGL be done in its own context, whoever asks for it.

    It stays so as long as the canvas is there: contexts that came with other canvases may be
    current long after those were closed.

    Parameters
    ----------
    canvas
        napari's canvas (``QtViewer.canvas``); nothing changes if it keeps to its own already.
    """
    shared = canvas.view.canvas.context.shared
    if not isinstance(shared.parser, _InOwnContext):
        shared.parser = _InOwnContext(shared.parser, canvas.native)


class _InOwnContext(BaseGlirParser):
    """Hands commands on to vispy's parser while the canvas's context is current."""

    def __init__(self, parser: Any, native: Any) -> None:
        # Not the parent's, which only sets the capabilities that are the parser's here.
        self._parser, self._native = parser, native
        self._waiting: list[Command] = []
        self._met, self._lost = False, False

    @property
    def capabilities(self) -> Any:
        return self._parser.capabilities

    @property
    def shader_compatibility(self) -> Any:
        return self._parser.shader_compatibility

    def is_remote(self) -> bool:
        return bool(self._parser.is_remote())

    def parse(self, commands: Sequence[Command]) -> None:
        try:
            own = self._native.context() if self._native.isValid() else None
        except RuntimeError:  # the canvas is gone, and with its context all that lay there
            return
        if own is None:
            # Not on the screen yet: it has no context, and must not borrow one.
            self._waiting += [command for command in commands if command[0] not in _NOT_KEPT]
            return
        if not self._met:
            self._met = True
            own.aboutToBeDestroyed.connect(self._on_lost)
        if self._lost:
            return
        commands, self._waiting = [*self._waiting, *commands], []
        current = QOpenGLContext.currentContext()
        if current == own:
            self._parser.parse(commands)
            return
        surface = None if current is None else current.surface()
        self._native.makeCurrent()
        try:
            self._parser.parse(commands)
        finally:
            # Another canvas may be in the middle of its drawing.
            if current is None:
                self._native.doneCurrent()
            else:
                current.makeCurrent(surface)

    def _on_lost(self) -> None:
        self._lost = True
