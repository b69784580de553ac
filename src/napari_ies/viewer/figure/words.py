"""What is to be known of a figure before it is saved, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.viewer.state.captions import samples_of
from napari_ies.viewer.state.scaled import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_ies.figures.scales import Scale
    from napari_ies.viewer.state.answers import Answer


def unfinished(answer: Answer, running: bool) -> str:
    """Say what a map that is not complete is made of; empty for one that is.

    Parameters
    ----------
    answer
        The map.
    running
        Whether it is being computed; else it was stopped.
    """
    if answer.finished:
        return ""
    _, samples = samples_of(answer, running)
    made = f" ({samples})" if samples else ""
    if running:
        return (
            f"The map is still being computed{made}: a figure shows it as it is when it is saved."
        )
    return f"The map was stopped{made}: this figure shows it unfinished."


def lines_apart(width: float | None, asked: float) -> str:
    """Say that outlines are thinner than asked for, both in points; empty where they are not.

    Parameters
    ----------
    width
        Of the figure's outlines; None where it has none.
    asked
        What is set.
    """
    if width is None or round(width, 1) >= round(asked, 1):
        return ""
    return f"Outlines are {width:.1f} pt wide: wider ones would hide what they surround."


def limits_apart(scales: Sequence[Scale], on_show: Mapping[str, float], power: int) -> str:
    """Say where the colours of a figure end elsewhere than on screen; empty if nowhere.

    Parameters
    ----------
    scales
        Of the figure.
    on_show
        Where they end on screen, by sequence.
    power
        The numbers are in units of ten to this power.
    """
    apart = [
        f"{name}: ±{number(each.limit, power)} here, ±{number(on_show[name], power)} on screen"
        for each in scales
        for name in each.sequences
        if name in on_show and number(each.limit, power) != number(on_show[name], power)
    ]
    return f"The colours end elsewhere than on screen ({'; '.join(apart)})." if apart else ""
