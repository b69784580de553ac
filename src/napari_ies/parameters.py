"""Parameters: what a person can set, described once, beside the field of the class that takes it.

The class checks its values by the description, the command line makes its options of it and the
viewer the controls of its forms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, get_type_hints

from napari_ies.admissible import one_of, real_number, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_ies.errors import NapariIESError

PERCENT = 100


@dataclass(frozen=True)
class Parameter:
    """A field of a frozen class, as a person meets it.

    Parameters
    ----------
    help
        What it is, in a plain sentence or two.
    said, why
        Beginning of the sentence that refuses a value, with {} for it, by default ``"The seed is
        {}"``, and the reason at the end; see :func:`~napari_ies.admissible.whole_number`.
    limits, above, below
        The least and the most of a number, and whether it must be above or below them.
    choices
        What can be chosen, and how each is called on a form. Of a number it is what a form offers.
    name
        On the command line, and of the control on a form; the field's if left out.
    label
        Beside the control on a form.
    before, unit
        What a form writes before a number and after it.
    percent
        Whether a form shows a fraction in percent.
    typed
        Whether it is typed on a form: a text, names with commas or numbers with × between them.
    offered, step, decimals
        The least and the most that a form offers, by default the limits; how far an arrow goes,
        and the digits after the point; all in what the form shows.
    kind, optional, default
        Type of the field, whether it may be None, and its default: from the class.
    """

    help: str
    said: str = ""
    why: str = ""
    limits: tuple[float, float] = (-math.inf, math.inf)
    above: bool = False
    below: bool = False
    choices: Mapping[Any, str] = field(default_factory=dict)
    name: str = ""
    label: str = ""
    before: str = ""
    unit: str = ""
    percent: bool = False
    typed: bool = False
    offered: tuple[float, float] | None = None
    step: float = 1.0
    decimals: int = 0
    kind: Any = None
    optional: bool = False
    default: Any = None

    def taken(self, value: Any, error: type[NapariIESError]) -> Any:
        """Return a value, a number as Python's own; raise an error of that type if it is none."""
        if value is None and self.optional:
            return None
        said = self.said or f"The {self.name} is {{}}"
        if self.kind is int:
            return whole_number(value, said, self.limits, error, self.why)
        if self.kind is float:
            ends = {"above": self.above, "below": self.below}
            return real_number(value, said, self.limits, error, self.why, **ends)
        if self.choices:
            said = self.said or f"There is no {self.name} {{}}"
            return one_of(value, said, tuple(self.choices), error)
        return value


@cache
def parameters_of(taker: type) -> Mapping[str, Parameter]:
    """Return the described fields of a dataclass by their names, in order.

    A field is described by a :class:`Parameter` in its annotation,
    ``Annotated[int, Parameter(help=…)]``.
    """
    found = {}
    hints = get_type_hints(taker, include_extras=True)
    for one in fields(taker):
        for about in getattr(hints[one.name], "__metadata__", ()):
            kind = hints[one.name].__origin__
            optional = isinstance(kind, UnionType)
            found[one.name] = replace(
                about,
                name=about.name or one.name,
                kind=kind.__args__[0] if optional else kind,
                optional=optional,
                default=one.default,
            )
    return found


def take(taker: object, error: type[NapariIESError]) -> None:
    """Check a new frozen dataclass by its description, and keep numbers as Python's own.

    Raises
    ------
    NapariIESError
        Of that type, if a value is not possible, in one sentence.
    """
    kind: type = type(taker)
    for name, about in parameters_of(kind).items():
        object.__setattr__(taker, name, about.taken(getattr(taker, name), error))
