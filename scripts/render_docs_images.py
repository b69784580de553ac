"""Render the pictures of the documentation from the synthetic demo.

Run it on a display, such as ``xvfb-run -a -s "-screen 0 1600x1000x24"`` gives; no real patient is
ever shown. ``scripts/render_figure.py`` makes the figure, ``scripts/render_help_images.py`` the
pictures of the help. With ``--theme``, ``--size`` and ``--into`` they can be looked at as on
another screen, without touching those of the documentation.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from qtpy.QtWidgets import QAbstractButton

from napari_ies.checkpoints import load_checkpoint
from napari_ies.cohort.cases import CohortCase
from napari_ies.cohort.run import running
from napari_ies.cohort.selection import Selection
from napari_ies.cohort.settings import CohortSettings
from napari_ies.demo import demo_checkpoint
from napari_ies.demo.patient import write_synthetic_patient
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.viewer.demo import (
    PICTURE_SIZE,
    explain_lesion,
    open_demo,
    save_picture,
    segment_demo,
    telling_lesion,
    wait_until,
)
from napari_ies.viewer.session.place import FOLDER_VARIABLE

if TYPE_CHECKING:
    from napari_ies.viewer.widget import LesionSaliencyWidget

IMAGES = Path(__file__).parents[1] / "docs" / "images"
COHORT = 3
"""Patients of the cohort."""
SMALL_MM3 = 300
"""The lesion that is looked at is the largest below this, so that its maximum map takes seconds."""


@dataclass(frozen=True)
class Screen:
    """What the window looks like, and where its pictures go."""

    theme: str
    size: tuple[int, int]
    into: Path

    def window(self) -> Any:
        """Open a viewer of that look and size."""
        viewer = napari.Viewer(title="napari-ies demo", show=True)
        viewer.theme = self.theme  # of this window alone, whatever the preferences say
        self.fit(viewer)
        return viewer

    def fit(self, viewer: Any) -> None:
        """Give a viewer its size, also after what set another one."""
        viewer.window.resize(*self.size)

    def keep(self, viewer: Any, name: str) -> None:
        """Write a picture of the whole window."""
        save_picture(viewer, self.into / f"{name}.png")


def main() -> None:
    screen = asked()
    # Nobody's own sessions, and no folder of theirs in a picture.
    with tempfile.TemporaryDirectory(prefix="napari-ies-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        render(screen)
        render_cohort(screen, make_cohort(Path(folder)))


def asked() -> Screen:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Render the pictures of the documentation.")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--size", default="{}x{}".format(*PICTURE_SIZE), help="of the window")
    parser.add_argument("--into", type=Path, default=IMAGES, help="folder for the pictures")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    return Screen(given.theme, (width, height), given.into)


def render(screen: Screen) -> None:
    viewer = screen.window()
    panel = open_demo(viewer)
    segment_demo(viewer, panel)
    screen.fit(viewer)
    screen.keep(viewer, "segmented")
    explain_lesion(viewer, panel, telling_lesion(panel))
    screen.keep(viewer, "demo")
    volumes = panel.state.reading.segmentation.lesions["volume_mm3"]
    label = int(volumes[volumes < SMALL_MM3].idxmax())
    panel.explaining.explain(label)
    wait_until(panel, lambda: panel.state.answers.of(label))
    read_out(screen, viewer, panel)
    see_context(screen, viewer, panel, label)
    show_planes(screen, viewer, panel)
    compare(screen, viewer, panel, label)
    change(screen, viewer, panel)
    viewer.close()


def make_cohort(folder: Path) -> Path:
    """Explain some lesions of synthetic patients; return the folder of results."""
    results = folder / "results"
    cases = []
    for seed in range(COHORT):
        name = f"{seed + 1:02d}"
        files = write_synthetic_patient(folder / f"sub-{name}", seed)
        lesions = files.pop("lesions")
        cases.append(CohortCase(name, "", files, lesions))
    request = SaliencyRequest(n_samples=4, aggregation="max")
    settings = CohortSettings((request,), Selection(at_most_mm3=SMALL_MM3, largest=5))
    for _ in running(load_checkpoint(demo_checkpoint()), cases, settings, results):
        pass
    return results


def render_cohort(screen: Screen, results: Path) -> None:
    """Show how a cohort is read one lesion after another."""
    viewer = screen.window()
    _, panel = viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    panel.open_cohort(str(results))
    cohort = panel.features["cohort"]
    wait_until(panel, lambda: cohort.cohort is not None)
    for number in range(2):
        cohort.step(1)
        wait_until(panel, lambda n=number: len(cohort.cohort.seen) == n + 1 and panel.state.shown)
        wait(panel, 3)
    viewer.scene.camera.zoom *= 2
    viewer.scene.camera.center = panel.services.scene.crosshair
    wait(panel, 2)
    screen.keep(viewer, "cohort")
    viewer.close()


def read_out(screen: Screen, viewer: Any, panel: LesionSaliencyWidget) -> None:
    choose_tab(panel, "Readout")
    wait(panel, 3)
    screen.keep(viewer, "explained")


def see_context(screen: Screen, viewer: Any, panel: LesionSaliencyWidget, label: int) -> None:
    choose_tab(panel, "Context")
    press(panel, "context_compute")
    wait_until(panel, lambda: panel.state.curves.of(label))
    wait(panel, 3)
    screen.keep(viewer, "context")


def show_planes(screen: Screen, viewer: Any, panel: LesionSaliencyWidget) -> None:
    panel.features["planes"].toggle()
    wait(panel, 3)
    screen.keep(viewer, "planes")
    panel.features["planes"].toggle()
    wait(panel, 1)


def compare(screen: Screen, viewer: Any, panel: LesionSaliencyWidget, label: int) -> None:
    panel.features["explaining"].form.set_aggregation("max")
    panel.features["explaining"].form.samples.setValue(4)
    panel.explaining.explain(label)
    wait_until(panel, lambda: len(panel.state.answers.of(label)) == 2)
    choose_tab(panel, "Compare")
    press(panel, "side_by_side")
    press(panel, "same_limits")
    wait(panel, 3)
    screen.keep(viewer, "compared")
    press(panel, "same_limits")
    press(panel, "side_by_side")
    wait(panel, 1)


def change(screen: Screen, viewer: Any, panel: LesionSaliencyWidget) -> None:
    choose_tab(panel, "Regions")
    press(panel, "see_changes")
    wait(panel, 1)
    wait_until(panel, lambda: not panel.services.work.busy)
    wait(panel, 2)
    screen.keep(viewer, "what_if")


def choose_tab(panel: LesionSaliencyWidget, title: str) -> None:
    titles = [panel.tabs.tabText(index) for index in range(panel.tabs.count())]
    panel.tabs.setCurrentIndex(titles.index(title))


def press(panel: LesionSaliencyWidget, name: str) -> None:
    panel.findChild(QAbstractButton, name).click()


def wait(panel: LesionSaliencyWidget, seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_until(panel, lambda: time.monotonic() > end)


if __name__ == "__main__":
    main()
