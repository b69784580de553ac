"""Before anything is segmented it is known where the session will lie and what was read before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from napari.layers import Image
from without_a_window import Twin

from napari_ies import load_case, segment
from napari_ies.viewer.session.beforehand import Beforehand
from napari_ies.viewer.session.saving import Recording
from napari_ies.viewer.state.loaded import Chosen
from napari_ies.viewer.state.reading import Reading
from napari_ies.viewer.state.state import State
from napari_ies.viewer.volumes.layer_data import read_image, sha256_of_file
from napari_ies.viewer.volumes.sources import source_of
from napari_ies.viewer.work.runner import Runner

from ..conftest import small_model


class Ahead:
    """A window's state before anything is segmented, and what is known of it."""

    def __init__(self, root):
        self.state, self.work, self.told = State(), Runner(), []
        self.roots = [root]
        self.beforehand = Beforehand(
            self.state, self.work.lane("session"), lambda _: tuple(self.roots)
        )
        self.beforehand.known.connect(self.told.append)

    def choose(self, layers, subject="01"):
        sources = {name: source_of(layer) for name, layer in layers.items()}
        files = {name: sha256_of_file(layer) for name, layer in layers.items()}
        self.state.choose_images(Chosen(sources, files, subject, ""))
        self.work.wait()
        return self.told[-1]


def opened(patient):
    layers = {}
    for name, path in patient.images.items():
        data, arguments, _ = read_image(path)
        layers[name] = Image(data, **arguments)
    return layers


def test_the_session_of_these_images_is_known_before_they_are_segmented(twin, patient, tmp_path):
    twin.note(1, "dark rim")
    window = Ahead(twin.session.folder.parent)
    known = window.choose(opened(patient))
    assert known.found.earlier.folder == twin.session.folder
    assert known.planned == twin.session.folder.parent / "sub-01_2"
    # A folder of one's own for the new one; what was read before is found all the same.
    window.beforehand.choose(tmp_path / "elsewhere")
    window.work.wait()
    assert window.told[-1].planned == tmp_path / "elsewhere" / "sub-01"
    assert window.told[-1].found.earlier.folder == twin.session.folder
    assert not (tmp_path / "elsewhere").exists()
    assert window.beforehand.take_root() == tmp_path / "elsewhere"
    assert window.beforehand.take_root() is None
    # Swapped images are others, and so is another name of the patient's to its folder.
    layers = opened(patient)
    layers["FLAIR"], layers["T1"] = layers["T1"], layers["FLAIR"]
    assert window.choose(layers).found.earlier is None
    assert window.choose(opened(patient), "99").planned.name == "sub-99"
    # Of the reading's own images nothing is ahead.
    window.state.show_reading(twin.state.reading)
    assert window.beforehand.chosen is None


def test_a_session_of_images_without_files_is_found_again(patient, own_sessions, tmp_path):
    """Such as the demo's, by the values of its images."""
    case = load_case(patient.images)
    case = replace(case, paths=(None, None), sha256=("", ""))
    (tmp_path / "unet.pth").write_bytes(b"weights")
    model = replace(small_model(), path=tmp_path / "unet.pth", sha256="ab" * 32)
    reading = Reading.of(model, case, segment(model, case))
    twin = Twin(own_sessions)
    twin.show(reading)
    twin.note(1, "dark rim")
    folder = twin.session.folder

    def shown(change=0.0):
        frame = reading.frame
        return {
            name: Image(
                frame.reorientation.apply(data + np.float32(change)),
                metadata={"napari_ies": {"affine": case.affine}},
                **frame.placement(),
            )
            for name, data in zip(case.sequences, case.data, strict=True)
        }

    window = Ahead(own_sessions)
    assert window.choose(shown()).found.earlier.folder == folder
    assert window.choose(shown(1.0)).found.earlier is None

    # Segmented once more, it is offered if the checkpoint is the same.
    def found(network):
        again = Reading.of(network, case, reading.segmentation)
        return Recording(again, (own_sessions,), "auto").look().earlier

    assert found(model).folder == folder
    assert found(replace(model, sha256="cd" * 32)) is None
