"""Legend: what is said on the canvases of one view; knows no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.viewer.panel.plain_text import shown_name
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.state.titles import capitalised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.viewer.canvas.legend.bar import Bar


class Legend:
    """The caption of what is shown, and the colour bars of it."""

    def __init__(self) -> None:
        self.changed: Event[[]] = Event()
        """Anything else is said."""
        self._prefix = ""
        self._parts: tuple[str, ...] = ()
        self._short: tuple[str, ...] = ()
        self._odd = self._hidden = False
        self._remarks: dict[str, str] = {}
        self._bars: dict[str, Bar] = {}
        self.room = False
        """Whether room is kept for a bar, though none may be on show now."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the caption, the first with what tells this view from another one.

        A remark stands in the place of what would be said of a map that is hidden.
        """
        return self._with_remarks(self._parts)

    @property
    def short(self) -> tuple[str, ...]:
        """The same in few words, what is needed most first."""
        return self._with_remarks(self._short)

    @property
    def odd(self) -> bool:
        """Whether the caption says what a person might not expect."""
        return self._odd or bool(self._remarks)

    @property
    def text(self) -> str:
        """The caption in one line."""
        return " · ".join(self.parts)

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The bars on show."""
        return tuple(self._bars.values())

    def set_caption(
        self,
        parts: Sequence[str],
        *,
        short: Sequence[str] = (),
        odd: bool = False,
        hidden: bool = False,
    ) -> None:
        """Say what is shown.

        Parameters
        ----------
        parts
            To be joined or written one below the other.
        short
            The same in few words, for a narrow canvas; by default it is all of them.
        odd
            Whether it says what a person might not expect, and is to be seen.
        hidden
            Whether it is of a map that is hidden.
        """
        whole, few = (tuple(map(shown_name, those)) for those in (parts, short or parts))
        if (whole, few, odd, hidden) != (self._parts, self._short, self._odd, self._hidden):
            self._parts, self._short, self._odd, self._hidden = whole, few, odd, hidden
            self.changed.emit()

    def set_remark(self, owner: str, remark: str) -> None:
        """Say at the end of the caption what might mislead, in place of the owner's remark before.

        An empty one says nothing.
        """
        if remark != self._remarks.get(owner, ""):
            self._remarks.pop(owner, None)
            if remark:
                self._remarks[owner] = shown_name(remark)
            self.changed.emit()

    def set_prefix(self, prefix: str) -> None:
        """Tell this view from another one beside it, such as ``"A"``; empty for no other."""
        if prefix != self._prefix:
            self._prefix = prefix
            self.changed.emit()

    def keep_room(self, room: bool) -> None:
        """Keep room for a bar while maps come and go, so that the canvas keeps its size."""
        if room != self.room:
            self.room = room
            self.changed.emit()

    def set_bar(self, owner: str, bar: Bar | None) -> None:
        """Show a colour bar in place of the owner's one before, or none."""
        if bar is None and owner not in self._bars:
            return
        self._bars.pop(owner, None)
        if bar is not None:
            self._bars[owner] = bar
        self.changed.emit()

    def _with_remarks(self, said: tuple[str, ...]) -> tuple[str, ...]:
        remarks = tuple(self._remarks.values())
        alone = bool(remarks) and self._hidden
        parts = (capitalised(remarks[0]), *remarks[1:]) if alone else (*said, *remarks)
        return (f"{self._prefix}: {parts[0]}", *parts[1:]) if self._prefix and parts else parts
