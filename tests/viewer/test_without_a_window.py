"""The panel's twin without a window: read, explained, noted, saved and reopened on no display."""

from __future__ import annotations

import os

SCRIPT = """
import sys
from pathlib import Path

class Blocked:
    names = ("napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "vispy", "magicgui",
             "superqt")

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ImportError(f"{name} is blocked")

assert not [name for name in Blocked.names if name in sys.modules]
sys.meta_path.insert(0, Blocked())

import numpy as np
from napari_ies import SaliencyRequest, load_case, load_checkpoint, segment
from napari_ies.saliency import explain
from napari_ies.viewer.state.reading import Reading
from without_a_window import Twin

checkpoint, flair, t1, folder = map(Path, sys.argv[1:])

images = {"FLAIR": flair, "T1": t1}
twin = Twin(folder)
model, case = load_checkpoint(checkpoint, device="cpu"), load_case(images)
twin.show(Reading.of(model, case, segment(model, case)))
twin.state.request = request = SaliencyRequest(n_samples=2)
lesions = list(twin.state.reading.segmentation.lesions.index)[:2]
for lesion in lesions:
    twin.explaining.explain(lesion)
    twin.work.wait()
    assert twin.tell.text.startswith(f"Finished lesion {lesion}: SmoothGrad mean"), twin.tell.text
twin.state.set_note(lesions[0], "agree")
twin.work.wait()
assert twin.session.folder is not None and twin.tell.failures == []
maps = {lesion: twin.state.answers.of(lesion)[-1].saliency for lesion in lesions}
for lesion, found in maps.items():
    mask = twin.state.reading.segmentation.labels == lesion
    np.testing.assert_array_equal(found.maps, explain(model, case, mask, n_samples=2).maps)

again = Twin(folder)
again.reopening.open(twin.session.folder)
again.work.wait()
assert again.tell.failures == [], again.tell.failures
assert again.state.reading.notes == {lesions[0]: "agree"}
assert again.state.selected == lesions[-1]
for lesion, saved in maps.items():
    (answer,) = again.state.answers.of(lesion)
    np.testing.assert_array_equal(answer.saliency.maps, saved.maps)
    assert answer.request == request
again.explaining.explain(lesions[0])
assert again.state.shown.subject == lesions[0]
print(len(maps))
"""


def test_a_patient_is_read_saved_and_reopened_without_a_window(small, tmp_path, said_by):
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    arguments = [small.checkpoint, small.images["FLAIR"], small.images["T1"], tmp_path / "sessions"]
    assert said_by(SCRIPT, *arguments, environment=environment) == ["2"]
