"""What tests of the viewer share: a small patient, a small network, and a person's hands."""

from __future__ import annotations

import contextlib
import functools
import gc
import gzip
import hashlib
import itertools
import os
import sys
import time
import weakref
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
import pytest_xvfb
from without_a_window import Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

pytest.importorskip("napari")

SHAPE = (48, 40, 36)
CENTRES = {1: (14, 26, 12), 2: (33, 15, 22)}
"""Stored voxel in the middle of each lesion, in scan order."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    needs_display = sys.platform.startswith("linux") and not os.environ.get("DISPLAY")
    for item in items:
        if here in Path(item.path).parents and pytest_xvfb.xvfb_instance is None:
            # One screen has one keyboard focus: of several workers on it, one runs all of these.
            item.add_marker(pytest.mark.xdist_group("screen"), append=False)
        if needs_display and here in Path(item.path).parents and "viewer" in _fixtures(item):
            item.add_marker(pytest.mark.skip(reason="needs a display, or Xvfb"))


@pytest.fixture(scope="session", autouse=True)
def seen_once() -> Iterator[None]:
    """What is the same for every viewer is found, and gone through, once.

    napari looks through every installed package for plugins twice for each viewer, and collects
    garbage with each viewer, before as after it, and each change between slices and space.
    """
    import torch  # noqa: F401
    from napari import viewer  # noqa: F401
    from napari._qt.qt_viewer import QtViewer
    from npe2 import PluginManifest

    from napari_ies.own_symbols import load_triton

    load_triton()  # what a test trains loads it too, after a window has painted
    _freeze()
    # Making a window sets off 140 collections by itself, a fifth of its time; so it is five.
    thresholds = gc.get_threshold()
    gc.set_threshold(20_000, 20, 20)
    discover = PluginManifest.discover
    found = list(discover())

    def collect_what_is_left(*generation: int) -> None:
        """Collect if viewers are there, which is what is looked for then."""
        if len(QtViewer._instances):
            gc.collect(*generation)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            PluginManifest,
            "discover",
            lambda paths=(): discover(paths) if paths else iter(found),
        )
        patched.setattr(
            "napari.utils._testsupport.gc", SimpleNamespace(collect=collect_what_is_left)
        )
        yield
    gc.set_threshold(*thresholds)
    # What is frozen stays so: the end of the process would look through all of it once more.


def _freeze() -> None:
    """Let the garbage collector pass over all there is now: napari collects in full each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def windows() -> Iterator[int]:
    """Number each window."""
    return itertools.count()


@pytest.fixture(scope="session", autouse=True)
def napari_repeats_less() -> Iterator[None]:
    """What napari does again and again for each window and layer, and no test looks at.

    It writes all its own settings to disk at each change of one, fills its welcome screen, which
    is hidden, for each of a few hundred shortcuts, reads the signature of every callback that it
    connects or disconnects, asks of each event of the program whether it brings back a menu bar
    that nobody hid, looks through all there is for garbage with each layer that goes (here through
    what is youngest), looks for what a model holds in four places and through its events one by
    one, checks all about the axes four times for each layer that comes, goes or changes, places
    what lies over a canvas once for each layer there, paints two drawings in each row of the list
    of layers, and makes some thirty controls for each layer, which follow its every change: those
    the monkey has. That was a third of a window's time.
    """
    from napari._qt.containers._layer_delegate import LayerDelegate
    from napari._qt.layer_controls import qt_layer_controls_container
    from napari._qt.qt_main_window import _QtMainWindow
    from napari._qt.widgets.qt_viewer_buttons import QtViewerPushButton
    from napari._qt.widgets.qt_welcome import QtWelcomeWidget
    from napari._vispy.canvas import VispyCanvas
    from napari.components.dims import Dims
    from napari.settings import NapariSettings
    from napari.utils.events.event import EmitterGroup, EventEmitter
    from napari.utils.events.evented_model import EventedModel

    check, known = EventEmitter._check_signature, {}

    def called_as(callback: Any) -> Any:
        """What of a callback says how it is called: the same of all that is made of one code."""
        if isinstance(callback, partial):
            function = called_as(callback.func)
            return function and (function, len(callback.args), *callback.keywords)
        if isinstance(callback, EventEmitter):
            return type(callback)
        function = getattr(callback, "__func__", callback)
        code = None if hasattr(function, "__wrapped__") else getattr(function, "__code__", None)
        return code and (code, function is callback)

    def takes_an_event(callback: Any) -> bool:
        key = called_as(callback)
        if key is None:
            return check(callback)
        if key not in known:
            known[key] = check(callback)
        return known[key]

    put, get = Dims.__setattr__, EventedModel.__getattr__

    def put_what_differs(self: Any, name: str, value: Any) -> None:
        if name not in OF_LAYERS or getattr(self, name) != value:
            put(self, name, value)

    def get_at_once(self: Any, name: str) -> Any:
        try:
            return object.__getattribute__(self, "__pydantic_private__")[name]
        except (AttributeError, KeyError, TypeError):
            return get(self, name)

    arrange, place = VispyCanvas._update_scenegraph, VispyCanvas._update_overlay_canvas_positions
    arranged = []

    def arrange_then_place(self: Any, event: Any = None) -> None:
        arranged.append(self)
        try:
            arrange(self)
        finally:
            arranged.remove(self)
        place_once_arranged(self)

    def place_once_arranged(self: Any, event: Any = None) -> None:
        if self not in arranged:
            place(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("napari._vispy.canvas.gc", SimpleNamespace(collect=partial(gc.collect, 0)))
        patched.setattr(qt_layer_controls_container, "create_qt_layer_controls", _no_controls)
        patched.delattr(_QtMainWindow, "eventFilter")
        patched.setattr(QtViewerPushButton, "_refresh_qss", lambda _: None, raising=False)
        patched.setattr(NapariSettings, "_maybe_save", lambda _: None)
        patched.setattr(QtWelcomeWidget, "refresh", lambda *_: None, raising=False)
        patched.setattr(EventEmitter, "_check_signature", staticmethod(takes_an_event))
        patched.setattr(EventedModel, "__getattr__", get_at_once)
        patched.setattr(Dims, "__setattr__", put_what_differs, raising=False)
        patched.setattr(VispyCanvas, "_update_scenegraph", arrange_then_place)
        patched.setattr(VispyCanvas, "_update_overlay_canvas_positions", place_once_arranged)
        patched.setattr(LayerDelegate, "paint", lambda *_: None, raising=False)
        patched.setattr(
            EmitterGroup, "__contains__", lambda self, name: name in self._emitters, raising=False
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def layers_are_made_as_they_are_shown() -> Iterator[None]:
    """What napari makes and draws for each layer, and no test looks at.

    For each image it makes what shows it in space and what shows one that is too large for the
    graphics card, with all their shaders: here once they are asked for. For each layer of labels
    it makes what shows a polygon and a brush's stroke under way: here once somebody draws. It
    draws a small picture for the list of layers at each slice, and sets the widths of the
    sliders' numbers with each layer: here if they are others. The monkey has all of that.
    """
    from napari._qt.widgets.qt_dims import QtDims
    from napari._vispy.layers import image, labels
    from napari._vispy.utils.visual import overlay_to_visual
    from napari.components.overlays import LabelsPolygonOverlay
    from napari.components.overlays.labels_brush_stroke import LabelsBrushStrokeOverlay
    from napari.layers import Image, Labels

    class Later:
        """An attribute that is made when it is looked at, if it is a call that was put off."""

        def __init__(self, name: str) -> None:
            self.name = name

        def __set__(self, node: Any, value: Any) -> None:
            node.__dict__[self.name] = value

        def __get__(self, node: Any, of: Any) -> Any:
            if isinstance(node.__dict__[self.name], partial):
                node.__dict__[self.name] = node.__dict__[self.name]()
            return node.__dict__[self.name]

    class OnceSomebodyDraws:
        """What shows a drawing in a layer of labels; it is made when the first begins."""

        def __init__(self, make: Any, *, overlay: Any, parent: Any, **of: Any) -> None:
            self.node, self.close = SimpleNamespace(parent=parent), self._leave
            self._make, self._overlay = partial(make, overlay=overlay, **of), overlay
            overlay.events.enabled.connect(self._begin)

        def _begin(self) -> None:
            self._leave()
            made = self._make(parent=self.node.parent)
            self.node, self.close, self._made = made.node, made.close, made

        def _leave(self) -> None:
            self._overlay.events.enabled.disconnect(self._begin)

    def with_calls_put_off(make: Any, module: Any, *names: str) -> Any:
        def made(*arguments: Any, **named: Any) -> None:
            with pytest.MonkeyPatch.context() as patched:
                for name in names:
                    patched.setattr(module, name, partial(partial, getattr(module, name)))
                make(*arguments, **named)

        return made

    resize, widths = QtDims._resize_slice_labels, weakref.WeakKeyDictionary()

    def resize_what_differs(self: Any) -> None:
        of = self.dims.nsteps, tuple(self._displayed_sliders), len(self.slider_widgets)
        if widths.get(self) != of:
            widths[self] = of
            resize(self)

    with pytest.MonkeyPatch.context() as patched:
        for kind, name, module, nodes in (
            (image.ImageLayerNode, "__init__", image, ("VolumeNode", "TiledImageNode")),
            (labels.LabelLayerNode, "_setup_nodes", labels, ("VolumeNode",)),
        ):
            make = with_calls_put_off(getattr(kind, name), module, *nodes)
            patched.setattr(kind, name, make)
            for put_off in ("_volume_node", "_tiledimage_node"):
                patched.setattr(kind, put_off, Later(put_off), raising=False)
        for kind in (LabelsPolygonOverlay, LabelsBrushStrokeOverlay):
            made = partial(OnceSomebodyDraws, overlay_to_visual[kind])
            patched.setitem(overlay_to_visual, kind, made)
        for kind in (Image, Labels):
            patched.setattr(kind, "_update_thumbnail", lambda _: None)
        patched.setattr(QtDims, "_resize_slice_labels", resize_what_differs)
        yield


OF_LAYERS = ("ndim", "range", "units", "axis_labels")
"""What the axes of a viewer take from its layers, whatever changes of these: mostly the same."""
CONTROLS = (302, 264)
"""Least width and height of the controls of an image layer (napari 0.9.2), in pixels."""


def _no_controls(layer: Any) -> Any:
    """Return what takes the room of the controls of a layer."""
    from qtpy.QtWidgets import QFrame

    empty = QFrame()
    empty.setMinimumSize(*CONTROLS)
    return empty


@pytest.fixture(scope="session", autouse=True)
def vispy_repeats_less() -> Iterator[None]:
    """What every canvas works out anew, the same each time: letters, kernels, its shaders' text.

    And what it tells to nobody.
    """
    from vispy.color import colormap
    from vispy.gloo.program import Program
    from vispy.io import load_spatial_filters
    from vispy.util.event import EventEmitter
    from vispy.visuals.shaders.function import Function
    from vispy.visuals.shaders.shader_object import ShaderObject
    from vispy.visuals.text.text import SDFRendererCPU

    draw, drawn = SDFRendererCPU.render_to_texture, {}
    read, variables = Program._parse_variables_from_code, {}

    def draw_once(self: Any, data: Any, texture: Any, offset: Any, size: Any) -> None:
        (x, y), (width, height) = offset, size
        key = data.tobytes(), data.shape, width, height
        if key not in drawn:
            drawn[key] = np.zeros((height, width, 3), np.uint8)
            draw(self, data, drawn[key], (0, 0), size)
        texture[y : y + height, x : x + width, :] = drawn[key]

    def read_once(self: Any, update_variables: bool = True) -> None:
        key = tuple(shader.code for shader in self._shaders)
        if key not in variables:
            read(self, update_variables=False)
            variables[key] = self._code_variables
        self._code_variables = dict(variables[key])
        if update_variables:
            self._process_pending_variables()

    fill, filled = colormap._process_glsl_template, {}

    def fill_once(template: str, colours: NDArray[np.float64]) -> str:
        key = template, colours.shape, colours.tobytes()
        if key not in filled:
            filled[key] = fill(template, colours)
        return filled[key]

    emit, tell = EventEmitter.__call__, ShaderObject.changed

    def emit_to_somebody(self: Any, *event: Any, **of: Any) -> Any:
        if self._callbacks:
            return emit(self, *event, **of)
        return self._prepare_event(*event, **of)

    def tell_somebody(self: Any, *changed: Any, **of: Any) -> None:
        if len(self._dependents):
            tell(self, *changed, **of)

    clean = functools.cache(partial(Function._clean_code, None))
    kernels = functools.cache(load_spatial_filters)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SDFRendererCPU, "render_to_texture", draw_once)
        patched.setattr(Program, "_parse_variables_from_code", read_once)
        patched.setattr(Function, "_clean_code", lambda _, code: clean(code))
        patched.setattr(colormap, "_process_glsl_template", fill_once)
        patched.setattr(EventEmitter, "__call__", emit_to_somebody)
        patched.setattr(ShaderObject, "changed", tell_somebody)
        for module in ("image", "volume", "text.text"):
            patched.setattr(f"vispy.visuals.{module}.load_spatial_filters", kernels)
        yield


REST = 0.03
"""Seconds from one sample of a map that is never finished to the next."""


@pytest.fixture(scope="session", autouse=True)
def nobody_is_watching() -> Iterator[None]:
    """Computations make no way for a window that nobody uses, and are asked often if done.

    At the lower priority that people get, a computation waits for all that the other workers of
    the tests do. Maps that are under way are shown as often as there are pictures of the window.
    One of so many steps that nobody waits for it rests after each that shows something: what is
    done meanwhile has the processor to itself.
    """
    from napari_ies.viewer.work import job, qt_clock, runner

    take = job.Run._take

    def take_and_rest(self: Any, report: Any) -> None:
        take(self, report)
        if report.result is not None and report.total - report.done > 1000:
            self.cancelled.wait(REST)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(job.Run, "_take", take_and_rest)
        patched.setattr(job, "NICE", 0)
        patched.setattr(qt_clock, "POLL_MS", 5)
        patched.setattr(runner, "REPORT_SECONDS", Screen.PICTURE)
        yield


@pytest.fixture(scope="session", autouse=True)
def midlines_found_once() -> Iterator[None]:
    """The search for the midline of the same images, a third of segmenting them, is made once."""
    from napari_ies.patient import midline

    search, found = midline.find_midline, {}

    def find(volumes: NDArray[np.float32], grid: Any) -> Any:
        images = hashlib.sha256(volumes.tobytes()).digest()
        key = images, volumes.shape, grid.affine.tobytes()
        if key not in found:
            found[key] = search(volumes, grid)
        return found[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(midline, "find_midline", find)
        yield


@pytest.fixture(autouse=True)
def own_preferences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Preferences start at their defaults and are never those of the person at this machine."""
    from napari import settings

    monkeypatch.setattr(settings, "_CFG_PATH", str(tmp_path / "preferences" / "settings.yaml"))
    settings._clear_plugin_settings_cache()
    yield
    settings._clear_plugin_settings_cache()


@pytest.fixture(autouse=True)
def own_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sessions, and what is remembered, are saved here, never in the data of the person here."""
    monkeypatch.setenv("NAPARI_IES_SESSIONS", str(tmp_path / "sessions"))
    monkeypatch.setenv("NAPARI_IES_RECENT", str(tmp_path / "recent"))
    return tmp_path / "sessions"


def _fixtures(item: pytest.Item) -> list[str]:
    names = getattr(item, "fixturenames", [])
    return ["viewer"] if any("viewer" in name or name == "qtbot" for name in names) else []


def oblique() -> NDArray[np.float64]:
    """Permuted axes, unequal voxel sizes, and a rotation of some 17 degrees."""
    a, b = 0.25, 0.15
    rotation = np.array(
        [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    ) @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    permuted = np.array([[0.0, 0, -1], [1, 0, 0], [0, 1, 0]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ permuted @ np.diag([1.1, 2.0, 0.9])
    affine[:3, 3] = [12.0, -30.0, 7.0]
    return affine


AFFINES = {
    "anisotropic": np.array(
        [[-0.9, 0, 0, 20.0], [0, 1.1, 0, -25.0], [0, 0, 2.0, -30.0], [0, 0, 0, 1]]
    ),
    "oblique": oblique(),
}


@dataclass(frozen=True)
class Patient:
    """Two lesions in noise; bright on FLAIR, dark on T1."""

    images: dict[str, Path]
    reference: Path
    affine: NDArray[np.float64]
    volumes: dict[str, NDArray[np.float32]]
    centres: dict[int, tuple[int, int, int]]
    background: tuple[int, int, int] = (24, 20, 8)


@functools.cache
def _drawn(affine: str) -> tuple[dict[str, NDArray[np.float32]], dict[str, bytes]]:
    """Return the images of the patient, and these and the reference as they lie on disk."""
    generator = np.random.default_rng(5)
    spacing = np.linalg.norm(AFFINES[affine][:3, :3], axis=0)
    grid = np.stack(np.indices(SHAPE), axis=-1)
    lesions = np.zeros(SHAPE, dtype=bool)
    for centre in CENTRES.values():
        lesions |= np.linalg.norm((grid - centre) * spacing, axis=-1) < 4.0
    flair = 100 + 60 * lesions + generator.normal(0, 3, SHAPE)
    t1 = 100 - 40 * lesions + generator.normal(0, 3, SHAPE)
    volumes = {"FLAIR": flair.astype(np.float32), "T1": t1.astype(np.float32)}
    files = {}
    for name, data in (volumes | {"reference": lesions.astype(np.uint8)}).items():
        image = nib.Nifti1Image(data, AFFINES[affine])
        files[name] = gzip.compress(image.to_bytes(), compresslevel=1)
    return volumes, files


@pytest.fixture(params=["anisotropic"])
def patient(request: pytest.FixtureRequest, tmp_path: Path) -> Patient:
    volumes, files = _drawn(request.param)
    paths = {name: tmp_path / f"sub-01_{name}.nii.gz" for name in volumes}
    reference = tmp_path / "reference.nii.gz"
    for name, path in (paths | {"reference": reference}).items():
        path.write_bytes(files[name])
    own = {name: volume.copy() for name, volume in volumes.items()}
    return Patient(paths, reference, AFFINES[request.param], own, CENTRES)


def small_model() -> Any:
    """Return a network that marks what is bright on FLAIR and dark on T1, in two convolutions."""
    import torch
    from torch import nn

    from napari_ies.network.model import SegmentationModel
    from napari_ies.network.profile import Profile

    hidden, output = nn.Conv3d(2, 2, 3, padding=1), nn.Conv3d(2, 2, 3, padding=1)
    with torch.no_grad():
        for parameter in (hidden.weight, hidden.bias, output.weight, output.bias):
            parameter.zero_()
        hidden.weight[0, 0], hidden.weight[1, 1] = 1 / 27, -1 / 27
        output.weight[1, 0, 1, 1, 1], output.weight[1, 1, 1, 1, 1] = 0.8, 0.4
        output.bias[1] = -6.0
    network = nn.Sequential(hidden, nn.LeakyReLU(0.1), output)
    profile = Profile(
        name="small",
        architecture="UNet",
        arguments={},
        sequences=("FLAIR", "T1"),
        window=(24, 24, 24),
        divisor=(4, 4, 4),
        threshold=0.5,
    )
    return SegmentationModel(network, profile, torch.device("cpu"))


def loaded(model: Any) -> Any:
    """Return a network as the window holds it once its checkpoint is loaded."""
    from napari_ies.viewer.state.loaded import LoadedModel

    return LoadedModel(model, "CPU", ("cpu",), ("0", "2"), "0")


class Screen:
    """Shows a few pictures a second while somebody waits, one once all has settled, or each.

    With Mesa a picture of the window takes as long as a step of what is computed meanwhile, and
    each step is one.
    """

    PICTURE = 0.3
    """Seconds from one picture to the next while somebody waits."""

    def __init__(self) -> None:
        self._every, self._due, self._last = 0.0, 0.0, 0.0
        self._held = weakref.WeakSet()

    def holds(self, window: Any) -> bool:
        """Whether a window that asks to be painted is painted later."""
        now = time.monotonic()
        if now >= self._due:
            self._last, self._due = now, now + self._every
            return False
        self._held.add(window)
        return True

    def show_if_due(self) -> None:
        if self._held and time.monotonic() >= self._due:
            self._show()

    @contextlib.contextmanager
    def every(self, seconds: float, first: float = 0.0) -> Iterator[None]:
        """Show the first picture after so many seconds, and then one each so many.

        While somebody waits nobody shows more.
        """
        before = self._every, self._due
        self._every, self._due = seconds, max(self._due, time.monotonic() + first)
        try:
            yield
        finally:
            self._every, due = before
            self._due = max(due, self._last + self._every)
            self.show_if_due()

    def _show(self) -> None:
        from qtpy.QtCore import QCoreApplication, QEvent

        windows, self._held = list(self._held), weakref.WeakSet()
        for window in windows:
            with contextlib.suppress(RuntimeError):  # it was closed meanwhile
                QCoreApplication.postEvent(window, QEvent(QEvent.Type.UpdateRequest))


NEVER = float("inf")
the_screen = Screen()


@pytest.fixture(scope="session", autouse=True)
def fewer_pictures() -> Iterator[None]:
    """Windows are painted as :class:`Screen` says."""
    from napari._qt.qt_main_window import _QtMainWindow
    from qtpy.QtCore import QEvent

    event = _QtMainWindow.event

    def unless_held(self: Any, happens: Any) -> bool:
        if happens.type() == QEvent.Type.UpdateRequest and the_screen.holds(self):
            return True
        return event(self, happens)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_QtMainWindow, "event", unless_held)
        yield


class Hands:
    """Does what a person does at the screen, with real events, and waits as a person would."""

    def __init__(self, viewer: Any, panel: Any, qtbot: Any) -> None:
        self.viewer, self.panel, self.qtbot = viewer, panel, qtbot

    def wait(self, condition: Callable[[], object], seconds: float = 60) -> None:
        with the_screen.every(Screen.PICTURE, first=Screen.PICTURE):
            self.qtbot.waitUntil(
                lambda: the_screen.show_if_due() or bool(condition()), timeout=int(1000 * seconds)
            )

    def finish(self) -> None:
        self.wait(lambda: not self.panel.services.work.busy)
        self.settle()

    def afresh(self) -> None:
        """Show the patient as just segmented, for a next act in the same window: without maps.

        A window takes seconds to make and to fill. Tests that look at different things from the
        same beginning are acts of one; what an act leaves otherwise, it puts back itself.
        """
        self.panel.state.show_reading(self.panel.state.reading)
        self.panel.features["explaining"].form.samples.setValue(3)
        self.settle()

    def settle(self, *, seen: bool = True) -> None:
        """Let happen what was begun, here and, if seen, on the screen, and what follows."""
        from qtpy.QtGui import QGuiApplication

        # Two rounds, then the picture of what came of them, then what follows from that.
        for first in (NEVER, NEVER, 0.0, NEVER) if seen else (NEVER, NEVER):
            with the_screen.every(NEVER, first):
                QGuiApplication.sync()
                self.qtbot.wait(1)

    def layer(self, start: str) -> Any:
        found = [layer for layer in self.viewer.layers if layer.name.startswith(start)]
        assert len(found) == 1, (start, [layer.name for layer in self.viewer.layers])
        return found[0]

    def lesions_layer(self) -> Any:
        return next(layer for layer in self.viewer.layers if layer.name == "Lesions")

    def overlays(self) -> list[Any]:
        return [layer for layer in self.viewer.layers if "·" in layer.name]

    def control(self, name: str) -> Any:
        from qtpy.QtWidgets import QWidget

        found = self.panel.findChild(QWidget, name)
        assert found is not None, name
        return found

    def answered(self, label: int) -> bool:
        return self.answer(label) is not None

    def answer(self, subject: int | str) -> Any:
        """The kept answer that a click shows with the form's present settings, or None."""
        state, request = self.panel.state, self.panel.features["explaining"].form.request()
        keys = {(subject, request, answer.model_key) for answer in state.answers.of(subject)}
        kept = (state.answers.get(state.answers.as_good_as(key)) for key in keys)
        return next((answer for answer in kept if answer is not None), None)

    def into_space(self) -> None:
        """Show the 3-d view, small: without a graphics card a large one takes seconds a frame.

        It is the filled lesions that do: nine tenths of a picture, by its area.
        """
        self.viewer.dims.ndisplay = 3
        self.viewer.scene.camera.zoom *= 0.2
        self.settle()

    def press(self, name: str) -> None:
        from qtpy.QtCore import Qt

        self.unfold()
        self.qtbot.mouseClick(self.control(name), Qt.MouseButton.LeftButton)

    def reply(self, word: str) -> str:
        """Answer the question on screen by a button; return what was asked."""
        from qtpy.QtCore import Qt
        from qtpy.QtWidgets import QMessageBox

        (box,) = [box for box in self.panel.findChildren(QMessageBox) if box.isVisible()]
        (button,) = [one for one in box.buttons() if one.text() == word]
        asked = box.text()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        return asked

    def unfold(self) -> None:
        """Unfold what was set up, as a person does who wants to change it."""
        self.panel.preparation.expand(animate=False)
        self.settle(seen=False)

    def open(self, patient: Patient) -> None:
        for name, path in patient.images.items():
            self.panel.features["preparing"].open_image(name, str(path))
        self.finish()

    def segment(self) -> None:
        from qtpy.QtCore import Qt

        self.unfold()
        self.qtbot.mouseClick(
            self.panel.features["preparing"].segmentation.button, Qt.MouseButton.LeftButton
        )
        self.finish()

    def world_of(self, volume: NDArray[np.float32], layer: Any, voxel: tuple[int, ...]) -> Any:
        """Find where a layer shows a stored voxel by its value alone."""
        value = volume[voxel]
        found = np.argwhere(np.asarray(layer.data) == value)
        assert len(found) == 1, "the test needs a voxel of a value of its own"
        return np.asarray(layer.data_to_world(found[0]))

    def go(self, world: Any) -> None:
        """Move the slices as with the sliders."""
        self.viewer.dims.point = tuple(world)
        self.settle()

    def pixel_of(self, world: Any) -> Any:
        from qtpy.QtCore import QPoint

        canvas = self.viewer.window._qt_viewer.canvas
        view = canvas.view
        shown = [world[axis] for axis in self.viewer.dims.displayed][::-1]
        x, y, _, w = (view.transform * view.scene.transform).map([*[*shown, 0.0][:3], 1.0])
        return QPoint(round(x / w), round(y / w))

    def click(self, world: Any, drag: int = 0) -> None:
        from qtpy.QtCore import QPoint, Qt

        native = self.viewer.window._qt_viewer.canvas.native
        at = self.pixel_of(world)
        assert native.rect().contains(at), "the place to click is not on the canvas"
        self.qtbot.mousePress(native, Qt.MouseButton.LeftButton, pos=at)
        for step in range(1, 5 if drag else 1):
            self.qtbot.mouseMove(native, at + QPoint(step * drag // 4, 0))
            self.settle(seen=False)
        end = at + QPoint(drag, 0)
        self.qtbot.mouseRelease(native, Qt.MouseButton.LeftButton, pos=end)
        self.settle()


def _docked(make_napari_viewer: Any, qtbot: Any) -> Hands:
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1100, 700)
    _, panel = viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    return Hands(viewer, panel, qtbot)


_segmented: dict[tuple[object, ...], Any] = {}
"""What the small network marks in each patient, by the images and all that was asked for."""


def _segmented_once(model: Any, case: Any, **settings: Any) -> Iterator[Any]:
    """Segment with the small network what was not segmented before; tables and labels are new."""
    from napari_ies import segment
    from napari_ies.progress import Progress

    key = (case.data.tobytes(), case.affine.tobytes(), case.sequences, repr(settings))
    if key not in _segmented:
        _segmented[key] = segment(model, case, **settings)
    once = _segmented[key]
    own = replace(once, labels=once.labels.copy(), lesions=once.lesions.copy())
    yield Progress("Segmenting", 1, 1, "windows", own)


def _reading(patient: Patient) -> Any:
    """Return the patient segmented with the small network: a reading of its own each time."""
    from napari_ies import load_case
    from napari_ies.viewer.state.reading import Reading

    model, case = small_model(), load_case(patient.images)
    (report,) = _segmented_once(model, case, keep_logits=True)
    return Reading.of(model, case, report.result)


def _with_patient(hands: Hands, patient: Patient) -> Hands:
    from napari_ies.segmentation import segmentation

    # Nobody looks at the steps on the way, and each of them would be drawn.
    window = hands.viewer.window._qt_window
    window.setUpdatesEnabled(False)
    hands.panel.state.take_model(loaded(small_model()))
    hands.open(patient)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segmentation, "segment_progressively", _segmented_once)
        hands.segment()
    assert hands.panel.state.reading is not None, hands.panel.status.text
    hands.panel.features["explaining"].form.samples.setValue(3)
    window.setUpdatesEnabled(True)
    hands.settle()
    return hands


@pytest.fixture
def frozen_now_and_then(windows: Iterator[int]) -> None:
    """Freeze what windows before left for good, modules, style sheets and shaders.

    After the first window that is most of what there will be; napari collects in full with each
    that is closed.
    """
    if next(windows) % 8 == 1:
        _freeze()


@pytest.fixture
def hands(frozen_now_and_then: None, make_napari_viewer: Any, qtbot: Any) -> Hands:
    """A viewer on the screen with the panel docked."""
    return _docked(make_napari_viewer, qtbot)


@pytest.fixture
def segmented(hands: Hands, patient: Patient) -> Hands:
    """The patient opened and segmented with the small network."""
    return _with_patient(hands, patient)


@pytest.fixture
def segmented_elsewhere(make_napari_viewer: Any, qtbot: Any, patient: Patient) -> Hands:
    """The same in a viewer of its own."""
    return _with_patient(_docked(make_napari_viewer, qtbot), patient)


@pytest.fixture
def twin(patient: Patient, own_sessions: Path) -> Twin:
    """The patient segmented with the small network, where there is no window."""
    from napari_ies import SaliencyRequest

    twin, reading = Twin(own_sessions), _reading(patient)
    twin.state.take_model(loaded(reading.model))
    twin.state.request = SaliencyRequest(n_samples=3)
    twin.show(reading)
    return twin
