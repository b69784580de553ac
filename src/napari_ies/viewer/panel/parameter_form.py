"""The controls of plain parameters: magicgui widgets, made from how a class describes its fields.

Name, range, unit and words are those of :mod:`napari_ies.parameters`, as on the command line.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from magicgui.backends._qtpy.widgets import QBaseRangedWidget
from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit
from magicgui.widgets.bases import RangedWidget
from qtpy.QtWidgets import QSpinBox

from napari_ies.parameters import PERCENT, Parameter, parameters_of
from napari_ies.viewer.panel.availability import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from magicgui.widgets.bases import ValueWidget


class ParameterForm:
    """Controls for fields of a frozen class; a form places them, and reads and shows its values.

    Parameters
    ----------
    taker
        The class.
    names
        Of its fields.
    prefix
        Of the controls' object names.
    choices
        Of fields whose choices depend on something else than the class: by field, what can be
        chosen and how it is called.
    """

    def __init__(
        self,
        taker: type,
        *names: str,
        prefix: str = "",
        choices: Mapping[str, Mapping[Any, str]] | None = None,
    ) -> None:
        described = parameters_of(taker)
        self.about = {name: described[name] for name in names}
        for name, offered in (choices or {}).items():
            self.about[name] = replace(self.about[name], choices=offered)
        self.widgets = {name: _widget(about) for name, about in self.about.items()}
        for name, about in self.about.items():
            describe(self[name], about.help, prefix + about.name)

    def __getitem__(self, name: str) -> Any:
        """Return the control of a field, a widget of Qt."""
        return self.widgets[name].native

    def connect(self, slot: Callable[[], object]) -> None:
        """Call something whenever one of the values changes."""
        for widget in self.widgets.values():
            widget.changed.connect(slot)

    def value(self, name: str) -> Any:
        """Return what a field is set to."""
        about, shown = self.about[name], self.widgets[name].value
        if about.percent:
            # The control counts tenths of a percent; the field the fraction they stand for.
            return round(shown / PERCENT, 6)
        return _read(shown, about) if about.typed else shown

    def values(self) -> dict[str, Any]:
        """Return what all fields are set to, by their names."""
        return {name: self.value(name) for name in self.widgets}

    def show(self, taken: Any) -> None:
        """Show the values of an instance; what is not on offer is left, or the nearest taken."""
        for name, widget in self.widgets.items():
            value = getattr(taken, name)
            if self.about[name].typed:
                widget.value = typed(value)
            elif hasattr(widget, "choices"):
                if value in widget.choices:
                    widget.value = value
            elif self.about[name].kind is bool:
                widget.value = value
            elif value is not None:
                shown = value * PERCENT if self.about[name].percent else value
                widget.value = min(max(shown, widget.min), widget.max)


def _widget(about: Parameter) -> ValueWidget[Any]:
    """Make the control that a description asks for."""
    if about.typed:
        edit = LineEdit()
        edit.native.setPlaceholderText("not known")
        return edit
    if about.choices or about.kind is str:
        # Of a text without choices they are not known yet.
        choices = [(title, value) for value, title in about.choices.items()] or [("", None)]
        first = about.default if about.default in about.choices else choices[0][1]
        return ComboBox(value=first, choices=choices)
    if about.kind is bool:
        return CheckBox(value=bool(about.default), text=about.label)
    least, most = about.offered or about.limits
    options = {"min": least, "max": most, "step": about.step}
    if about.kind is int:
        widget = RangedWidget(widget_type=_QWholeNumber, value=about.default, **options)
    else:
        widget = FloatSpinBox(value=about.default * (PERCENT if about.percent else 1), **options)
        widget.native.setDecimals(about.decimals)
    widget.native.setPrefix(about.before)
    widget.native.setSuffix(about.unit)
    return widget


def typed(value: Any) -> str:
    """Show a value as it is typed."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        joint = ", " if value and isinstance(value[0], str) else " × "
        return joint.join(typed(one) for one in value)
    return value if isinstance(value, str) else f"{value:g}"


def _read(text: str, about: Parameter) -> Any:
    """Return what is typed; a text where it is not what it should be, for others to refuse."""
    text = text.strip()
    if not text and about.optional:
        return None
    kinds = get_args(about.kind)
    if str in kinds:
        return tuple(part.strip() for part in text.split(","))
    if not kinds:
        return text
    try:
        parts = tuple(json.loads(part) for part in text.replace("×", " ").split())
    except ValueError:
        return text
    return parts or text


class _QWholeNumber(QBaseRangedWidget):
    """The box for a whole number: Qt's own has room for a unit, magicgui's has not."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(QSpinBox, **kwargs)

    def _pre_set_hook(self, value: float) -> int:
        return int(value)
