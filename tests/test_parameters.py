"""What a person can set is called, limited and explained alike on the command line and in forms."""

from __future__ import annotations

import dataclasses
import html
import inspect
import re
from functools import cache
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import small_model
from npe2 import PluginManifest
from qtpy.QtWidgets import QCheckBox, QComboBox, QLineEdit, QWidget

from napari_ies.cli import app
from napari_ies.figures.settings import FigureSettings
from napari_ies.network.profile import Profile
from napari_ies.parameters import parameters_of
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.viewer.explaining.saliency_form import DEFAULT_LAYER, SaliencyForm
from napari_ies.viewer.figure.figure_dialog import FigureDialog
from napari_ies.viewer.preparing.geometry.geometry_form import GeometryForm
from napari_ies.viewer.preparing.segmentation_form import SegmentationForm
from napari_ies.viewer.profiles.profile_dialog import ProfileDialog

LAYERS = ("model.0.conv", "model.1.submodule.2.conv")


@cache
def options(command):
    """The options of a command by name: the type, what typer is told, and the default."""
    run = next(one.callback for one in app.registered_commands if one.callback.__name__ == command)
    hints, made = get_type_hints(run, include_extras=True), {}
    for name, parameter in inspect.signature(run).parameters.items():
        kind, told = get_args(hints[name])
        declared = told.default if isinstance(told.default, str) else f"--{name}"
        made[declared.removeprefix("--").partition("/")[0]] = kind, told, parameter.default
    return made


def shown(tooltip):
    """The words of a tooltip without its markup."""
    return html.unescape(re.sub(r"<[^>]+>", "", tooltip))


def in_forms():
    forms = (
        (SaliencyForm, SaliencyRequest, "explain", ""),
        (SegmentationForm, Profile, "segment", ""),
        (GeometryForm, Profile, "segment", ""),
        (FigureDialog, FigureSettings, "figure", "figure_"),
    )
    for form, taker, command, prefix in forms:
        for name, about in parameters_of(taker).items():
            if taker is Profile and about.name not in options(command):
                continue  # the profile's form alone asks it
            yield pytest.param(form, about, command, prefix, id=f"{form.__name__}-{name}")


@pytest.fixture
def made(qtbot):
    def make(kind):
        form = kind()
        qtbot.addWidget(form)
        return form

    return make


@pytest.mark.parametrize(("form", "about", "command", "prefix"), [*in_forms()])
def test_command_line_and_form_say_the_same(form, about, command, prefix, made):
    kind, told, asked = options(command)[about.name]
    assert told.help.startswith(about.help)
    least, most = about.limits
    assert told.min in (least, None)
    assert told.max in (most, None)
    widget = made(form)
    control = widget.findChild(QWidget, prefix + about.name)
    if control is None:
        return
    assert shown(control.toolTip()).startswith(" ".join(about.help.split()))
    if isinstance(control, QComboBox):
        if about.kind is str and about.choices:
            assert get_args(kind) == tuple(about.choices)
        if about.choices:
            assert [control.itemData(i) for i in range(control.count())] == list(about.choices)
            assert [control.itemText(i) for i in range(control.count())] == [
                *about.choices.values()
            ]
        default = control.currentData()
    elif isinstance(control, QCheckBox):
        assert control.text() == about.label
        default = control.isChecked()
    else:
        scale = 100 if about.percent else 1
        assert least * scale <= control.minimum()
        assert control.maximum() <= most * scale
        assert (control.minimum(), control.maximum()) == (about.offered or about.limits)
        assert (control.prefix(), control.suffix()) == (about.before, about.unit)
        default = control.value() / scale
    if about.kind in (int, float, str, bool):
        assert default == about.default
        assert asked in (about.default, None)


def test_every_setting_of_a_map_is_an_option_and_all_but_three_are_on_the_form(made):
    described = parameters_of(SaliencyRequest)
    assert list(described) == [one.name for one in dataclasses.fields(SaliencyRequest)]
    form, limited = made(SaliencyForm), []
    for name, about in described.items():
        _, told, _ = options("explain")[about.name]
        if about.kind in (int, float) and name != "class_index":
            limited.append(name)
            assert (told.min, told.max) == about.limits
    assert limited == ["n_samples", "noise", "seed", "tolerance", "noise_version"]
    assert {about.name for about in described.values()} - {
        one.objectName() for one in form.findChildren(QWidget)
    } == {"class", "tolerance", "noise-version"}


def test_the_form_of_a_profile_is_made_of_the_same_descriptions(made):
    model = small_model()
    profile, form = model.profile, made(ProfileDialog)
    form.show_model(model, "")
    asked = parameters_of(Profile)
    assert {"sequences", "window", "resample", "activation", "smallest_lesion"} <= asked.keys()
    for name, about in asked.items():
        control = form.findChild(QWidget, f"profile_{about.name}")
        assert shown(control.toolTip()).endswith(" ".join(about.help.split())), name
        if isinstance(control, QCheckBox):
            assert control.text().startswith(about.label)
        elif not isinstance(control, (QComboBox, QLineEdit)):
            assert (control.minimum(), control.maximum()) == (about.offered or about.limits)
    assert form.fields() == {}
    form.findChild(QCheckBox, "profile_all").click()
    stated = form.fields()
    assert {name: getattr(profile, name) for name in asked} == {**stated, "spacing": None}


def test_the_settings_page_of_napari_agrees():
    manifest = PluginManifest.from_distribution("napari-ies")
    offered = manifest.contributions.configurations["computation"].properties
    for name, about in parameters_of(SaliencyRequest).items():
        entry = offered.get(about.name)
        if entry is None:
            own = ("seed", "forward", "class_index", "layer", "tolerance", "noise_version")
            assert name in own
            continue
        if about.choices:
            assert entry.enum == list(about.choices)
        else:
            assert (entry.minimum, entry.maximum) == about.offered
        assert entry.default == about.default * (100 if about.percent else 1)


requests = st.one_of(
    st.builds(
        SaliencyRequest,
        aggregation=st.sampled_from(["mean", "sum", "max"]),
        n_samples=st.integers(1, 9_999),
        noise=st.integers(0, 1_000).map(lambda tenths: tenths / 1000),
        seed=st.integers(0, 99_999),
        forward=st.sampled_from(["sliding-window", "whole-volume"]),
        precision=st.sampled_from(["float32", "tf32", "bf16"]),
        noise_version=st.sampled_from([1, 2]),
    ),
    st.builds(
        SaliencyRequest,
        method=st.just("gradcam++"),
        layer=st.sampled_from([None, *LAYERS]),
        forward=st.sampled_from(["sliding-window", "whole-volume"]),
        precision=st.sampled_from(["float32", "tf32", "bf16"]),
    ),
)


@pytest.fixture(scope="module")
def form(qapp):
    form = SaliencyForm()
    form.set_layers(LAYERS, "model.1.submodule.2.conv")
    return form


@given(requests)
def test_a_form_asks_for_the_request_that_it_shows(form, request_):
    form.set_request(request_)
    assert form.request() == request_


@given(st.builds(SaliencyRequest, n_samples=st.integers(1, 10**6), seed=st.integers(0, 2**63 - 1)))
def test_what_a_form_does_not_offer_becomes_the_nearest_that_it_does(form, request_):
    form.set_request(request_)
    assert form.request() == SaliencyRequest(
        n_samples=min(request_.n_samples, 9_999), seed=min(request_.seed, 99_999)
    )


def test_a_form_goes_on_with_the_noise_of_a_session_until_another_patient_is_read(qtbot):
    form = SaliencyForm()
    qtbot.addWidget(form)
    assert form.request().noise_version == 2
    form.set_request(SaliencyRequest(noise_version=1))
    form.set_method("gradcam++")
    assert form.request() == SaliencyRequest(method="gradcam++")
    form.set_request(SaliencyRequest(method="gradcam++"))
    form.set_method("smoothgrad")
    assert form.request() == SaliencyRequest(noise_version=1)
    form.begin_anew()
    assert form.request() == SaliencyRequest()


def test_a_layer_of_another_network_is_left_and_the_default_is_first(qtbot):
    form = SaliencyForm()
    qtbot.addWidget(form)
    form.set_method("gradcam++")
    assert form.layer.currentText() == DEFAULT_LAYER
    form.set_layers(LAYERS, "model.0.conv")
    assert form.layer.currentText() == "default (model.0.conv)"
    form.set_request(SaliencyRequest(method="gradcam++", layer="encoder.7"))
    assert form.request().layer is None
    form.layer.setCurrentText(LAYERS[1])
    assert form.request().layer == LAYERS[1]
    form.set_layers(("decoder",), "decoder")
    assert form.request().layer is None
