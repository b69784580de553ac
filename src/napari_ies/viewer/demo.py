"""The demo: the viewer with a synthetic patient and a small network, ready to click."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ies.errors import NapariIESError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.viewer.widget import LesionSaliencyWidget

PICTURE_SAMPLES = 16
"""Noise samples of the map on the picture: enough to be smooth, few enough for a CPU."""
PICTURE_SIZE = (1440, 900)
"""Size of the window on the picture, in pixels."""
LARGE_MM3 = 2000
"""A lesion above this volume is too large to be typical."""
PATIENCE_SECONDS = 900
"""How long a step of the demo may take before it is given up."""


def run_demo(screenshot: Path | None = None) -> None:
    """Open the viewer with the synthetic patient and the demo's network.

    Parameters
    ----------
    screenshot
        If given, the demo explains a lesion, writes a picture of the window there and
        closes; else it waits for the person at the screen.

    Raises
    ------
    NapariIESError
        If a step of the picture fails, in one sentence.
    """
    import napari

    viewer = napari.Viewer(title="napari-ies demo", show=True)
    panel = open_demo(viewer)
    if screenshot is None:
        napari.run()
        return
    try:
        take_picture(viewer, panel, screenshot)
    finally:
        viewer.close()


def open_demo(viewer: Any) -> LesionSaliencyWidget:
    """Open the panel in a viewer, and there the synthetic patient, which is segmented then."""
    _, panel = viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    from qtpy.QtWidgets import QAbstractButton

    panel.findChild(QAbstractButton, "load_demo").click()
    return panel  # type: ignore[no-any-return]


def take_picture(viewer: Any, panel: LesionSaliencyWidget, path: Path) -> None:
    """Explain a lesion of telling size, and write a picture of the whole window.

    Raises
    ------
    NapariIESError
        If a step fails, with the panel's sentence.
    """
    segment_demo(viewer, panel)
    explain_lesion(viewer, panel, telling_lesion(panel))
    save_picture(viewer, path)


def segment_demo(viewer: Any, panel: LesionSaliencyWidget) -> None:
    """Wait for the lesions of the demo's patient, in a window of the pictures' size."""
    viewer.window.resize(*PICTURE_SIZE)
    wait_until(panel, lambda: panel.state.reading is not None)


def explain_lesion(viewer: Any, panel: LesionSaliencyWidget, label: int) -> None:
    """Explain a lesion to the end, and look at it from near."""
    panel.state.request_restored.emit(replace(panel.state.request, n_samples=PICTURE_SAMPLES))
    panel.explaining.explain(label)
    wait_until(panel, lambda: panel.state.answers.of(label))
    viewer.scene.camera.zoom *= 1.6
    viewer.scene.camera.center = viewer.dims.point
    wait_until(panel, lambda: not panel.services.work.busy)


def save_picture(viewer: Any, path: Path) -> None:
    """Write a picture of the whole window."""
    _settle()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(str(path), canvas_only=False, flash=False)


def telling_lesion(panel: LesionSaliencyWidget) -> int:
    """Return the largest lesion of at most 2 ml, or else the smallest one."""
    reading = panel.state.reading
    if reading is None or reading.segmentation.lesions.empty:
        raise NapariIESError("The demo's network marked no lesion; try a lower threshold.")
    lesions = reading.segmentation.lesions
    volumes = dict(zip(lesions.index.tolist(), lesions["volume_mm3"].tolist(), strict=True))
    moderate = [label for label, volume in volumes.items() if volume <= LARGE_MM3]
    if not moderate:
        return int(min(volumes, key=volumes.__getitem__))
    return int(max(moderate, key=volumes.__getitem__))


def wait_until(panel: LesionSaliencyWidget, condition: Callable[[], object]) -> None:
    """Let the window work until something is so; an error of the panel ends it."""
    from qtpy.QtWidgets import QApplication

    failures: list[str] = []
    panel.services.work.failed.connect(failures.append)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        QApplication.processEvents()
        time.sleep(0.005)
        if failures:
            raise NapariIESError(failures[0])
        if time.monotonic() > deadline:
            raise NapariIESError(
                f"The demo did not get any further for {PATIENCE_SECONDS} seconds; the panel says: "
                f"{panel.status.text}"
            )


def _settle() -> None:
    """Let everything that waits to be painted be painted."""
    from qtpy.QtWidgets import QApplication

    for _ in range(20):
        QApplication.processEvents()
        time.sleep(0.01)
