"""Geometry: which way, and at which voxel size, the loaded network sees the images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from superqt.utils import signals_blocked

from napari_ies.errors import NapariIESError
from napari_ies.network.trained_grid import AS_STORED, has_own_grid
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.state.reading import model_key

if TYPE_CHECKING:
    from napari_ies.network.profile import Profile
    from napari_ies.viewer.preparing.geometry.geometry_form import GeometryForm
    from napari_ies.viewer.state.loaded import LoadedModel
    from napari_ies.viewer.state.state import State
    from napari_ies.viewer.state.tell import Tell


class Geometry:
    """Turns and scales the images for the loaded network, as its form asks for.

    Parameters
    ----------
    form
        What a person chooses.
    state, tell
        Whose network it is, and where it is said what that is for.
    """

    def __init__(self, form: GeometryForm, state: State, tell: Tell) -> None:
        self.form, self._state, self._tell = form, state, tell
        self.turned: Event[[LoadedModel]] = Event()
        """The loaded network was turned or scaled otherwise."""
        # As its checkpoint's profile says.
        self._loaded: LoadedModel | None = None
        form.changed.connect(self._on_changed)
        form.refused.connect(tell.say)
        form.kept.connect(tell.say)

    def take(self, loaded: LoadedModel) -> None:
        """Turn and scale a network that was just loaded as the form asks for.

        For another network than the one before, or another profile of it, the form begins with
        what the profile says.
        """
        before, self._loaded = self._loaded, loaded
        if before is None or _own(before) != _own(loaded):
            self.form.set_profile(loaded.model.profile, own=has_own_grid(loaded.model))
        else:
            self._turn()

    def restore(self, profile: Profile) -> None:
        """Turn and scale the images for the loaded network as a saved profile says."""
        if self._loaded is None:
            return
        own = self._loaded.model.profile
        same = profile.orientation == own.orientation
        orientation = None if same else profile.orientation or AS_STORED
        size, own_size = _voxels(profile), _voxels(own)
        spacing = None if size == own_size else size or AS_STORED
        # Nobody chose it now, so that there is nothing to say about it.
        with signals_blocked(self.form):
            self.form.choose(orientation, spacing)
        self._turn()

    def _on_changed(self) -> None:
        """Turn and scale the images otherwise from now on, and say what that is for."""
        before, turned = self._state.model, self._turn()
        if before is None:
            self._tell.say("A checkpoint sets orientation and voxels anew when it is loaded.")
        elif turned is not None:
            old, new, shown = before.model.profile, turned.model.profile, self._state.reading
            if shown is not None and model_key(shown.model) != model_key(before.model):
                shown = None
            said = geometry_said(old, new, None if shown is None else shown.model.profile)
            self._tell.say(said)

    def _turn(self) -> LoadedModel | None:
        """Turn and scale the loaded network as asked; return it, or None where it cannot be."""
        from napari_ies.checkpoints import with_geometry

        if self._loaded is None or self._state.model is None:
            return None
        try:
            model = with_geometry(self._loaded.model, self.form.orientation, self.form.spacing)
        except NapariIESError as error:
            self._tell.say(str(error))
            return None
        self._state.model = replace(self._loaded, model=model)
        self.turned.emit(self._state.model)
        return self._state.model


def geometry_said(old: Profile, new: Profile, shown: Profile | None) -> str:
    """Say which orientation or voxel size was taken, and whether the result on screen has it.

    Parameters
    ----------
    old, new
        What the form asked for before, and asks for now.
    shown
        What the result on screen was segmented with, or None where the loaded network has none.
    """
    fields = (
        ("Orientation", "counts", [one.orientation for one in (old, new)], "orientation"),
        ("Voxels", "count", [_size(one) for one in (old, new)], "voxels"),
    )
    had = {} if shown is None else {"orientation": shown.orientation, "voxels": _size(shown)}
    told = []
    for name, counts, (before, now), field in fields:
        if before == now:
            continue
        what, there = f"{name} {now or AS_STORED}", had.get(field)
        if shown is None:
            told.append(f"{what} {counts} when you segment.")
        elif now == there:
            told.append(f"{what}, as in the result on screen.")
        else:
            told.append(
                f"{what} {counts} when you segment again; the result on screen is "
                f"{there or AS_STORED}."
            )
    return " ".join(told) or "Orientation and voxels are as before."


def _own(loaded: LoadedModel) -> object:
    """Return a network, and what its profile says of the images it was trained on."""
    profile = loaded.model.profile
    return model_key(loaded.model), profile.orientation, _voxels(profile)


def _voxels(profile: Profile) -> tuple[float, float, float] | None:
    """Return the voxel size that a network is run at, or None for the stored one."""
    return profile.spacing if profile.resample else None


def _size(profile: Profile) -> str | None:
    size = _voxels(profile)
    return None if size is None else f"{' × '.join(f'{part:g}' for part in size)} mm"
