"""Durations that are only roughly known, in words."""

from __future__ import annotations

MINUTE, HOUR = 60.0, 3600.0
DAY, YEAR = 24 * HOUR, 365.25 * 24 * HOUR
MOST_YEARS = 1_000_000


def about(seconds: float) -> str:
    """Say a duration, of at least 0 seconds, as precisely as an estimate deserves.

    Returns
    -------
    Such as ``"less than a minute"``, ``"about 12 minutes"``, ``"about 3 hours"`` or ``"about
    2 years"``.
    """
    if seconds < 0.75 * MINUTE:
        return "less than a minute"
    if seconds < 0.95 * HOUR:
        return _counted(seconds / MINUTE, "minute")
    if seconds < 1.25 * HOUR:
        return "about an hour"
    if seconds < 2 * DAY:
        return _counted(seconds / HOUR, "hour")
    if seconds < 100 * DAY:
        return _counted(seconds / DAY, "day")
    if seconds < 2 * YEAR:
        return _counted(12 * seconds / YEAR, "month")
    if seconds < MOST_YEARS * YEAR:
        return _counted(seconds / YEAR, "year")
    return "more than a million years"


def _counted(value: float, unit: str) -> str:
    count = max(round(value), 1)
    return f"about {count:,} {unit}{'' if count == 1 else 's'}"
