"""Reader: a NIfTI file opens upright in the viewer, in millimetres.

napari calls :func:`napari_get_reader`; the widget calls :func:`read_image` in the background.
"""

from __future__ import annotations

import inspect
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ies.errors import CaseError
from napari_ies.viewer.volumes.layer_data import (
    METADATA_KEY,
    LayerDataTuple,
    layer_of,
    read_as_named,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OWN = (".nii", ".nii.gz", ".mgz", ".mgh", ".mgh.gz")
"""Endings that no other kind of file has."""
NOTHING: list[LayerDataTuple] = [(None,)]  # type: ignore[list-item]
"""napari's word for "nothing to add"."""


def napari_get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[LayerDataTuple]] | None:
    """Return a function that reads images, a patient, a session or a cohort; else None.

    Endings that other programs use for files of their own (``.img``, ``.hdr``, ``.rec`` …) are
    ours only where the content is an image that nibabel knows.
    """
    paths = [path] if isinstance(path, str) else list(path)
    if len(paths) == 1 and may_be_session(str(paths[0])):
        return read_session
    if len(paths) == 1 and may_be_cohort(str(paths[0])):
        return read_cohort
    if len(paths) == 1 and Path(paths[0]).is_dir() and may_be_patient(paths):
        return read_patient
    if paths and all(_is_image(str(one)) for one in paths):
        return read_images
    return None


def read_images(path: str | Sequence[str]) -> list[LayerDataTuple]:
    """Read one or several image files as layers, masks of lesions by their names as Labels.

    Raises
    ------
    CaseError
        If a file cannot be used, in one sentence that names it.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return [read_as_named(one) for one in paths]


def _is_image(path: str) -> bool:
    if path.lower().endswith(OWN):
        return True
    from napari_ies.patient.images.volume import READABLE

    if not path.lower().endswith(READABLE):
        return False
    from napari_ies.patient.images.image_files import is_image

    return is_image(Path(path))


def may_be_session(path: str) -> bool:
    """Whether a path is a saved session: its folder, or the ``session.json`` in it.

    napari asks for every folder that is opened, so for others this looks for one file only.
    """
    named = Path(path)
    if (
        not path
        or not (named if named.name == "session.json" else named / "session.json").is_file()
    ):
        return False
    from napari_ies.results.session import is_session

    return is_session(path)


def may_be_patient(paths: Sequence[str]) -> bool:
    """Whether paths are a patient's images, masks and checkpoint, or one folder with such images.

    A folder that is a checkpoint is one too, and a list of several: the panel opens it.

    Of a folder, names are looked at alone; one that holds masks and maps only is none.
    """
    if len(paths) == 1 and Path(paths[0]).is_dir():
        from napari_ies.checkpoints import recognised
        from napari_ies.patient.images.volume import stem_of
        from napari_ies.patient.patient_files import images_in
        from napari_ies.patient.sequence_names import names_a_mask

        if recognised(Path(paths[0])):
            return True
        with suppress(CaseError):
            return not all(names_a_mask(stem_of(one)) for one in images_in(Path(paths[0])))
        return False
    from napari_ies.patient.patient_files import CHECKPOINTS

    return bool(paths) and all(
        one.lower().endswith(CHECKPOINTS) or _is_image(one) or _is_ensemble(one)
        for one in map(str, paths)
    )


def _is_ensemble(path: str) -> bool:
    if not path.lower().endswith(".json"):
        return False
    from napari_ies.checkpoints import is_ensemble

    return is_ensemble(Path(path))


def may_be_cohort(path: str) -> bool:
    """Whether a path is a folder of results that ``napari-ies cohort`` wrote."""
    place = Path(path) / "cohort"
    return bool(path) and ((place / "cases.tsv").is_file() or (place / "cases").is_dir())


def read_session(path: str | Sequence[str]) -> list[LayerDataTuple]:
    """Read the images of a session as layers, and let the panel bring back the rest.

    Where there is a window, the panel is opened and shows the images with all the rest, or
    nothing if the session cannot be opened. Without one, the layers' metadata name the session's
    folder, and a panel that is opened later restores the lesions, maps and notes from there.

    Raises
    ------
    ResultsError
        If the session cannot be read, in one sentence.
    """
    from napari_ies.results.session import find_images, read_summary

    folder = read_summary(path if isinstance(path, str) else path[0]).folder.absolute()
    if _open_panel_soon(lambda panel: panel.open_session(str(folder), anyway=False)):
        return NOTHING
    layers = []
    # The first sequence lies on top.
    for image in reversed(find_images(folder)):
        if image.volume is not None:
            layer = layer_of(image.volume, image.sequence if image.made_here else None)
            layer[1]["metadata"][METADATA_KEY]["session"] = str(folder)
            layers.append(layer)
    return layers or NOTHING  # all images may be missing


def read_patient(path: str | Sequence[str]) -> list[LayerDataTuple]:
    """Let the panel open a folder as a patient; where there is no window, read its images.

    Raises
    ------
    CaseError
        If it holds no image, or those of several patients.
    """
    folder = Path(path if isinstance(path, str) else path[0]).absolute()
    if _open_panel_soon(lambda panel: panel.open_patient([str(folder)])):
        return NOTHING
    from napari_ies.patient.patient_files import images_in

    return [read_as_named(one) for one in images_in(folder)] or NOTHING


def read_cohort(path: str | Sequence[str]) -> list[LayerDataTuple]:
    """Let the panel list the cases and lesions of a folder of results; nothing is a layer.

    Raises
    ------
    ResultsError
        If there is no window to list them in.
    """
    folder = Path(path if isinstance(path, str) else path[0]).absolute()
    if not _open_panel_soon(lambda panel: panel.open_cohort(str(folder))):
        from napari_ies.errors import ResultsError

        raise ResultsError(
            f"{folder} holds the results of a cohort, which are listed in a window only; open one "
            "lesion with napari-ies open, or a file of the results."
        )
    return NOTHING


def _open_panel_soon(show: Callable[[Any], None]) -> bool:
    """Open the panel by and by, to show something; return whether a window is there that asks."""
    from qtpy.QtCore import QTimer

    viewer = _asking_viewer()
    if viewer is None or getattr(viewer, "window", None) is None:
        return False

    def open_panel() -> None:
        try:
            _, panel = viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
        except RuntimeError:  # the window was closed meanwhile
            return
        show(panel)

    QTimer.singleShot(0, open_panel)
    return True


def _asking_viewer() -> Any | None:
    """Return the viewer that a file is opened in.

    napari 0.9.2 tells a reader the path alone, and its current viewer is the one that was active
    last, not the one that a file was dropped on: the one that asks is among those who call.
    """
    import napari
    from napari.components import ViewerModel

    frame = inspect.currentframe()
    while frame is not None:
        who = frame.f_locals.get("self")
        if isinstance(who, ViewerModel):
            return who
        frame = frame.f_back
    return napari.current_viewer()
