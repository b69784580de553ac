"""The profile of the loaded network as a form: what is assumed is asked, with what fits as well."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDialog, QFormLayout, QLabel, QLineEdit, QScrollArea, QWidget

from napari_ies.checkpoints.profile_file import ProfileFile, checked
from napari_ies.errors import CheckpointError
from napari_ies.network.profile import Guess, Profile, questions
from napari_ies.patient.normalisation import METHODS, is_method
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.controls import button, column, combo, row, tick_box, words
from napari_ies.viewer.panel.parameter_form import ParameterForm

if TYPE_CHECKING:
    from collections.abc import Callable

ASSUMED = "assumed"
_TEXTS = {
    "sequences": "Sequences",
    "classes": "Classes",
    "window": "Window (voxels)",
    "overlap": "Overlap",
    "orientation": "Orientation",
    "spacing": "Voxels (mm)",
}
"""Fields that are typed; lists with commas or spaces between their parts."""
_NAMES, _NUMBERS = ("sequences", "classes"), ("window", "overlap", "spacing")
_TICKS = {
    "resample": "Run at that voxel size",
    "brain_extracted": "Trained on brains without skull",
}


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
        self.resize(560, 620)

    def show_profile(self, profile: Profile, kept: str) -> None:
        """Ask about a network whose profile lies in the file `kept`, if not empty."""
        guesses = [one for one in profile.guessed if isinstance(one, Guess)]
        self._assumed = {guess.field: guess for guess in guesses}
        self._values, page = {}, QWidget()
        self._form = QFormLayout(page)
        for name, label in _TEXTS.items():
            self._type(name, label, _typed(getattr(profile, name)))
        choices = list(profile.classes)
        self._choose("explained_class", "Class to find", profile.explained_class, choices)
        self._choose("activation", "Outputs", profile.activation, ["softmax", "sigmoid"])
        if is_method(profile.normalisation):  # another tool's own is not to be stated
            methods = list(dict.fromkeys((*METHODS, profile.normalisation)))
            self._choose("normalisation", "Normalisation", profile.normalisation, methods)
        for name, label in _TICKS.items():
            title = f"{label} ({ASSUMED})" if name in self._assumed else label
            box = tick_box(title, f"profile_{name}", self._about(name), getattr(profile, name))
            self._add(name, "", box, box.isChecked)
        numbers = ParameterForm(Profile, "threshold", "smallest_lesion", prefix="profile_")
        numbers.show(profile)
        for name, about in numbers.about.items():
            self._add(name, about.label, numbers[name], partial(numbers.value, name))
        for guess in questions(profile.guessed):
            if guess.field.startswith("arguments."):
                self._ask(guess)
        self._scroll.setWidget(page)
        self._numbers = numbers  # magicgui's widgets go with what made them
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
            if inner:
                found.setdefault(outer, {})[inner] = now
            else:
                found[name] = _read(name, now)
        return checked(found, "The profile")

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

    def _type(self, name: str, label: str, text: str) -> None:
        edit = QLineEdit(text)
        edit.setPlaceholderText("not known")
        describe(edit, self._about(name), f"profile_{name}")
        self._add(name, label, edit, lambda: edit.text().strip())

    def _choose(self, name: str, label: str, value: Any, entries: list[str]) -> None:
        """Offer entries, of which an index counts by its place and a text by itself."""
        box = combo(f"profile_{name}", self._about(name), entries)
        if isinstance(value, int):
            box.setCurrentIndex(value)
            self._add(name, label, box, box.currentIndex)
        else:
            box.setCurrentText(value)
            self._add(name, label, box, box.currentText)

    def _ask(self, guess: Guess) -> None:
        """Offer the values of an argument that the file fits as well."""
        texts = [json.dumps(one) for one in guess.candidates]
        box = combo(f"profile_{guess.field}", str(guess), texts)
        label = guess.field.removeprefix("arguments.")
        self._add(guess.field, label, box, lambda: json.loads(box.currentText()))

    def _about(self, name: str) -> str:
        expected = ProfileFile.model_fields[name].description or ""
        return f"{self._assumed.get(name, '')}\n{expected[:1].upper()}{expected[1:]}.".strip()

    def _add(self, name: str, label: str, control: Any, value: Callable[[], Any]) -> None:
        self._values[name] = value
        said = QLabel(f"{label} ({ASSUMED})" if label and name in self._assumed else label)
        self._form.addRow(said, control)


def _typed(value: Any) -> str:
    """Show a value as it is typed."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        joint = ", " if value and isinstance(value[0], str) else " "
        return joint.join(one if isinstance(one, str) else f"{one:g}" for one in value)
    return value if isinstance(value, str) else f"{value:g}"


def _read(name: str, value: Any) -> Any:
    """Return what is typed as a profile file says it; what is no number is refused later."""
    if name in _NAMES:
        return [part.strip() for part in value.split(",")]
    if name in _NUMBERS:
        try:
            parts = [json.loads(part) for part in value.replace("×", " ").split()]
        except ValueError:
            return value
        if name == "overlap":
            return parts[0] if len(parts) == 1 else value
        return parts or (None if name == "spacing" else value)
    return value or None if name == "orientation" else value
