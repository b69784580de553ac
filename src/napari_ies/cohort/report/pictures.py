"""A picture strip of each lesion for the page: as the figures for papers, small."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_ies.errors import NapariIESError
from napari_ies.figures.content import FigureContent
from napari_ies.figures.files import figure_pixels
from napari_ies.figures.settings import FigureSettings
from napari_ies.results.explained import load_explained

if TYPE_CHECKING:
    from pathlib import Path

    from napari_ies.cohort.report.images import Images

SETTINGS = FigureSettings(layout="planes", width=150.0, plain=False)
DOTS_PER_INCH = 100.0
LARGEST_PAGE = 27_000_000
"""Bytes of all pictures as base64, so that a page of 500 lesions stays under 30 MB."""
LARGEST_PICTURE = 90_000
QUALITIES = (85, 75, 60, 45, 30, 15)


def picture_of(path: Path, images: Images, budget: int) -> tuple[bytes, str]:
    """Draw the strip of a lesion as a JPEG.

    Parameters
    ----------
    path
        Any file of its map.
    images
        Finds the patient's images.
    budget
        The most bytes that it may have.

    Returns
    -------
    The bytes and an empty text, or no bytes and the sentence that says why there is no picture.
    """
    try:
        explained = load_explained(path)
        case = images.case_of(explained)
        content = FigureContent(case, explained.saliency, explained.subject, notes=explained.notes)
        pixels = figure_pixels(content, SETTINGS, DOTS_PER_INCH)
    except NapariIESError as error:
        return b"", str(error)
    return jpeg(pixels, budget), ""


def jpeg(pixels: np.ndarray, budget: int) -> bytes:
    """Return a picture, uint8 (rows, columns, RGBA), as a JPEG of so many bytes at most.

    Where the worst quality takes more, it is made smaller.
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    while True:
        for quality in QUALITIES:
            buffer = BytesIO()
            picture.save(buffer, "JPEG", quality=quality, optimize=True)
            if len(buffer.getvalue()) <= budget or max(picture.size) < 64:
                return buffer.getvalue()
        picture = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4))


def budget_for(lesions: int) -> int:
    """Return how many bytes each of so many pictures may have; as base64 they take a third more."""
    return min(LARGEST_PICTURE, LARGEST_PAGE * 3 // 4 // max(lesions, 1))
