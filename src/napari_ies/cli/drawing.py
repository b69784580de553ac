"""What ``napari-ies figure`` does: from saved saliencies to pictures on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ies.errors import FigureError, ResultsError
from napari_ies.figures.caption import caption
from napari_ies.figures.content import FigureContent
from napari_ies.figures.files import figure_format, save_figure
from napari_ies.figures.settings import FORMATS
from napari_ies.patient.masks import read_mask
from napari_ies.progress import Progress
from napari_ies.results.explained import load_explained, load_images, result_of
from napari_ies.results.storage.writing import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_ies.figures.settings import FigureSettings


@dataclass(frozen=True)
class Drawn:
    """A figure that was written."""

    path: Path
    caption: str
    """What may stand below it."""


def figure_files(
    results: Sequence[Path], out: Path, form: str | None, settings: FigureSettings, overwrite: bool
) -> dict[Path, Path]:
    """Name the figure of each result, and refuse before drawing what would be refused after.

    Parameters
    ----------
    results
        Files of saliencies; those of one saliency give one figure.
    out
        The figure's file if it ends in .png, .svg or .pdf, else the folder for the figures.
    form
        Format, or None for that of the file's ending, or PNG.
    settings
        Layout and theme enter the names of figures in a folder.
    overwrite
        Whether a figure of the same name is replaced.

    Returns
    -------
    The file of each figure, by the result's footprint file.

    Raises
    ------
    FigureError
        If one file is named for several results, or its ending is of another format.
    ResultsError
        If a result is none, or a figure is there already.
    """
    distinct = list(dict.fromkeys(result_of(path) for path in results))
    with disk_errors(out):
        is_folder = out.is_dir()
    if out.suffix.lower().removeprefix(".") in FORMATS and not is_folder:
        if len(distinct) > 1:
            raise FigureError(
                f"{len(distinct)} results were given for the one file {out.name}; give a folder."
            )
        if form is not None and form != figure_format(out):
            raise FigureError(
                f"{out.name} ends in .{figure_format(out)}, but --format says {form}; leave one of "
                "them out."
            )
        files = {distinct[0]: out}
    else:
        kind = settings.layout + ("dark" if settings.theme == "dark" else "")
        ending = f"_desc-{kind}_figure.{form or 'png'}"
        files = {
            result: out / f"{result.name.replace('_desc-footprint_mask.nii.gz', '')}{ending}"
            for result in distinct
        }
    if len(set(files.values())) < len(files):
        raise FigureError(
            "Two results in different folders would give figures of the same name; draw them into "
            "different folders."
        )
    with disk_errors(out):
        existing = [file for file in files.values() if file.exists()]
    if existing and not overwrite:
        raise ResultsError(
            f"{existing[0]} is there already; choose another name, or allow overwriting with "
            "--overwrite."
        )
    return files


def draw_figures(
    files: Mapping[Path, Path],
    images: Mapping[str, Path],
    settings: FigureSettings,
    overwrite: bool,
    reference: Path | None = None,
) -> Iterator[Progress[list[Drawn]]]:
    """Draw one figure after the other.

    Parameters
    ----------
    files
        The file of each figure, by a file of its result.
    images
        Where the patient's images are, by sequence, if not beside the results.
    settings
        How the figures look.
    overwrite
        Whether files are replaced.
    reference
        A mask to outline too.

    Yields
    ------
    A report per figure; the last one holds the figures written.
    """
    written: list[Drawn] = []
    yield Progress("Drawing", 0, len(files), "figures")
    for result, file in files.items():
        explained = load_explained(result)
        case, notes = load_images(explained, images, settings.sequences)
        notes = (*explained.notes, *notes)
        known = None
        if reference is not None:
            mask = read_mask(reference, case, lesions=True)
            known, notes = mask.values, (*notes, *mask.notes)
        content = FigureContent(
            case, explained.saliency, explained.subject, notes=notes, reference=known
        )
        path = save_figure(file, content, settings, overwrite=overwrite)
        written.append(Drawn(path, caption(content, settings)))
        done = len(written)
        yield Progress(
            "Drawing", done, len(files), "figures", written if done == len(files) else None
        )
