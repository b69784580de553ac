"""The curve of one lesion: what it says in words, and its plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_ies.cohort.chart import STYLES, TEXT_PT, chart, label_axes, legend
from napari_ies.cohort.context.plots import ACROSS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_ies.cohort.context.perilesional import Context

UP = "Mean probability in the lesion"
LEFT, RIGHT = 0.4, 0.6
"""How far along the axis there is room for words on either side of a line, and not on one."""


@dataclass(frozen=True)
class Ink:
    """Colours of a plot of one curve."""

    line: str = STYLES[0][0]
    text: str = "black"
    faint: str = "0.6"
    paper: str = "white"


def detected_words(context: Context) -> str:
    """Say down to which distance a lesion is detected, such as ``"detected from 3 mm on"``.

    Parameters
    ----------
    context
        All of it, or what is known of it while it is computed.
    """
    steps, detected = len(context.distance_mm), context.detected
    if not context.finished:
        return f"computing: {steps} of {context.request.growth.steps + 1} steps"
    if detected.all():
        return "detected at every step, alone too"
    if not detected.any():
        return "detected at no step"
    if not detected[-1]:
        return f"not detected with {context.distance_mm[-1]:g} mm"
    return f"detected from {context.needed_mm:g} mm on"


def below_words(context: Context) -> str:
    """Say what is with less than :attr:`Context.needed_mm`; empty if that is no step between."""
    if not context.finished or not context.needed_mm > 0:
        return ""
    below = context.detected[context.distance_mm < context.needed_mm]
    return "now and then" if below.any() else "not detected"


def step_words(context: Context, step: int) -> str:
    """Say what the network makes of a lesion at a step, in one sentence.

    Parameters
    ----------
    context
        The curve.
    step
        The number of a step that is known, from 0, the lesion alone; -1 for the images as they are.
    """
    if step < 0:
        kept, mean, above = "The images as they are", context.whole_probability, context.whole_above
    else:
        kept = f"{context.distance_mm[step]:g} mm kept" if step else "The lesion alone"
        mean, above = float(context.mean_probability[step]), int(context.voxels_above[step])
    found = "detected" if above else "not detected"
    how = f"above {context.request.threshold:g}"
    if context.by_tool:
        how = "where it is the most probable class"
    return (
        f"{kept}: mean probability {mean:.3f}, {found} ({above} of {context.voxels} voxels {how})."
    )


def ends(context: Context) -> tuple[float, float]:
    """Return where the axis of distances ends, in mm, with room for the first and last point."""
    growth, known = context.request.growth, context.distance_mm
    reach = growth.steps * growth.step_mm or growth.step_mm
    if growth.dilations:
        size = float(known[1]) if len(known) > 1 else 1.0
        reach = growth.dilations * size
    return -0.02 * reach, 1.02 * reach


def context_figure(context: Context) -> Figure:
    """Draw the curve of one lesion on a page of its own, as the cohort's charts look."""
    figure = chart()
    draw_context(figure.subplots(), context)
    return figure


def draw_context(axes: Axes, context: Context, ink: Ink | None = None, marked: int = -1) -> None:
    """Draw the curve of one lesion.

    Detected steps are full circles and the others crosses, and words above the plot say from where
    on the lesion is detected, so that nothing hangs on colour alone.

    Parameters
    ----------
    axes
        Where.
    context
        All of it, or what is known of it so far.
    ink
        The colours.
    marked
        The number of a step that is pointed out; -1 for none.
    """
    ink = ink or Ink()
    words: dict[str, Any] = {"fontsize": TEXT_PT, "color": ink.text}
    distance, mean, detected = context.distance_mm, context.mean_probability, context.detected
    whole = context.whole_probability
    said = f"images as they are: {whole:.2f}"
    axes.axhline(whole, color=ink.faint, linestyle="--", linewidth=1, label=said)
    axes.plot(distance, mean, color=ink.line, linewidth=1.5)
    size = 4.5 if len(distance) <= 60 else 2.5
    style: dict[str, Any] = {"linestyle": "none", "color": ink.line, "markersize": size}
    for kind, form, label in ((True, "o", "detected"), (False, "x", "not detected")):
        here = detected == kind
        axes.plot(distance[here], mean[here], marker=form, label=label, **style)
    if 0 <= marked < len(distance):
        point: dict[str, Any] = {"markersize": 10, "markerfacecolor": "none", "color": ink.text}
        axes.plot(distance[marked], mean[marked], marker="o", linestyle="none", **point)
    label_axes(axes, ACROSS, UP)
    axes.set_xlim(*ends(context))
    axes.set_ylim(-0.03, 1.03)
    _write_detected(axes, context, ink, words)
    _colour(axes, ink)
    legend(axes, loc="best", labelcolor=ink.text, handletextpad=0.2)


def _write_detected(axes: Axes, context: Context, ink: Ink, words: dict[str, Any]) -> None:
    """Mark in words, above the plot, from where on the lesion is detected."""
    below, needed = below_words(context), context.needed_mm
    if not below:
        axes.set_title(detected_words(context), loc="left", **words)
        return
    axes.axvline(needed, color=ink.text, linestyle=":", linewidth=1)
    low, high = axes.get_xlim()
    share = (needed - low) / (high - low)
    side = "left" if share < LEFT else "right" if share > RIGHT else "center"
    axes.annotate(
        f"{detected_words(context)}, {below} with less",
        xy=(needed, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha=side,
        va="bottom",
        **words,
    )


def _colour(axes: Axes, ink: Ink) -> None:
    axes.set_facecolor(ink.paper)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(ink.text)
    axes.tick_params(color=ink.faint, labelcolor=ink.text)
    axes.grid(visible=True, color=ink.faint, alpha=0.35, linewidth=0.5)
    for spine in axes.spines.values():
        spine.set_color(ink.faint)
