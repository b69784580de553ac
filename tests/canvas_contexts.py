"""Whether what each canvas asks of OpenGL is carried out in that canvas's own context."""

from __future__ import annotations

import contextlib
import traceback
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def watch_contexts(tell: Callable[[str], None], put: Callable[[Any, str, Any], None]) -> None:
    """Tell of each command that is carried out in a context that is not its canvas's.

    Parameters
    ----------
    tell
        Called with what was carried out, and from where.
    put
        Sets an attribute, as ``setattr`` does.
    """
    from napari.qt import QtViewer  # noqa: F401 - it chooses vispy's backend
    from qtpy import API_NAME
    from qtpy.QtGui import QOpenGLContext
    from vispy.app import use_app

    use_app(API_NAME.lower())
    from vispy.app.backends import _qt
    from vispy.gloo.glir import GlirParser

    canvases: Any = weakref.WeakKeyDictionary()
    parse, start = GlirParser.parse, _qt.CanvasBackendDesktop._init_specific

    def note(native: Any, parameters: Any, keywords: Any) -> None:
        canvases[parameters.context.shared.parser] = weakref.ref(native)
        start(native, parameters, keywords)

    def check(parser: Any, commands: Any) -> None:
        native = canvases.get(parser, lambda: None)()
        if commands and native is not None:
            with contextlib.suppress(RuntimeError):  # the canvas is gone
                own, current = native.context(), QOpenGLContext.currentContext()
                if own is None or current != own:
                    kinds = sorted({str(command[0]) for command in commands})
                    stack = "".join(traceback.format_stack(limit=16))
                    tell(f"OpenGL: {kinds} of {own} in {current}:\n{stack}")
        parse(parser, commands)

    put(_qt.CanvasBackendDesktop, "_init_specific", note)
    put(GlirParser, "parse", check)
