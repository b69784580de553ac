"""What a MONAI bundle does to the images before its network, as fields of a profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.formats.monai_bundle.chain import (
    INTENSITY,
    JOINS,
    SPATIAL,
    Chain,
    Step,
    WayBack,
)
from napari_ies.errors import CheckpointError
from napari_ies.network.trained_grid import is_orientation, is_voxel_size
from napari_ies.patient.normalisation import Range
from napari_ies.printable import joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_ies.checkpoints.formats.monai_bundle.config import Config, Id

MAKES_NO_DIFFERENCE = {
    "LoadImage",
    "EnsureChannelFirst",
    "AddChannel",
    "EnsureType",
    "ToTensor",
    "CastToType",
    "ToDevice",
    "FromMetaTensor",
    "SelectItems",
    "DeleteItems",
}
"""Transforms that are done here anyway, or that change no number."""
_SAID = ("Orientation", "Spacing", "NormalizeIntensity", "ScaleIntensity", "ScaleIntensityRange")
"""Transforms that fields of a profile may say."""


@dataclass
class Settings:
    """Fields of a profile that a bundle tells, and sentences on what it does not."""

    told: dict[str, Any] = field(default_factory=dict)
    guessed: dict[str, str] = field(default_factory=dict)
    chain: Chain | None = None
    """The transforms that MONAI itself has to do, where fields do not say what they do."""
    back: WayBack = field(default_factory=WayBack)
    """How the output comes back from there."""


class _BeyondError(CheckpointError):
    """What is done to the images is MONAI's, and nothing that a profile can say."""


class Preprocessing:
    """The transforms before the network, one after the other."""

    def __init__(
        self, config: Config, found: Settings, n_inputs: int, stated: Mapping[str, Any]
    ) -> None:
        self.config, self.found, self.stated = config, found, stated
        self.alone = n_inputs == 1
        self.scaled = False
        self.keys: list[str] = []
        self.beyond: list[CheckpointError] = []
        self.taken: list[tuple[str, Id]] = []

    def read(self) -> None:
        """Read them all."""
        places = listed(self.config, "preprocessing")
        joins = [self._joined(place) for place in places if self._name(place) == JOINS]
        for place in places:
            name = self._name(place)
            if name == JOINS:
                self.alone, self.keys = False, []
                self.taken.append((name, place))
                continue
            if joins:
                # Each sequence is an image of its own until all are put together.
                self.keys = self.keys or joins[0]
                self.alone = not self._behind(place, places)
            self._take(name, place)
        if joins:
            self.found.told["sequences"] = tuple(joins[0])
        if not self.scaled:
            self.found.told.setdefault("normalisation", "none")
        self._take_over(joins[0] if joins else [])

    def _take_over(self, joined_keys: list[str]) -> None:
        """Have MONAI do what fields do not say, unless a person states fields of their own."""
        moved = [name for name, _ in self.taken if name in SPATIAL and name != "Orientation"]
        if not (moved or self.beyond):
            return
        told = self.found.told | {"resample": "spacing" in self.found.told}
        scaled = [name for name, _ in self.taken if name in INTENSITY]
        if self.beyond and scaled:
            told["normalisation"] = f"MONAI's {joined(dict.fromkeys(scaled))}"
        grid = ("normalisation", "orientation", "spacing", "resample")
        own = [key for key in grid if self.stated.get(key, told.get(key)) != told.get(key)]
        if own:
            if self.beyond and "normalisation" not in self.stated:
                raise self.beyond[0]
            for name in [name for name, _ in self.taken if name not in _SAID]:
                self.found.guessed[name] = (
                    f"The bundle's {name} is left out, as its profile states the {joined(own)}."
                )
            return
        steps = [self._step(name, place) for name, place in self.taken]
        several = self._joined(self.taken[0][1])
        keys = joined_keys or ["image" if "image" in several else several[0]]
        results = [str(step.arguments["name"]) for step in steps if step.name == JOINS]
        self.found.told = told
        self.found.guessed.pop("resampling", None)
        chain = Chain(
            tuple(step for step in steps if self.beyond or step.name not in INTENSITY),
            tuple(keys),
            (results or keys)[-1],
            normalises=bool(self.beyond),
        )
        if chain.spatial and not chain.moved:
            raise self._impossible(
                self.taken[0][1], "beside others that are done before or after the sequences join"
            )
        self.found.chain = chain

    def _step(self, name: str, place: Id) -> Step:
        step = Step(name, {**self.config.arguments(place), "allow_missing_keys": True})
        if why := step.fault():
            raise self._impossible(place, f"which MONAI cannot make ({why})")
        return step

    def _behind(self, place: Id, places: Sequence[Id]) -> bool:
        before = places[: places.index(place)]
        return any(self._name(one) == JOINS for one in before)

    def _joined(self, place: Id) -> list[str]:
        keys = self.config.argument(place, "keys")
        return [str(key) for key in (keys if isinstance(keys, list) else [keys])]

    def _name(self, place: Id) -> str:
        return transform(self.config.target(place))

    def _take(self, name: str, place: Id) -> None:
        if name in MAKES_NO_DIFFERENCE or is_off(self.config, place):
            return
        self.taken.append((name, place))
        read = {
            "Orientation": self._orientation,
            "Spacing": self._spacing,
            "NormalizeIntensity": self._standardised,
            "ScaleIntensity": self._to_unit,
            "ScaleIntensityRange": self._range,
        }.get(name)
        try:
            if name in SPATIAL and name != "Orientation" and self.scaled:
                raise self._beyond(place, "after the intensities were scaled")
            if read is not None:
                read(place)
            elif name in INTENSITY:
                raise self._beyond(place, "which no profile can say")
            elif name not in SPATIAL and "normalisation" not in self.stated:
                raise self._impossible(place, "which no profile can say")
        except _BeyondError as error:
            self.beyond.append(error)

    def _beyond(self, place: Id, why: str) -> CheckpointError:
        return _BeyondError(str(self._impossible(place, why)))

    def _impossible(self, place: Id, why: str) -> CheckpointError:
        target = self.config.target(place)
        if "." in transform(target):
            return CheckpointError(
                f"its preprocessing has {target}{self.config.line(target)}, which is no transform "
                "of MONAI's and is never run, trusted or not: choose a bundle without it, or state "
                "the normalisation in its profile if its network does without it too"
            )
        return CheckpointError(
            f"its preprocessing has {target}{self.config.line(target)}, {why}: state the "
            "normalisation in its profile if the images are to be taken without it"
        )

    def _orientation(self, place: Id) -> None:
        codes = self.config.argument(place, "axcodes")
        if not (isinstance(codes, str) and is_orientation(codes)):
            raise self._impossible(place, "whose axcodes are not such as RAS")
        spacing = self.found.told.get("spacing")
        if spacing and len(set(spacing)) > 1:
            del self.found.told["spacing"]  # along the axes before
            self.beyond.append(self._beyond(place, "after another voxel size along other axes"))
        self.found.told["orientation"] = codes

    def _spacing(self, place: Id) -> None:
        sizes = self.config.argument(place, "pixdim")
        sizes = [sizes] * 3 if isinstance(sizes, int | float) else sizes
        if not (
            isinstance(sizes, list)
            and len(sizes) == 3
            and all(type(size) in (int, float) and is_voxel_size(size) for size in sizes)
        ):
            raise self._impossible(place, "whose pixdim is not three voxel sizes in mm")
        for name in ("diagonal", "recompute_affine"):
            if bool(self.config.argument(place, name, False)):
                raise self._impossible(place, f"with {name}, which turns the axes")
        x, y, z = (float(size) for size in sizes)
        self.found.told |= {"spacing": (x, y, z), "resample": True}
        self.found.guessed["resampling"] = (
            "Images of other voxels are resampled about their centre and logits are brought back, "
            "where the bundle resamples from the first voxel and brings probabilities back: there "
            "the two may differ by what half a voxel makes."
        )

    def _standardised(self, place: Id) -> None:
        for name in ("subtrahend", "divisor"):
            if self.config.argument(place, name) is not None:
                raise self._beyond(place, f"with a {name} of its own")
        nonzero = bool(self.config.argument(place, "nonzero", False))
        self._scale(place, "zscore-nonzero" if nonzero else "zscore", by_channel=True)

    def _to_unit(self, place: Id) -> None:
        ends = [self.config.argument(place, name, end) for name, end in (("minv", 0), ("maxv", 1))]
        if ends != [0, 1] or self.config.argument(place, "factor") is not None:
            raise self._beyond(place, "to other numbers than 0 to 1")
        self._scale(place, "minmax", by_channel=True)

    def _range(self, place: Id) -> None:
        names = ("a_min", "a_max", "b_min", "b_max")
        low, high, first, last = (self.config.argument(place, name) for name in names)
        clipped = bool(self.config.argument(place, "clip", False))
        known = all(type(end) in (int, float) for end in (low, high, first, last))
        made = str(Range(low, high, first, last, clipped)) if known else ""
        if Range.read(made) is None:
            raise self._beyond(place, f"whose {', '.join(names)} are no range")
        self._scale(place, made, by_channel=False)

    def _scale(self, place: Id, method: str, *, by_channel: bool) -> None:
        own = self.alone or bool(self.config.argument(place, "channel_wise", False))
        if by_channel and not own:
            raise self._beyond(place, "over all sequences together (channel_wise is not true)")
        if self.keys:
            keys = self.config.argument(place, "keys")
            if self.alone and not set(self.keys) <= set(keys if isinstance(keys, list) else [keys]):
                raise self._beyond(place, "of some of the sequences only")
        before = self.found.told.get("normalisation", "none")
        # The z-score over all voxels undoes any linear change.
        linear = before in ("zscore", "minmax") or (
            before.startswith("range") and "clipped" not in before
        )
        if self.scaled and not (method == "zscore" and linear):
            raise self._beyond(place, "after the intensities were scaled already")
        self.scaled = True
        self.found.told["normalisation"] = method


def listed(config: Config, part: str) -> list[Id]:
    """Return where each transform of a part stands."""
    place = config.followed((part,))
    found = config.raw(place)
    if isinstance(found, str):
        config.value(place)  # an expression is refused, or trusted
        raise CheckpointError(
            f"its {part} is made by an expression{config.line(found)}, whose transforms cannot be "
            "told apart"
        )
    if isinstance(found, dict) and config.target(place):
        if transform(config.target(place)) != "Compose":
            return [place]
        place = config.followed((*place, "transforms"))
        found = config.raw(place)
    if isinstance(found, str):
        config.value(place)
    if not isinstance(found, list):
        raise CheckpointError(f"its {part} holds no list of transforms")
    return [config.followed((*place, number)) for number in range(len(found))]


def is_off(config: Config, place: Id) -> bool:
    """Whether a transform is switched off (`_disabled_`)."""
    found = config.value((*place, "_disabled_"), False)
    return found is True or (isinstance(found, str) and found.lower() == "true")


def transform(target: str) -> str:
    """Return the name of a transform of MONAI without what says that it takes a dictionary."""
    module, _, name = target.rpartition(".")
    if module and not f"{module}.".startswith("monai."):
        return target
    for ending in ("Dict", "D", "d"):
        # "Compose" and "Spacing" end in none of them.
        if name.endswith(ending) and len(name) > len(ending):
            return name.removesuffix(ending)
    return name
