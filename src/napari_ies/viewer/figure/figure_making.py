"""FigureMaking: the button "Figure…", and what its dialog draws, saves and copies."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication, QPushButton

from napari_ies.colour_maps import SEQUENTIAL_MAPS, SIGNED_MAPS
from napari_ies.figures import FigureContent, figure_format, figure_pixels, save_figure
from napari_ies.viewer.figure.figure_dialog import FigureDialog, image_of
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.state.titles import subject_title
from napari_ies.viewer.work.runner import Job, Jobs
from napari_ies.viewer.work.tasks import once

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from qtpy.QtGui import QImage

    from napari_ies.figures import FigureSettings
    from napari_ies.viewer.state.reading import Answer

PREVIEW_PIXELS = 1000
"""Width of the preview."""

KINDS = {
    "png": "PNG picture (*.png)",
    "svg": "SVG drawing (*.svg)",
    "pdf": "PDF document (*.pdf)",
}


class FigureMaking(QObject):
    """Makes figures of the map on screen.

    Parameters
    ----------
    host
        The dock widget.
    """

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self._host = host
        # Its own, so that a preview need not wait for a map that is being computed.
        self.jobs = Jobs(self)
        self.button = QPushButton("Figure…")
        describe(self.button, "Make a figure for a paper of the map on screen.", "figure")
        host.add_button(self.button)
        self.dialog: FigureDialog | None = None
        self.button.clicked.connect(self._on_open)
        host.reading_changed.connect(self._refresh)
        host.answer_shown.connect(self._on_answer)
        self.jobs.failed.connect(self._on_failed)
        self._refresh()

    def release(self) -> None:
        """Stop drawing and close the dialog: the panel is closed."""
        self.jobs.release()
        if self.dialog is not None:
            self.dialog.close()

    def content(self) -> FigureContent | None:
        """Return what a figure shows now, or None without a map on screen."""
        answer: Answer | None = self._host.shown
        if answer is None or self._host.reading is None:
            return None
        name = subject_title(answer.subject)
        subject = name if isinstance(answer.subject, int) else f"region {name}"
        case = self._host.reading.case
        if answer.saliency.sequences != case.sequences and answer.request.method == "smoothgrad":
            # Another network's names for the same images, in the same order.
            case = replace(case, sequences=answer.saliency.sequences)
        return FigureContent(case, answer.saliency, subject, answer.model_name)

    def settings(self) -> FigureSettings:
        """Return what the dialog says, with the colours on screen and their limit."""
        assert self.dialog is not None  # noqa: S101 - only the dialog asks for figures
        overlays = self._host.scene.overlays
        look, asked = overlays.look, self.dialog.settings
        shared = asked.limits == "shared"
        return replace(
            asked,
            at=self._crosshair() if self.dialog.at_crosshair else None,
            limit=(overlays.limit or self._host.shown.limit) if shared else None,
            threshold=look.threshold / 100,
            opacity=look.opacity,
            signed_map=SIGNED_MAPS[look.signed],
            sequential_map=SEQUENTIAL_MAPS[look.sequential],
        )

    def _crosshair(self) -> tuple[float, float, float]:
        """Return where the viewer's slices cross, in mm of the scanner: a voxel's centre.

        Outside the images it is the nearest voxel of them.
        """
        reading = self._host.reading
        frame, affine = reading.frame, reading.case.affine
        last = np.array(frame.reorientation.displayed_shape) - 1
        i, j, k = np.clip(frame.displayed_index(self._host.scene.crosshair), 0, last).tolist()
        voxel = np.array(frame.reorientation.to_stored((i, j, k)))
        x, y, z = (affine[:3, :3] @ voxel + affine[:3, 3]).tolist()
        return x, y, z

    def _on_open(self) -> None:
        if self.dialog is None:
            self.dialog = FigureDialog(self._host)
            self.dialog.changed.connect(self._draw_preview)
            self.dialog.save_requested.connect(self._on_save)
            self.dialog.copy_requested.connect(self._on_copy)
            self.dialog.screenshot_requested.connect(self._on_screenshot)
        self.dialog.show()
        self.dialog.raise_()
        self._refresh()

    def _on_answer(self, answer: Answer) -> None:
        # A running map is drawn when it is asked for, not each time it refines.
        if answer.finished or not self.button.isEnabled():
            self._refresh()

    def _refresh(self) -> None:
        content = self.content()
        allow(self.button, "" if content is not None else "Explain a lesion first.")
        if self.dialog is None or not self.dialog.isVisible():
            return
        if content is None:
            self.dialog.close()
            return
        self.dialog.set_sequences(content.case.sequences)
        self._draw_preview()

    def _draw_preview(self) -> None:
        dpi = PREVIEW_PIXELS / (self.settings().width / 25.4)
        self._submit("preview", partial(figure_pixels, dpi=dpi), self._on_preview)

    def _submit(
        self,
        kind: str,
        work: Callable[[FigureContent, FigureSettings], Any],
        done: Callable[[Any], None],
    ) -> None:
        content = self.content()
        if content is None:
            return
        drawing = partial(work, content, self.settings())
        self.jobs.submit(Job(kind, "Drawing", partial(once, "Drawing", drawing), done))

    def _on_preview(self, pixels: NDArray[np.uint8]) -> None:
        if self.dialog is not None:
            self.dialog.set_preview(pixels)

    def _on_copy(self) -> None:
        self._say("Drawing…")
        self._submit("copy", figure_pixels, self._on_copied)

    def _on_copied(self, pixels: NDArray[np.uint8]) -> None:
        QApplication.clipboard().setImage(image_of(pixels))
        self._say("The figure is on the clipboard.")

    def _on_save(self, form: str) -> None:
        content = self.content()
        if content is None:
            return
        path = self._ask("Save the figure", self._suggested(content), form)
        if path is not None:
            self._say("Drawing…")
            work = partial(_save, path)
            self._submit("save figure", work, self._on_saved)

    def _on_screenshot(self) -> None:
        path = self._ask("Save a screenshot of the canvas", "screenshot", "png")
        if path is not None:
            pixels = self._host.viewer.screenshot(canvas_only=True, flash=False)
            work = partial(_save_image, path, image_of(pixels))
            job = Job("screenshot", "Saving", partial(once, "Saving", work), self._on_saved)
            self.jobs.submit(job)

    def _ask(self, title: str, name: str, form: str) -> Path | None:
        """Ask where to save a file, and before one is replaced."""
        assert self.dialog is not None  # noqa: S101 - only the dialog asks
        chosen = dialogs.choose_new_file(self.dialog, title, f"{name}.{form}", KINDS[form])
        if not chosen:
            return None
        path = Path(chosen)
        if path.suffix.lower().removeprefix(".") not in KINDS:
            path = path.with_name(f"{path.name}.{form}")
        if path.exists() and not dialogs.may_replace_file(self.dialog, str(path)):
            return None
        return path

    def _suggested(self, content: FigureContent) -> str:
        from napari_ies.results.names import saliency_stem  # PyTorch comes with results

        answer = self._host.shown
        lesion = answer.subject if isinstance(answer.subject, int) else None
        return saliency_stem(
            content.case.subject,
            answer.request,
            visit=content.case.visit,
            lesion=lesion,
            region=None if lesion is not None else str(answer.subject),
            desc=self.settings().layout,
            suffix="figure",
        )

    def _on_saved(self, path: Path) -> None:
        self._say(f"Saved to {path}.")

    def _on_failed(self, _: str, sentence: str) -> None:
        self._say(sentence)

    def _say(self, text: str) -> None:
        if self.dialog is not None:
            self.dialog.say(text)


def _save(path: Path, content: FigureContent, settings: FigureSettings) -> Path:
    figure_format(path)
    return save_figure(path, content, settings, overwrite=True)  # asked before


def _save_image(path: Path, image: QImage) -> Path:
    from napari_ies.results.storage.writing import prepare, write

    folder = prepare(path.parent, [path.name], overwrite=True)  # asked before
    return write(folder, {path.name: lambda staged: image.save(str(staged), "PNG")})[0]
