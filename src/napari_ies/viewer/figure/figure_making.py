"""FigureMaking: the button "Figure…", and what its dialog draws, saves and copies."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QRect
from qtpy.QtWidgets import QApplication, QMainWindow

from napari_ies.colour_maps import SEQUENTIAL_MAPS, SIGNED_MAPS
from napari_ies.errors import NapariIESError
from napari_ies.figures.caption import caption
from napari_ies.figures.content import FigureContent
from napari_ies.figures.files import figure_pixels
from napari_ies.segmentation.subject import Region
from napari_ies.viewer.canvas.canvases import around, qt_viewer_of
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.figure import drawing_tasks as tasks
from napari_ies.viewer.figure.figure_dialog import FigureDialog, image_of
from napari_ies.viewer.figure.words import limits_apart, lines_apart, unfinished
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.panel.controls import button
from napari_ies.viewer.work.failures import sentence
from napari_ies.viewer.work.lane import Errand

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_ies.figures.settings import FigureSettings
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.figure.drawing_tasks import Preview
    from napari_ies.viewer.state.answers import Answer

logger = logging.getLogger("napari_ies")

PREVIEW_PIXELS = 1000
"""Width of the preview."""

PREVIEW_EVERY, PREVIEW_SHARE = 3.0, 4.0
"""A map that refines is drawn anew after so many seconds, or so many times what drawing took."""

FIGURES = "figures"
"""Folder in that of a session."""
KINDS = {
    "png": "PNG picture (*.png)",
    "svg": "SVG drawing (*.svg)",
    "pdf": "PDF document (*.pdf)",
}


class FigureMaking(Feature):
    """The button "Figure…": makes figures of the map on screen."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        # Its own, so that a preview need not wait for a map that is being computed.
        self.lane = self.work.lane("figure", gives_way=True)
        self._previews = 0
        about = "Make a figure for a paper of the map on screen."
        self.button = button("Figure…", "figure", about, self._on_open)
        self.dialog: FigureDialog | None = None
        self._session: tuple[object, Path] | None = None
        """The reading that is saved as a session, and where."""
        self._waiting: list[tuple[object, Callable[[Path], None]]] = []
        """Readings whose figures are to be saved once their session has begun, and what saves."""
        self._previewed: Answer | None = None
        """The map of the latest preview, which is begun if not drawn."""
        self._next_preview = 0.0
        """When a map that refines is drawn again at the earliest, by the monotonic clock."""
        self.state.reading_changed.connect(self._refresh)
        self.state.answer_shown.connect(self._on_answer)
        self.state.session_kept.connect(self._on_session)
        self.work.idle.connect(self._on_idle)
        self._refresh()
        self.views = (Placed(Place.BUTTON, [self.button]),)

    def release(self) -> None:
        """Stop drawing and close the dialog: the panel is closed."""
        self.lane.release()
        if self.dialog is not None:
            self.dialog.close()

    def content(self) -> FigureContent | None:
        """Return what a figure shows now, or None without a map on screen."""
        answer, reading = self.state.shown, self.state.reading
        if answer is None or reading is None:
            return None
        subject, case = answer.subject, reading.case
        titled = subject.titled if isinstance(subject, Region) else subject.called
        if answer.saliency.sequences != case.sequences and answer.request.method == "smoothgrad":
            # Another network's names for the same images, in the same order.
            case = replace(case, sequences=answer.saliency.sequences)
        # Of a map that is computed they grow by steps, and the figure's with them.
        own = tuple(one.limit for one in answer.ranges)
        limits = (answer.limit, *own) if own else ()
        return FigureContent(case, answer.saliency, titled, answer.model_name, limits=limits)

    def settings(self) -> FigureSettings:
        """Return what the dialog says, with the colours on screen and their limit."""
        assert self.dialog is not None  # noqa: S101 - only the dialog asks for figures
        overlays, shown = self.scene.overlays, self.state.shown
        look, asked = overlays.look, self.dialog.settings
        limit = overlays.limit or (None if shown is None else shown.limit)
        # A map's own limit on screen gives way where a sequence would show nothing.
        fits = asked.limits == "auto" and look.limits == "own"
        if asked.limits == "auto" and look.limits == "sequence":
            asked = replace(asked, limits="own")
        return replace(
            asked,
            at=self._crosshair() if self.dialog.at_crosshair else None,
            limit=None if asked.limits == "own" or fits else limit,
            threshold=look.threshold / 100,
            opacity=look.opacity,
            signed_map=SIGNED_MAPS[look.signed],
            sequential_map=SEQUENTIAL_MAPS[look.sequential],
        )

    def _crosshair(self) -> tuple[float, float, float] | None:
        """Return where the viewer's slices cross, in mm of the scanner: a voxel's centre.

        Outside the images it is the nearest voxel of them.
        """
        reading = self.state.reading
        if reading is None:
            return None
        frame = reading.frame
        last = np.array(frame.reorientation.displayed_shape) - 1
        i, j, k = np.clip(frame.displayed_index(self.scene.crosshair), 0, last).tolist()
        x, y, z = reading.case.grid.to_scanner(frame.reorientation.to_stored((i, j, k))).tolist()
        return x, y, z

    def _on_open(self) -> None:
        if self.dialog is None:
            self.dialog = FigureDialog(self.button)
            self.dialog.changed.connect(self._draw_preview)
            self.dialog.save_requested.connect(self._on_save)
            self.dialog.keep_requested.connect(self._on_keep)
            self.dialog.copy_requested.connect(self._on_copy)
            self.dialog.caption_requested.connect(self._on_caption)
            self.dialog.screenshot_requested.connect(self._on_screenshot)
        self.dialog.show()
        self.dialog.raise_()
        self._refresh()

    def _on_answer(self, answer: Answer) -> None:
        self._say_unfinished()
        # A running map is drawn when it begins and now and then, not each time it refines.
        before = self._previewed
        due = before is not None and time.monotonic() > self._next_preview
        another = before is not None and before.key != answer.key
        if answer.finished or not self.button.isEnabled() or due or another:
            self._refresh()

    def _on_idle(self) -> None:
        """Show a map that was stopped as it is now."""
        self._say_unfinished()
        if self._previewed is not None and self._previewed is not self.state.shown:
            self._refresh()

    def _say_unfinished(self) -> None:
        """Say of a map that is not complete what it is made of, before a figure of it is saved."""
        shown = self.state.shown
        if self.dialog is not None and shown is not None:
            self.dialog.say_unfinished(unfinished(shown, self.explaining.running))

    def _refresh(self, _: object = None) -> None:
        content = self.content()
        allow(self.button, "" if content is not None else "Explain a lesion first.")
        if self.dialog is None or not self.dialog.isVisible():
            return
        if content is None:
            self.dialog.close()
            return
        self._say_unfinished()
        self.dialog.set_sequences(content.case.sequences)
        reading = self.state.reading
        self.dialog.set_reference(reading is not None and reading.reference is not None)
        self._draw_preview()

    def _draw_preview(self) -> None:
        dpi = PREVIEW_PIXELS / (self.settings().width / 25.4)
        self._previews += 1
        shown, before = self.state.shown, self._previewed
        if before and shown and self.dialog and before.key != shown.key:
            # Neither the picture of another map nor where that was saved stays beside this one.
            self.dialog.await_preview(f"Drawing {shown.title}…")
        self._previewed, self._next_preview = shown, float("inf")
        done = partial(self._on_preview, self._previews, time.monotonic())
        self._submit("preview", partial(tasks.preview, dpi), done)

    def _submit(
        self,
        kind: str | None,
        work: Callable[[FigureContent, FigureSettings], Any],
        done: Callable[[Any], None],
    ) -> None:
        content, reading = self.content(), self.state.reading
        if content is not None and reading is not None:
            settings = self.settings()
            self._add(kind, partial(tasks.with_reference, work, reading, content, settings), done)

    def _add(self, kind: str | None, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.lane.add(Errand(work, done, self._on_failed, key=kind))

    def _on_preview(self, count: int, begun: float, preview: Preview) -> None:
        if self.dialog is not None and count == self._previews:
            now = time.monotonic()
            self._next_preview = now + max(PREVIEW_EVERY, PREVIEW_SHARE * (now - begun))
            pixels, scales, width = preview
            overlays = self.scene.overlays
            limits = limits_apart(scales, overlays.limits_on_show(), overlays.power)
            lines = lines_apart(width, self.dialog.settings.outline_width)
            self.dialog.set_preview(pixels, " ".join(filter(None, (limits, lines))))

    def _on_copy(self) -> None:
        self._say("Drawing…")
        self._submit("copy", figure_pixels, self._on_copied)

    def _on_copied(self, pixels: NDArray[np.uint8]) -> None:
        QApplication.clipboard().setImage(image_of(pixels))
        self._say("The figure is on the clipboard.")

    def _on_caption(self) -> None:
        self._submit("caption", caption, self._on_captioned)

    def _on_captioned(self, text: str) -> None:
        QApplication.clipboard().setText(text)
        self._say("The caption is on the clipboard.")

    def _on_save(self, form: str) -> None:
        content = self.content()
        if content is None:
            return
        path = self._ask("Save the figure", self._suggested(content), form)
        if path is not None:
            self._say("Drawing…")
            self._submit(None, partial(tasks.save, path), self._on_saved)

    @property
    def _folder(self) -> Path | None:
        """Where the reading's session lies, once there is one."""
        reading, kept = self.state.reading, self._session
        return kept[1] if kept is not None and kept[0] is reading else None

    def _on_session(self, folder: Path, _: str) -> None:
        self._session = self.state.reading, folder
        waiting, self._waiting = self._waiting, []
        for reading, save in waiting:
            if reading is self.state.reading:
                save(folder)

    def _on_keep(self, form: str) -> None:
        """Save what is on screen now without a question, by a name of its own in the session."""
        content, reading, settings = self.content(), self.state.reading, self.settings()
        if content is None or reading is None:
            return
        name = self._suggested(content)

        def save(folder: Path) -> None:
            keep = partial(tasks.keep, folder / FIGURES, name, form)
            work = partial(tasks.with_reference, keep, reading, content, settings)
            self._add(None, work, self._on_saved)

        self._say("Drawing…")
        if self._folder is not None:
            save(self._folder)
        else:
            self._waiting.append((reading, save))
            self.state.session_asked.emit(self._on_no_session)

    def _on_no_session(self, why: str) -> None:
        self._waiting.clear()
        self._say(f"{why} “Save…” asks where the figure is to be saved.")

    def _on_screenshot(self) -> None:
        path = self._ask("Save a screenshot of the canvas", "screenshot", "png")
        view = qt_viewer_of(around(self.button, QMainWindow))
        if path is not None and view is not None:
            # With all that is said over the canvas and below it; napari's own has the layers alone.
            middle, sliders = view.dims.parentWidget(), view.dims
            height = middle.height() if sliders.isHidden() else sliders.y()
            picture = middle.grab(QRect(0, 0, middle.width(), height)).toImage()
            self._add(None, partial(tasks.save_image, path, picture), self._on_saved)

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
        from napari_ies.results.names import saliency_stem, whose  # PyTorch comes with results

        shown = self.state.shown
        assert shown is not None  # noqa: S101 - the content is that of the map on screen
        desc, subject = self.settings().layout, whose(shown.subject)
        return saliency_stem(content.case, shown.request, suffix="figure", desc=desc, **subject)

    def _on_saved(self, path: Path) -> None:
        self._say(f"Saved to {path}.")

    def _on_failed(self, error: Exception) -> None:
        if not isinstance(error, NapariIESError):
            logger.error("A figure failed", exc_info=error)
        self._next_preview = time.monotonic() + PREVIEW_EVERY
        self._say(sentence(error))

    def _say(self, text: str) -> None:
        if self.dialog is not None:
            self.dialog.say(text)
