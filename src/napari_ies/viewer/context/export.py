"""A curve as files: what a person takes away. Runs in a thread and knows no Qt."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.viewer.panel.plot import Sheet
    from napari_ies.viewer.state.curves import Curve
    from napari_ies.viewer.state.reading import Reading

ENDINGS = ("csv", "json", "png", "pdf")
"""Of the files of a curve: values, settings, and the plot twice."""


def files_of(path: str | Path) -> list[Path]:
    """Return the files that an export by a name writes."""
    whole = Path(path)
    stem = whole.name.removesuffix(whole.suffix) if whole.suffix[1:] in ENDINGS else whole.name
    return [whole.with_name(f"{stem}.{ending}") for ending in ENDINGS]


def export_curve(path: Path, curve: Curve, reading: Reading, model: SegmentationModel) -> Path:
    """Write a curve's values, settings and plot; return the file of the values.

    The values have the columns of ``context.csv`` of ``napari-ies context``.

    Raises
    ------
    ResultsError
        If the disk refuses.
    """
    from napari_ies.cohort.chart import chart_writer
    from napari_ies.cohort.context.files import network_label
    from napari_ies.cohort.context.one_curve import context_figure
    from napari_ies.results.storage.writing import json_writer, prepare, text_writer, write

    written, case = reading.written(curve, model), reading.case
    table = written.table.reset_index()
    front = {
        "subject": case.subject,
        "visit": case.visit,
        "network": network_label(model),
        "growth": curve.context.request.growth.label,
    }
    for place, (name, value) in enumerate(front.items()):
        table.insert(place, name, value)
    draw = partial(context_figure, curve.context)
    title = f"Perilesional context of {curve.subject.called}"
    values, settings, *pictures = files_of(path)
    files = {
        values.name: text_writer(table.to_csv(index=False, lineterminator="\n")),
        settings.name: json_writer(written.content),
        **{picture.name: chart_writer(draw, title) for picture in pictures},
    }
    write(prepare(values.parent, files, overwrite=True), files)
    return values


def copied_text(curve: Curve, reading: Reading, model: SegmentationModel) -> str:
    """Return the values as tab-separated text, numbers in full, for a spreadsheet."""
    text: str = reading.written(curve, model).table.to_csv(sep="\t", lineterminator="\n")
    return text


def picture(curve: Curve, sheet: Sheet, marked: int, dark: bool) -> NDArray[np.uint8]:
    """Draw a curve on a sheet, uint8 (rows, columns, RGBA)."""
    from napari_ies.cohort.chart import STYLES
    from napari_ies.cohort.context.one_curve import Ink, draw_context
    from napari_ies.viewer.panel.plot import draw

    figure, axes = sheet.page()
    line = STYLES[4 if dark else 0][0]
    ink = Ink(line, sheet.text, sheet.faint, sheet.background)
    draw_context(axes, curve.context, ink, marked)
    return draw(figure)
