"""Results as tables for the terminal."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from napari_ies.network.profile import finds_background, is_guessed, questions
from napari_ies.printable import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from napari_ies.network.model import SegmentationModel
    from napari_ies.network.profile import Profile

NOT_KNOWN = "n/a"

MOST_ROWS = 1000
"""Lesions that are listed in a terminal."""
MOST_LAYERS = 16
"""Layers of Grad-CAM++ that are listed unasked: the stages of an nnU-Net's network."""


def lesions_table(lesions: pd.DataFrame) -> Table:
    """Lay out the table of lesions."""
    columns = {
        "voxels": ("Voxels", "{:d}"),
        "volume_mm3": ("mm³", "{:.1f}"),
        "mean_probability": ("p mean", "{:.3f}"),
        "max_probability": ("p max", "{:.3f}"),
        "centre": ("x y z (mm)", "{}"),
        "place": ("Place", "{}"),
        "match": ("Match", "{}"),
    }
    # One column for three numbers, and one for side and distance: eighty characters are few.
    centres = lesions[[f"centre_{axis}_mm" for axis in "xyz"]].to_numpy()
    rest = len(lesions) - MOST_ROWS
    lesions = lesions.iloc[:MOST_ROWS]
    centres = centres[:MOST_ROWS]
    lesions = lesions.assign(centre=[" ".join(f"{mm:.0f}" for mm in at) for at in centres])
    if "hemisphere" in lesions.columns:
        places = zip(lesions["hemisphere"], lesions["midline_mm"], strict=True)
        lesions = lesions.assign(place=[_place(str(side), mm) for side, mm in places])
    shown = {key: form for key, form in columns.items() if key in lesions.columns}
    caption = (
        f"The first {MOST_ROWS:,}; {rest:,} more are in the table of lesions." if rest > 0 else None
    )
    table = _table(["Lesion", *(heading for heading, _ in shown.values())], caption=caption)
    cells = [[form.format(value) for value in lesions[key]] for key, (_, form) in shown.items()]
    for label, *row in zip(lesions.index, *cells, strict=True):
        table.add_row(str(label), *row)
    return table


def measures_table(measures: Mapping[str, pd.DataFrame], unit: str) -> Table:
    """Lay out the measures of one or more saliencies, by what each explains."""
    apart = any("peak_positive_spread" in rows for rows in measures.values())
    members = "; members ± the standard deviation between their maps" if apart else ""
    table = _table(
        ["Explained", "Sequence", "Peak +", "Peak −", "> 0 inside", "Share"],
        left=2,
        caption=f"Peaks (± standard error{members}) in {unit}.",
    )
    for name, rows in measures.items():
        for sequence, row in rows.iterrows():
            table.add_row(
                name,
                str(sequence),
                *(
                    _with_error(row[name], row[f"{name}_error"], row.get(f"{name}_spread"))
                    for name in ("peak_positive", "peak_negative")
                ),
                _percent(row["positive_fraction_inside"]),
                _percent(row["share"]),
            )
    return table


def zones_table(measures: Mapping[str, pd.DataFrame], unit: str) -> Table:
    """Lay out the means inside and around each footprint, by what is explained."""
    from napari_ies.saliency.reading_off.measures import ZONES
    from napari_ies.saliency.reading_off.surroundings import SHELLS_MM

    table = _table(
        ["Explained", "Sequence", "Inside", *(f"{low:g}–{high:g} mm" for low, high in SHELLS_MM)],
        left=2,
        caption=f"Means by distance from the border, in {unit}.",
    )
    for name, rows in measures.items():
        for sequence, row in rows.iterrows():
            means = [float(row[f"mean_{zone}"]) for zone in ZONES]
            table.add_row(name, str(sequence), *(_number(mean) for mean in means))
    return table


def model_table(
    model: SegmentationModel,
    layers: tuple[str, ...],
    default: str,
    why: str = "",
    *,
    every_layer: bool = False,
) -> Table:
    """Lay out what a checkpoint is, what was guessed and the layers of Grad-CAM++.

    These are as :func:`~napari_ies.saliency.gradcam.layers_offered` returns them. Where there are
    many, the default one stands for them unless every layer is asked for.
    """
    from napari_ies.checkpoints.sidecar import profile_path, stated_profile
    from napari_ies.network.members import members_of  # PyTorch comes with it

    profile = model.profile
    weights = sum(parameter.numel() for parameter in model.network.parameters())

    members = len(members_of(model.network))
    together = f" in {members} networks" if members > 1 else ""

    def said(field: str, value: str) -> str:
        return f"{value} (assumed)" if is_guessed(profile, field) else value

    classes = ", ".join(f"{i} {name}" for i, name in enumerate(profile.classes))
    explained = said("explained_class", profile.classes[profile.explained_class])
    careful = finds_background(profile)
    tool = () if model.preparation is None else model.preparation.steps
    own = {} if model.preparation is None else model.preparation.own
    window = own.get("window", said("window", _times(profile.window) + " voxels"))
    rows: list[tuple[str, Any]] = [
        ("Format", model.format),
        ("Architecture", f"{profile.architecture}, {weights:,} weights{together}"),
        ("Arguments", ", ".join(f"{name}={value!r}" for name, value in profile.arguments.items())),
        ("Inputs", said("sequences", ", ".join(profile.sequences))),
        *([("Preprocessing", ", ".join(tool))] if tool else []),
        ("Normalisation", said("normalisation", profile.normalisation)),
        ("Classes", said("classes", classes)),
        ("Explained class", f"{explained}\n{careful}" if careful else explained),
        ("Threshold", said("threshold", f"{profile.threshold:g}")),
        ("Smallest lesion", counted(profile.smallest_lesion, "voxel")),
        ("Window", f"{window}, {_overlapping(profile)}"),
        ("Input sizes", _sizes(profile.fixed_size, profile.divisor)),
        ("Brain-extracted", said("brain_extracted", "yes" if profile.brain_extracted else "no")),
        ("Probability", said("activation", profile.activation)),
        ("Trained at", _trained_at(profile)),
        ("Orientation", profile.orientation or "as each image is stored"),
        ("Weights", _weights(profile.weights)),
        ("SHA-256", model.sha256),
    ]
    if model.path is not None:
        used = stated_profile(model.path, None, lambda _: model.sha256)[1]
        name = profile_path(model.path).name
        absent = f"{name}: not there; write it, or have it written, to change any of this"
        rows.append(("Profile file", f"{used}: used" if used else absent))
    rows.append(("Guessed", "\n".join(profile.guessed) or "nothing"))
    fits = [
        f"{guess.field}: {' or '.join(map(json.dumps, guess.candidates))}"
        for guess in questions(profile.guessed)
    ]
    rows.append(("Would fit as well", "\n".join(fits) or "nothing that can be listed"))
    rows.append(("Grad-CAM++ layers", _layers(layers, default, why, every_layer)))
    table = Table(box=None, show_header=False, title=profile.name, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, str(value))
    return table


def _layers(layers: tuple[str, ...], default: str, why: str, every: bool) -> str:
    """List layers, or some of many; or say why there are none."""
    listed = layers if every or len(layers) <= MOST_LAYERS else tuple(filter(None, (default,)))
    marked = [f"{name} (default)" if name == default else name for name in listed]
    if len(listed) < len(layers):
        marked.append(f"and {len(layers) - len(listed)} more: inspect --layers lists them")
    return "\n".join(filter(None, (*(marked if layers else ("none:",)), why)))


def _overlapping(profile: Profile) -> str:
    """Say how windows overlap, and how they are blended where that is unusual."""
    said = {"constant": ", blended alike", "nnU-Net": ", weighted by nnU-Net's Gaussian"}
    return f"overlap {profile.overlap:g}{said.get(profile.blending, '')}"


def _table(headings: list[str], left: int = 0, caption: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left")
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i < left else "right")
    return table


def _place(side: str, distance: float) -> str:
    """Return a lesion's side and distance to the midline, such as ``"L 23 mm"``."""
    if side in ("left", "right"):
        return f"{side[0].upper()} {distance:.0f} mm"
    return side if side == "midline" else NOT_KNOWN


def _with_error(value: float, error: float, spread: float | None = None) -> str:
    """Write a value, its Monte-Carlo error, and how far the network's members lie apart there."""
    text = f"{value:.3g}" if math.isnan(error) else f"{value:.3g} ± {error:.1g}"
    return text if spread is None or math.isnan(spread) else f"{text} (members ± {spread:.1g})"


def _number(value: float) -> str:
    return NOT_KNOWN if math.isnan(value) else f"{value:.3g}"


def _percent(fraction: float) -> str:
    return NOT_KNOWN if math.isnan(fraction) else f"{100 * fraction:.0f} %"


def _times(sizes: tuple[float, ...]) -> str:
    return " × ".join(f"{size:g}" for size in sizes)


def _trained_at(profile: Profile) -> str:
    """Say the voxel size, and along which axes: those of the orientation, or as stored."""
    if profile.spacing is None:
        return "not known"
    axes = " ".join(profile.orientation) if profile.orientation else "the stored axes"
    run = ", and run at that size" if profile.resample else ""
    return f"{_times(profile.spacing)} mm along {axes}{run}"


def _weights(chosen: str | None) -> str:
    if chosen is None:
        return "the only network in the file"
    return chosen or "the file's top level"


def _sizes(fixed: tuple[int, int, int] | None, divisor: tuple[int, int, int]) -> str:
    if fixed is not None:
        return f"{_times(fixed)} voxels only"
    return f"multiples of {_times(divisor)} voxels"
