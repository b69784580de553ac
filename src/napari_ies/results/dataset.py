"""A folder of results as a BIDS dataset: where its files lie, what describes it, its sources."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from napari_ies.errors import ResultsError
from napari_ies.patient.identity import Identity
from napari_ies.regular_files import file_sha256, read_text
from napari_ies.results.names import sidecar_name
from napari_ies.results.storage.json_files import read_sidecar
from napari_ies.results.storage.writing import (
    Writer,
    json_writer,
    prepare,
    text_writer,
    write,
)
from napari_ies.versions import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_ies.patient.case import Case

BIDS_VERSION = "1.10.0"
DESCRIPTION = "dataset_description.json"
GENERATOR = "napari-ies"
LINK = "source"
"""What a dataset that images come from is called in ``DatasetLinks``."""
IGNORE = (
    "*_saliency.*",
    "*_measures.*",
    "*_profile.*",
    "*_desc-footprint_mask.*",
    "*_context.*",
    "*_regions.*",
    "*_figure.*",
    "/context",
    "/figures",
    "/statistics",
    "/report.html",
    "/sessions",
    "/cohort",
    "/attention_maps*",
    "# Sessions of the viewer, and files as version 0.1 laid them",
    "session.json",
    "/napari-ies",
    "/sub-*_*",
    "/sub-*/sub-*_*.*",
    "/sub-*/dataset_description.json",
)
"""What BIDS has no name for, in the words of ``.bidsignore``."""


def anat_folder(root: str | Path, whose: Case | Identity) -> Path:
    """Return where a patient's results lie in a folder of results: ``sub-07/ses-1/anat``."""
    folders = Identity(whose.subject, whose.visit).folders
    return Path(root).expanduser().joinpath(*folders, "anat")


def dataset_root(path: str | Path) -> Path | None:
    """Return the BIDS dataset that a file or folder lies in: the nearest with a description."""
    absolute = _absolute(path)
    folders = (absolute, *absolute.parents) if absolute.is_dir() else tuple(absolute.parents)
    return next((folder for folder in folders if (folder / DESCRIPTION).is_file()), None)


def describe_dataset(root: Path, images: Sequence[Path | None]) -> None:
    """Write what makes a folder of results, which is there, a BIDS derivative.

    ``dataset_description.json`` and ``.bidsignore`` are written where they are not there; those
    that napari-ies wrote are brought up to date, those of others are left alone. The datasets that
    the images lie in, whose results come to it, are linked.

    Raises
    ------
    ResultsError
        If the disk refuses.
    """
    own = {"Name": GENERATOR, "Version": __version__}
    description = _description(root)
    if description is None:
        description = {
            "Name": "Lesion saliency",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [own],
        }
    elif not _is_ours(description):
        return
    links = _links(root, images, description)
    described = description | ({"DatasetLinks": links} if links else {})
    files = {}
    if described != _description(root):
        files[DESCRIPTION] = json_writer(described)
    lines = _lines(root / ".bidsignore")
    missing = [line for line in IGNORE if line not in lines]
    if missing:
        text = "\n".join([*lines, *missing]) + "\n"
        files[".bidsignore"] = text_writer(text)
    if files:
        write(root, files)


def write_result(
    folder: str | Path,
    case: Case,
    files: Mapping[str, Writer],
    sidecars: Mapping[str, Mapping[str, Any]],
    *,
    overwrite: bool,
    flat: bool,
    obsolete: Iterable[str] = (),
) -> list[Path]:
    """Write the files of a result, and a sidecar beside them that holds the SHA-256 of all.

    The paths of `files` are returned.

    Parameters
    ----------
    folder
        The folder of results.
    case
        The patient, as the names have it.
    files
        For each file name, what writes it.
    sidecars
        What the JSON beside a file says, by the file's name.
    overwrite
        Whether files of the same names are replaced.
    flat
        Whether they go into the folder itself, which is then no BIDS dataset.
    obsolete
        Names of files that these replace, removed with their sidecars where they exist.

    Raises
    ------
    ResultsError
        If a file is there and `overwrite` is not set, or the disk refuses.
    """
    digests: dict[str, str] = {}

    def described(content: Mapping[str, Any]) -> Writer:
        def put(path: Path) -> None:
            for name in files:
                if name not in digests:
                    digests[name] = file_sha256(path.with_name(name))
            json_writer({**content, "SHA256": digests})(path)

        return put

    every = {
        **files,
        **{sidecar_name(name): described(content) for name, content in sidecars.items()},
    }
    written = write(
        prepare(folder if flat else anat_folder(folder, case), every, overwrite=overwrite),
        every,
        obsolete=[stale for name in obsolete for stale in (name, sidecar_name(name))],
    )
    if not flat:
        describe_dataset(Path(folder).expanduser(), case.paths)
    return written[: len(files)]


def source_uris(case: Case, root: Path | None) -> list[str]:
    """Return the files of a case's images as the ``Sources`` of a result.

    Parameters
    ----------
    case
        The patient.
    root
        The folder of results; None for results that are in no dataset.

    Returns
    -------
    A BIDS URI (``bids:source:sub-07/anat/…``) for a file in a dataset, the one of the results
    or another that the results can name; else the file's name alone: folders tend to hold what
    identifies a patient.
    """
    known = {} if root is None else _links(root, case.paths, _description(root) or {})
    return [_uri(path, root, known) for path in case.paths if path is not None]


def source_file(uri: str, result: Path) -> Path | None:
    """Return the file that an entry of ``Sources`` leads to, whether it is there or not.

    It is as :func:`source_uris` returns it, and named by the result that the given file is of.
    """
    root = dataset_root(result)
    scheme, _, rest = uri.partition(":")
    name, colon, path = rest.partition(":")
    if root is None or scheme != "bids" or not colon:
        return None
    if not name:
        return root / unquote(path, errors="surrogateescape")
    links = (_description(root) or {}).get("DatasetLinks")
    link = links.get(name) if isinstance(links, dict) else None
    return (
        None
        if not isinstance(link, str)
        else _linked(root, link) / unquote(path, errors="surrogateescape")
    )


def _uri(path: Path, root: Path | None, links: dict[str, str]) -> str:
    absolute = _absolute(path)
    if root is not None:
        if absolute.is_relative_to(_absolute(root)):
            return f"bids::{_quoted(absolute.relative_to(_absolute(root)))}"
        for name, link in links.items():
            there = _linked(root, link)
            if there == dataset_root(absolute):
                return f"bids:{name}:{_quoted(absolute.relative_to(there))}"
    return path.name


def _links(
    root: Path, images: Sequence[Path | None], description: dict[str, Any]
) -> dict[str, str]:
    """Return the datasets that a description links, and those of images."""
    given = description.get("DatasetLinks")
    links = {str(k): str(v) for k, v in given.items()} if isinstance(given, dict) else {}
    if description and not _is_ours(description):
        return links  # it will not be changed
    own = _absolute(root)
    for path in images:
        there = None if path is None else dataset_root(path)
        if there is None or there == own or _absolute(path or "").is_relative_to(own):
            continue
        if there not in (_linked(root, link) for link in links.values()):
            names = (f"{LINK}{n}" if n > 1 else LINK for n in range(1, len(links) + 2))
            links[next(name for name in names if name not in links)] = _link(own, there)
    return links


def _link(root: Path, there: Path) -> str:
    try:
        return quote(os.fsencode(Path(os.path.relpath(there, root)).as_posix()))
    except ValueError:  # another drive
        return there.as_uri()


def _linked(root: Path, link: str) -> Path:
    try:
        parts = urlsplit(link)
    except ValueError:  # no address; as a path it leads nowhere
        return _absolute(root) / quote(link, errors="replace")
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return _absolute(_absolute(root) / unquote(link, errors="surrogateescape"))


def _description(root: Path) -> dict[str, Any] | None:
    path = root / DESCRIPTION
    if not path.exists():
        return None
    try:
        return read_sidecar(path)
    except ResultsError:
        return {"Unreadable": True}


def _is_ours(description: dict[str, Any]) -> bool:
    makers = description.get("GeneratedBy")
    return isinstance(makers, list) and any(
        isinstance(maker, dict) and maker.get("Name") == GENERATOR for maker in makers
    )


def _lines(path: Path) -> Sequence[str]:
    try:
        return read_text(path).splitlines()
    except (OSError, ValueError):
        return ()


def _quoted(path: Path) -> str:
    return quote(os.fsencode(PurePosixPath(*path.parts).as_posix()))


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - links as they are
