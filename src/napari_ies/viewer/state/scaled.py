"""Scaled: numbers in units of a power of ten, the same in Readout and on the colour bar."""

from __future__ import annotations

import math

NONE = "–"
"""Stands for a number that is not there."""


def common_power(largest: float) -> int:
    """Return the power of ten, a multiple of 3, in which a magnitude reads well."""
    if largest == 0 or not math.isfinite(largest):
        return 0
    power = 3 * math.floor(math.log10(largest) / 3)
    return 0 if power == -3 and largest >= 0.1 else power


def scaled_unit(unit: str, power: int) -> str:
    """Return a unit with its power of ten, such as ``10⁻³ logit per standard deviation``."""
    return f"10{str(power).translate(_RAISED)} {unit}" if power else unit


def number(value: float, power: int = 0, digits: int = 3) -> str:
    """Return a number in units of a power of ten, with a true minus sign."""
    if math.isnan(value):
        return NONE
    return f"{value / 10**power:.{digits}g}".replace("-", "−")


def with_error(value: float, error: float, power: int = 0) -> str:
    """Return a value and its error, both to the place of the error's first digit.

    Without a finite error above 0 the value has three digits.
    """
    shown = error / 10**power
    if not (shown > 0 and math.isfinite(shown)):
        return f"{number(value, power)} ± {number(error, power, digits=1)}"
    # The place after rounding: of 0.0096 it is the second, not the third.
    place = -math.floor(math.log10(float(f"{shown:.0e}")))
    digits = max(place, 0)
    both = (f"{round(one, place):.{digits}f}" for one in (value / 10**power, shown))
    return " ± ".join(both).replace("-", "−")


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
