"""Numbers that are asked for: taken as whole or real numbers within limits, or refused.

Whoever asks may be a person, a file or a program: what is no number, is not finite or is out of
all proportion is said in one sentence before anything is computed with it.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.errors import NapariIESError


def whole_number(
    value: object, said: str, limits: tuple[float, float], kind: type[NapariIESError], why: str = ""
) -> int:
    """Return a whole number within limits.

    Parameters
    ----------
    value
        A whole number of Python or NumPy; no boolean, no text, no 3.0.
    said
        The beginning of the sentence, with {} for the number: ``"The seed is {}"``.
    limits
        The least and the most.
    kind
        Of error.
    why
        The end of the sentence, such as the reason for the most.

    Raises
    ------
    NapariIESError
        Of that kind, if it is none.
    """
    number = _whole(value)
    if number is not None and limits[0] <= number <= limits[1]:
        return number
    raise kind(
        f"{said.format(_shown(value))}; expected a whole number from {limits[0]:,} to "
        f"{limits[1]:,}{f', {why}' if why else ''}."
    )


def real_number(
    value: object,
    said: str,
    limits: tuple[float, float],
    kind: type[NapariIESError],
    why: str = "",
    *,
    above: bool = False,
    below: bool = False,
) -> float:
    """Return a finite number within limits.

    Parameters
    ----------
    value
        A number of Python or NumPy; no boolean, no text.
    said, limits, kind, why
        See :func:`whole_number`.
    above, below
        Whether it must be above the least, and below the most.

    Raises
    ------
    NapariIESError
        Of that kind, if it is none.
    """
    least, most = limits
    number = _real(value)
    at_end = (above and number == least) or (below and number == most)
    if least <= number <= most and not at_end:
        return number
    start = f"above {least:,g}" if above else f"of at least {least:,g}"
    end = f"below {most:,g}" if below else f"at most {most:,g}"
    raise kind(
        f"{said.format(_shown(value))}; expected a number {start} and {end}"
        f"{f', {why}' if why else ''}."
    )


def one_of(value: Any, said: str, choices: Sequence[str], kind: type[NapariIESError]) -> str:
    """Return a text that is one of several, or refuse it as :func:`whole_number` does."""
    if isinstance(value, str) and value in choices:
        return value
    raise kind(f"{said.format(repr(value))}; expected one of {', '.join(choices)}.")


# NumPy's numbers are of these kinds too; its booleans are not, Python's are.
def _whole(value: Any) -> int | None:
    return int(value) if not isinstance(value, bool) and isinstance(value, Integral) else None


def _real(value: Any) -> float:
    """Return a number, or NaN for what is none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf


def _shown(value: Any) -> str:
    """Return a value as a person would write it, short."""
    whole = _whole(value)
    if whole is not None and abs(whole) >= 10**MOST_DIGITS:
        # Python refuses to write out a whole number of thousands of digits.
        digits = int(abs(whole).bit_length() * math.log10(2))
        return f"{'-' if whole < 0 else ''}about 10^{digits}"
    if whole is None and not isinstance(value, bool) and isinstance(value, Real):
        return f"{_real(value):g}"
    text = repr(value) if whole is None else str(whole)
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"


MOST_DIGITS, MOST_LETTERS = 15, 40
"""Of a value that a sentence quotes."""
