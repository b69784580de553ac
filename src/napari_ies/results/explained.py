"""What a saved saliency explains, and the images that it was computed from, found again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from napari_ies.errors import ResultsError
from napari_ies.patient.bids_label import entity_of
from napari_ies.patient.loading import load_case
from napari_ies.regular_files import file_sha256
from napari_ies.results.dataset import dataset_root, source_file
from napari_ies.results.numbering import numbered_otherwise
from napari_ies.results.saliency import read_saliency
from napari_ies.results.sidecars import SaliencyContent, SaliencyImage, read_content
from napari_ies.results.storage.json_files import finishing, sidecar_of
from napari_ies.segmentation.subject import Region

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_ies.patient.case import Case
    from napari_ies.saliency.saliency import Saliency

logger = logging.getLogger("napari_ies")


@dataclass(frozen=True, eq=False)
class Explained:
    """A saliency on disk, and what its files say about it."""

    path: Path
    """The file that was asked for."""
    saliency: Saliency
    """Read back."""
    subject: str
    """``"lesion 3"`` or ``"region brainstem"``."""
    images: tuple[SaliencyImage, ...]
    """What it was computed from."""
    stem: str
    """What the names of its files begin with, for more files of that name."""
    sources: tuple[str, ...] = ()
    """Where the images were, as its sidecar says it: BIDS URIs or names."""
    notes: tuple[str, ...] = ()
    """What is to be said of it with the images: short phrases."""


def result_of(path: str | Path) -> Path:
    """Return the file that stands for all files of a saliency, given any one: its footprint.

    Raises
    ------
    ResultsError
        If it belongs to no saliency that napari-ies wrote.
    """
    path = Path(path).expanduser()

    def reading() -> Path:
        content, _ = read_content(sidecar_of(path), SaliencyContent)
        return path.with_name(content.files.footprint)

    return finishing(path.parent, reading)


def load_explained(path: str | Path) -> Explained:
    """Read a saliency with what is known about it, by any one of its files.

    It is read, or refused, as :func:`~napari_ies.results.saliency.load_saliency` does.
    """
    path = Path(path).expanduser()
    saliency, content = read_saliency(path)
    footprint = content.files.footprint
    region, lesion = content.region, content.lesion
    otherwise = numbered_otherwise(path, content)
    if otherwise:
        logger.warning(otherwise)
    return Explained(
        path=path,
        saliency=saliency,
        subject=Region(str(region)).titled if lesion is None else f"lesion {lesion}",
        images=tuple(content.images),
        stem=footprint.removesuffix(".nii.gz").removesuffix("_desc-footprint_mask"),
        sources=tuple(content.sources or ()),
        notes=(f"lesion {lesion} of another segmentation",) if otherwise else (),
    )


def load_images(
    explained: Explained,
    given: Mapping[str, Path],
    sequences: Sequence[str] | None = None,
) -> tuple[Case, tuple[str, ...]]:
    """Load the images that a saliency was computed from, onto its grid.

    An image is taken from where it is given, or else from where the result says that it was (a
    BIDS URI), or by the name of its file from the folder of the result, the folders above it up to
    two above the folder of results, or the working folder: there only if its content is what it
    was (SHA-256).

    Parameters
    ----------
    explained
        The saliency.
    given
        File of a sequence, by its name.
    sequences
        Which images; None for all.

    Returns
    -------
    case, notes
        The images, and a short phrase for each that is not the one that was explained.

    Raises
    ------
    ResultsError
        If an image is not to be found, or has changed, or is none of this saliency's.
    CaseError
        If one cannot be read.
    """
    named = {image.sequence.casefold(): image for image in explained.images}
    known = ", ".join(image.sequence for image in explained.images)
    unknown = [name for name in given if name.casefold() not in named]
    if unknown:
        raise ResultsError(
            f"{explained.stem} was not computed from an image {unknown[0]}, but from {known}; name "
            "one of these."
        )
    missing = [n for n in sequences or () if n not in (i.sequence for i in explained.images)]
    if missing:
        raise ResultsError(
            f"{explained.stem} has no sequence {missing[0]}; it was computed from {known}."
        )
    wanted = [i for i in explained.images if sequences is None or i.sequence in sequences]
    by_name = {name.casefold(): path for name, path in given.items()}
    files: dict[str, Path] = {}
    notes: list[str] = []
    for image in wanted:
        files[image.sequence] = by_name.get(image.sequence.casefold()) or _found(explained, image)
    case = load_case(
        files,
        subject=entity_of(PurePath(explained.stem), "sub-"),
        visit=entity_of(PurePath(explained.stem), "ses-"),
        grid=(explained.saliency.shape, explained.saliency.affine),
    )
    for image, digest in zip(wanted, case.sha256, strict=True):
        if not image.sha256:
            text = "It is not known whether %s is the file that %s was computed from."
        elif digest != image.sha256:
            text = "%s is not the file that %s was computed from (its SHA-256 differs)."
            notes.append(f"{image.sequence} is not the image explained")
        else:
            continue
        logger.warning(text, files[image.sequence], explained.stem)
    return case, tuple(notes)


def _places(explained: Explained, image: SaliencyImage) -> list[Path]:
    """Return where an image may lie, the likeliest first."""
    if not image.file:
        return []
    name = PurePath(image.file).name
    told = (source_file(source, explained.path) for source in explained.sources)
    places = [place for place in told if place is not None and place.name == name]
    folder = explained.path.absolute().parent
    root = dataset_root(explained.path)
    up = 0 if root is None or root == folder else len(folder.parts) - len(root.parts)
    places += [place / name for place in (folder, *folder.parents[: up + 2], Path.cwd())]
    return places


def image_file(explained: Explained, image: SaliencyImage) -> Path | None:
    """Return where an image lies with the content it had; None where the result leads to none."""
    try:
        return _found(explained, image)
    except ResultsError:
        return None


def _found(explained: Explained, image: SaliencyImage) -> Path:
    """Return where an image lies with the content it had."""
    option = f"--image {image.sequence}=FILE"
    there = []
    for place in _places(explained, image):
        try:
            digest = file_sha256(place)
        except (OSError, ValueError):  # none there, or no regular file
            continue
        if digest == image.sha256:
            return place
        there.append(place)
    if there:
        raise ResultsError(
            f"{there[0]} is not the {image.sequence} image that {explained.stem} was computed from "
            f"(its SHA-256 differs); give the right one with {option}."
        )
    name = f" ({PurePath(image.file).name})" if image.file else ""
    raise ResultsError(
        f"The {image.sequence} image{name} that {explained.stem} was computed from is not beside "
        f"it; say where it is with {option}."
    )
