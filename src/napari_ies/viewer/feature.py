"""Feature: one thing that a person does at the panel, and all that it ever gets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qtpy.QtWidgets import QWidget

    from napari_ies.viewer.canvas.layers import Scene
    from napari_ies.viewer.canvas.viewer_link import ViewerLink
    from napari_ies.viewer.state.state import State
    from napari_ies.viewer.state.tell import Tell
    from napari_ies.viewer.work.explaining import Explaining
    from napari_ies.viewer.work.runner import Runner


@dataclass(frozen=True, eq=False)
class Services:
    """What every feature shares; plain classes, so that the type check sees each use of them."""

    viewer: Any
    """The napari viewer, or the proxy that plugins get."""
    state: State
    """What the window knows."""
    explaining: Explaining
    """Selects and explains."""
    scene: Scene
    """The only editor of layers."""
    link: ViewerLink
    """What happens in the viewer: clicks, layers that come and go."""
    work: Runner
    """Runs what takes time."""
    tell: Tell
    """The one way to say something."""


class Place(Enum):
    """Where the panel puts a widget, from top to bottom."""

    NOTICE = auto()
    """Above the status line: what shows itself when there is something to know or to decide."""
    WELCOME = auto()
    """Over the lesions, while the panel is empty."""
    PREPARATION = auto()
    """A section of what is set up once for a patient; it can be folded away."""
    RESULT = auto()
    """Above the lesions: what must be said of the result."""
    LESIONS = auto()
    """The section of the lesions."""
    TAB = auto()
    """A tab below the lesions."""
    VIEW_BUTTON = auto()
    """A button that changes how the viewer shows the patient."""
    BUTTON = auto()
    """A button in the last row."""
    LINE = auto()
    """A line of text below the buttons."""


@dataclass(frozen=True, eq=False)
class Placed:
    """Widgets and where the panel puts them."""

    place: Place
    """Where."""
    widgets: Sequence[QWidget]
    """What, one below the other."""
    title: str = ""
    """Of the section or tab."""
    tooltip: str = ""
    """Of that, too."""


class Feature:
    """A part of the panel. It changes the state and follows it, and knows no other part.

    Parameters
    ----------
    services
        All that it gets; each of them is an attribute.
    """

    def __init__(self, services: Services) -> None:
        self.viewer, self.state, self.scene = services.viewer, services.state, services.scene
        self.explaining, self.link = services.explaining, services.link
        self.work, self.tell = services.work, services.tell
        self.views: Sequence[Placed] = ()
        """Its widgets, and where they go."""
        self.actions: Mapping[str, Callable[[], object]] = {}
        """What keys can do, by the names in :data:`napari_ies.viewer.keys.KEYS`."""

    def attach(self) -> None:
        """Follow the viewer, when the panel is docked; does nothing if it does."""

    def release(self) -> None:
        """Leave the viewer as it was, when the panel is closed; it may be docked again."""
