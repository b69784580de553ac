"""What is said while a network that would run its file waits for a person's word."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox
from torch import nn

from napari_ies.viewer.preparing.checkpoint_form import CheckpointForm
from napari_ies.viewer.preparing.network_loading import NetworkLoading
from napari_ies.viewer.work import loading
from napari_ies.viewer.work.tasks import once

SESSION = "Reopened the session of 2026-11-27 09:54: 2 lesions, 1 map, 0 notes."


@pytest.fixture
def form(twin, qtbot, monkeypatch):
    """The checkpoint's form, where all that is chosen has to be trusted."""
    form = CheckpointForm()
    qtbot.addWidget(form)
    services = SimpleNamespace(state=twin.state, work=twin.work, tell=twin.tell)
    form.loads = NetworkLoading(services, form, form.show_worked)

    def load(path, device, trust=False, profiles=None):
        twin.trusted = trust
        return once("Loading", lambda: loading.Untrusted(path, "it is a program"))

    monkeypatch.setattr(loading, "load_model", load)
    twin.state.checkpoint_wanted.connect(lambda path, _: form.choose(path))
    return form


def reopened(twin):
    """Show the patient as a session does whose network is not loaded."""
    network = nn.Identity()
    network.absent = "The network that found these lesions is not loaded."
    twin.state.reading.model = replace(twin.state.reading.model, network=network)
    twin.tell.say(SESSION)


def reply(qtbot, form, word):
    (box,) = [box for box in form.findChildren(QMessageBox) if box.isVisible()]
    (button,) = [one for one in box.buttons() if one.text().replace("&", "") == word]
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize("word", ["Not now", "Trust and load"])
def test_what_was_said_of_a_session_stays_while_its_program_is_asked_about(word, twin, form, qtbot):
    reopened(twin)
    twin.state.checkpoint_wanted.emit("/there/program.ts", "")
    twin.tell.say("Loading program.ts…")  # as the status line says by itself
    twin.work.wait()
    waits = f"{SESSION} program.ts is not loaded yet: it runs only if you trust it."
    assert (twin.tell.text, twin.trusted) == (waits, False)

    reply(qtbot, form, word)
    twin.work.wait()

    refused = f"{SESSION} program.ts was not loaded: it is not trusted."
    expected = (refused, False) if word == "Not now" else (waits, True)
    assert (twin.tell.text, twin.trusted) == expected


def test_of_what_was_said_before_another_checkpoint_nothing_is_said_again(twin, form, qtbot):
    twin.tell.say("2 lesions found.")
    form.choose("/there/program.ts")
    twin.work.wait()
    assert twin.tell.text == "program.ts is not loaded yet: it runs only if you trust it."
    reply(qtbot, form, "Not now")
    assert twin.tell.text == "program.ts was not loaded: it is not trusted."
    # A session's own sentence is for the checkpoint that it names, not for one chosen later.
    reopened(twin)
    form.choose("/there/other.ts")
    twin.work.wait()
    assert twin.tell.text == "other.ts is not loaded yet: it runs only if you trust it."
