"""The profile of the loaded network as a form: what is assumed is asked, with what fits as well."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QFormLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QWidget,
)

from napari_ies.checkpoints.profile_file import checked
from napari_ies.errors import CheckpointError
from napari_ies.network.profile import Guess, Profile
from napari_ies.parameters import parameters_of
from napari_ies.patient.normalisation import METHODS, is_method
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.controls import button, column, combo, row, tick_box, words
from napari_ies.viewer.panel.parameter_form import ParameterForm
from napari_ies.viewer.profiles.choices import CALLED, FOLDS, choices_of
from napari_ies.viewer.profiles.plain_values import in_words, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_ies.network.model import SegmentationModel

ASSUMED = "assumed"
_ASKED = (
    *("sequences", "classes", "explained_class", "activation", "normalisation"),
    *("brain_extracted", "orientation", "spacing", "resample", "window", "overlap"),
    *("threshold", "smallest_lesion"),
)
"""Fields of a profile, in the order of the form."""
OWN = (
    "The rest is the network's own, from its plans or its bundle, and done as its tool does it: it "
    "cannot be stated here."
)


class ProfileDialog(QDialog):
    """Asks what is known of a network; it loads and writes nothing.

    Only what a person changed is stated, unless all of it is said to be right: what was assumed
    and left alone stays an assumption.
    """

    stated = Signal(dict, bool)
    """Fields of a profile file, and whether they are kept in the folder of profiles."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Profile of the network")
        self._values: dict[str, Callable[[], Any]] = {}
        self._before: dict[str, Any] = {}
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        about = "All that is shown is right: nothing of it is an assumption any more."
        self._all = tick_box("All of it is right", "profile_all", about)
        about = "Keep it where you may write, found by the checkpoint's SHA-256 wherever it lies."
        self._mine = tick_box("Keep in my folder of profiles", "profile_mine", about)
        self._words = words("profile_words", "What is not possible, and why.")
        about = "Load the checkpoint anew with this profile, and keep it in a file."
        use = button("Load with this profile", "profile_use", about, self._on_use)
        close = button("Close", "profile_close", "Change nothing.", self.reject)
        layout = column(self, (self._scroll, 1), self._all, self._mine, self._words)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(row((None, 1), close, use))
        self.resize(640, 680)

    def show_model(self, model: SegmentationModel, kept: str) -> None:
        """Ask about a network whose profile lies in the file `kept`, if not empty.

        What another tool does itself is said in words: it cannot be stated.
        """
        profile, tool = model.profile, model.preparation
        own = {} if tool is None else tool.own
        guesses = [one for one in profile.guessed if isinstance(one, Guess)]
        self._assumed = {guess.field: guess for guess in guesses}
        self._values, page = {}, QWidget()
        self._form = QFormLayout(page)
        left_out = {*own, *(("resample",) if "spacing" in own else ())}
        if not is_method(profile.normalisation):
            left_out.add("normalisation")  # another tool's own is not to be stated
        methods = dict.fromkeys((*METHODS, profile.normalisation))
        self._controls = ParameterForm(  # magicgui's widgets go with what made them
            Profile,
            *(name for name in _ASKED if name not in left_out),
            prefix="profile_",
            choices={
                "explained_class": dict(enumerate(profile.classes)),
                **(
                    {}
                    if "normalisation" in left_out
                    else {"normalisation": {one: one for one in methods}}
                ),
            },
        )
        self._controls.show(profile)
        for name, about in self._controls.about.items():
            control = self._controls[name]
            if guess := self._assumed.get(name):
                describe(control, f"{guess}\n{about.help}")
            label = "" if about.kind is bool else about.label
            if not label and guess:
                control.setText(f"{about.label} ({ASSUMED})")
            self._add(name, label, control, partial(self._controls.value, name))
        choices = choices_of(model, self._assumed)
        for argument, choice in choices.items():
            self._add(f"arguments.{argument}", CALLED[argument], choice, choice.value)
        for guess in guesses:
            chosen = guess.field.partition(".")[2] in choices
            if not chosen and (guess.field.startswith("arguments.") or guess.field == "weights"):
                self._ask(guess)
        self._say_own(own)
        for edit in page.findChildren(QLineEdit):
            edit.setCursorPosition(0)  # of a long list its beginning is seen
        self._scroll.setWidget(page)
        self._before = {name: value() for name, value in self._values.items()}
        self._all.setChecked(False)
        self._mine.setChecked(False)
        allow(self._mine, f"It lies in {kept} already, which is replaced." if kept else "")
        self._words.setText("")

    def say(self, text: str) -> None:
        """Say what happened."""
        self._words.setText(text)

    def fields(self) -> dict[str, Any]:
        """Return what is stated, as a profile file says it.

        Raises
        ------
        CheckpointError
            If a field cannot be that.
        """
        found: dict[str, Any] = {}
        for name, value in self._values.items():
            now = value()
            if now == self._before[name] and not self._all.isChecked():
                continue
            outer, _, inner = name.partition(".")
            if inner == FOLDS and not now:
                raise CheckpointError("No fold is ticked: tick at least one of them.")
            if inner:
                found.setdefault(outer, {})[inner] = now
            else:
                found[name] = now
        return checked(json.loads(json.dumps(found)), "The profile")

    def _on_use(self) -> None:
        try:
            fields = self.fields()
        except CheckpointError as error:
            self.say(str(error))
            return
        if not fields:
            self.say("Nothing is changed; change something, or say that all of it is right.")
            return
        self.say("Loading…")
        self.stated.emit(fields, self._mine.isChecked())

    def _ask(self, guess: Guess) -> None:
        """Offer the values that the file fits as well in words; any other one can be typed."""
        offered = {in_words(one): one for one in guess.candidates or (guess.assumed,)}
        box = combo(f"profile_{guess.field}", str(guess), [*offered])
        box.setEditable(True)
        box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        _, _, argument = guess.field.partition(".")
        label = f"Argument {argument}" if argument else "Network in the file"
        self._add(guess.field, label, box, lambda: value_of(box.currentText(), offered))

    def _say_own(self, own: Mapping[str, str]) -> None:
        """Say what another tool does itself, and that no profile changes it."""
        if own:
            told = words("profile_own")
            told.setText(OWN)
            self._form.addRow(told)
        for name, said in own.items():
            about = parameters_of(Profile)[name]
            shown = words(f"profile_{name}", about.help, selectable=True)
            shown.setText(said)
            self._form.addRow(QLabel(about.label.partition(" (")[0]), shown)

    def _add(self, name: str, label: str, control: Any, value: Callable[[], Any]) -> None:
        self._values[name] = value
        said = QLabel(f"{label} ({ASSUMED})" if label and name in self._assumed else label)
        self._form.addRow(said, control)
