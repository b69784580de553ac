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
from napari_ies.regular_files import file_sha256
from napari_ies.results.explained import load_explained, load_images

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_ies.patient.case import Case
    from napari_ies.results.explained import Explained

SETTINGS = FigureSettings(layout="planes", width=150.0, plain=False)
DOTS_PER_INCH = 100.0
LARGEST_PAGE = 27_000_000
"""Bytes of all pictures as base64, so that a page of 500 lesions stays under 30 MB."""
LARGEST_PICTURE = 90_000
QUALITIES = (85, 75, 60, 45, 30, 15)


class Images:
    """Finds the images that maps were computed from, and keeps those of the case at hand.

    Parameters
    ----------
    folders
        Where images may lie besides the places that the results name, with all below them. Only
        files with the content that was explained (SHA-256) are taken.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = tuple(folders)
        self._places: dict[str, list[Path]] | None = None
        self._digests: dict[Path, str] = {}
        self._case: tuple[tuple[object, ...], Case] | None = None

    def case_of(self, explained: Explained) -> Case:
        """Load the images of a map.

        Raises
        ------
        NapariIESError
            If they are not to be found, or cannot be read.
        """
        grid = explained.saliency.affine.tobytes(), explained.saliency.shape
        key = (*((image.sequence, image.sha256) for image in explained.images), *grid)
        if self._case is None or self._case[0] != key:
            given = {image.sequence: self._found(image) for image in explained.images}
            known = {name: path for name, path in given.items() if path is not None}
            self._case = key, load_images(explained, known)[0]
        return self._case[1]

    def _found(self, image: object) -> Path | None:
        name, digest = getattr(image, "file", None), getattr(image, "sha256", None)
        if not (name and digest and self._folders):
            return None
        if self._places is None:
            self._places = {}
            for folder in self._folders:
                for path in sorted(folder.rglob("*.*")):
                    self._places.setdefault(path.name, []).append(path)
        for path in self._places.get(str(name), ()):
            if path not in self._digests:
                try:
                    self._digests[path] = file_sha256(path)
                except (OSError, ValueError):
                    self._digests[path] = ""
            if self._digests[path] == digest:
                return path
        return None


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
