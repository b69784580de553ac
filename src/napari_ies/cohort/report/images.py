"""The images that a cohort's maps were computed from, found again by their content."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from napari_ies.cohort.record import record_of
from napari_ies.errors import ResultsError
from napari_ies.patient.bids_label import entity_of
from napari_ies.patient.identity import Identity
from napari_ies.printable import joined
from napari_ies.regular_files import file_sha256
from napari_ies.results.explained import image_file, load_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.patient.case import Case
    from napari_ies.results.explained import Explained
    from napari_ies.results.sidecars import SaliencyImage


class ImagesMissingError(ResultsError):
    """Images of a case are neither where its results lead to, nor in the folders searched."""


class Images:
    """Finds the images that maps were computed from, and keeps those of the case at hand.

    Parameters
    ----------
    folders
        Where images may lie besides the places that the results name, with all below them. Only
        files with the content that was explained (SHA-256) are taken.
    results
        The folder of a cohort's results, whose records say where the images were.
    """

    def __init__(self, folders: Sequence[Path] = (), results: Path | None = None) -> None:
        self._folders, self._results = tuple(folders), results
        self._places: dict[str, list[Path]] | None = None
        self._digests: dict[Path, str] = {}
        self._case: tuple[tuple[object, ...], Case] | None = None

    def case_of(self, explained: Explained) -> Case:
        """Load the images of a map.

        Raises
        ------
        ImagesMissingError
            If some are not to be found: it names them all.
        NapariIESError
            If they cannot be read.
        """
        grid = explained.saliency.affine.tobytes(), explained.saliency.shape
        key = (*((image.sequence, image.sha256) for image in explained.images), *grid)
        if self._case is None or self._case[0] != key:
            found = {one.sequence: self._place_of(one, explained) for one in explained.images}
            known = {name: path for name, path in found.items() if path is not None}
            lacking = [one for one in explained.images if one.sequence not in known]
            if lacking:
                raise _missing(explained, lacking)
            self._case = key, load_images(explained, known)[0]
        return self._case[1]

    def _place_of(self, image: SaliencyImage, explained: Explained) -> Path | None:
        return (
            self._found(image) or image_file(explained, image) or self._recorded(image, explained)
        )

    def _recorded(self, image: SaliencyImage, explained: Explained) -> Path | None:
        """Return where an image was when its case was done, if it is there still."""
        record = None if self._results is None else record_of(self._results, _case(explained))
        place = None if record is None else record.places.get(f"image {image.sequence}")
        path = None if place is None else Path(place)
        return path if path is not None and self._digest(path) == image.sha256 != "" else None

    def _found(self, image: SaliencyImage) -> Path | None:
        if not (image.file and image.sha256 and self._folders):
            return None
        if self._places is None:
            self._places = {}
            for folder in self._folders:
                for path in sorted(folder.rglob("*.*")):
                    self._places.setdefault(path.name, []).append(path)
        for path in self._places.get(image.file, ()):
            if self._digest(path) == image.sha256:
                return path
        return None

    def _digest(self, path: Path) -> str:
        """Return the SHA-256 of a file, read once; empty where it cannot be read."""
        if path not in self._digests:
            try:
                self._digests[path] = file_sha256(path)
            except (OSError, ValueError):
                self._digests[path] = ""
        return self._digests[path]


def _missing(explained: Explained, lacking: Sequence[SaliencyImage]) -> ImagesMissingError:
    """Name all images that are not there, so that they can be looked for at once."""
    named = joined(f"{one.sequence} ({one.file or 'without a file'})" for one in lacking)
    images, them = ("images", "they lie") if len(lacking) > 1 else ("image", "it lies")
    are = "are" if len(lacking) > 1 else "is"
    return ImagesMissingError(
        f"The {images} {named} of {_case(explained)} {are} not where the results lead to, or "
        f"changed since; say in which folder {them} now."
    )


def _case(explained: Explained) -> str:
    stem = PurePath(explained.stem)
    return Identity(entity_of(stem, "sub-"), entity_of(stem, "ses-")).stem
