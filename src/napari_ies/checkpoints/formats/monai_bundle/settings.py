"""What a MONAI bundle says of its input, windows and output, as fields of a profile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.formats.monai_bundle.chain import WayBack
from napari_ies.checkpoints.formats.monai_bundle.preprocessing import (
    MAKES_NO_DIFFERENCE,
    Preprocessing,
    Settings,
    is_off,
    listed,
    transform,
)
from napari_ies.errors import CheckpointError
from napari_ies.printable import joined, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_ies.checkpoints.formats.monai_bundle.config import Config, Id

_AFTERWARDS = {"Invert", "SaveImage", "Activations", "AsDiscrete", *MAKES_NO_DIFFERENCE}
_LONGEST_NAME = 60


def settings_of(
    config: Config,
    metadata: Mapping[str, Any],
    n_inputs: int,
    n_outputs: int,
    stated: Mapping[str, Any],
) -> Settings:
    """Return what a bundle tells of its input, windows and output.

    Parameters
    ----------
    config, metadata
        Its two configurations.
    n_inputs, n_outputs
        Channels of its network.
    stated
        Fields that a person states: what cannot be told of them is not needed.

    Raises
    ------
    CheckpointError
        In a clause, if it does something to the images that no profile can say.
    """
    found = Settings()
    if "preprocessing" in config:
        Preprocessing(config, found, n_inputs, stated).read()
    _windows(config, found)
    _output(config, found, n_outputs)
    _names(metadata, found, n_inputs, n_outputs)
    return found


def _windows(config: Config, found: Settings) -> None:
    if "inferer" not in config:
        return
    name = config.target(("inferer",)).rpartition(".")[2]
    if name == "SimpleInferer":
        found.guessed["inferer"] = (
            "The bundle runs its network on whole volumes (SimpleInferer): choose the forward "
            "whole-volume for that."
        )
        return
    if name not in ("SlidingWindowInferer", "SlidingWindowInfererAdapt"):
        if not name:
            config.value(("inferer",))  # an expression is refused, or trusted
        raise CheckpointError(
            f"its inferer is {name or 'no component'}{config.line(name)}, where a "
            "SlidingWindowInferer or a SimpleInferer was expected"
        )
    place = ("inferer",)
    size = config.argument(place, "roi_size")
    size = [size] * 3 if isinstance(size, int) else size
    edges = size if isinstance(size, list) else []
    overlap = config.argument(place, "overlap", 0.25)
    overlap = overlap[0] if isinstance(overlap, list) and len(set(overlap)) == 1 else overlap
    mode = config.argument(place, "mode", "constant")
    sigma = config.argument(place, "sigma_scale", 0.125)
    why = ""
    if len(edges) != 3 or not all(type(edge) is int and edge > 0 for edge in edges):
        why = f"roi_size is {size}, expected three sizes in voxels above 0"
    elif type(overlap) not in (int, float) or not 0 <= overlap < 1:
        why = f"overlap is {overlap}, expected one fraction from 0 to below 1"
    elif mode not in ("constant", "gaussian"):
        why = f"mode is {mode!r}, expected constant or gaussian"
    elif mode == "gaussian" and sigma != 0.125:
        why = f"sigma_scale is {sigma}, where it is always 0.125 here"
    elif bool(config.argument(place, "with_coord", False)):
        why = "with_coord is true: the network would be told where each window lies"
    if why:
        raise CheckpointError(f"its inferer's {why}")
    found.told |= {"window": tuple(edges), "overlap": float(overlap), "blending": mode}
    padding = config.argument(place, "padding_mode", "constant")
    if padding != "constant" or config.argument(place, "cval", 0) != 0:
        found.guessed["padding"] = (
            "Where a volume is smaller than the window it is padded with zeros, which the bundle "
            f"does otherwise ({str(padding)[:20]})."
        )


def _output(config: Config, found: Settings, n_outputs: int) -> None:
    if "postprocessing" not in config:
        return
    places = [place for place in listed(config, "postprocessing") if not is_off(config, place)]
    names = [transform(config.target(place)) for place in places]
    if found.chain is not None:
        _way_back(config, places, names, found)
    left_out = []
    for place, name in zip(places, names, strict=True):
        if name == "Activations":
            for activation in ("sigmoid", "softmax"):
                if bool(config.argument(place, activation, False)):
                    found.told["activation"] = activation
        elif name == "AsDiscrete":
            _labels(config, place, found, n_outputs)
        if name not in _AFTERWARDS:
            left_out.append(name or "what an expression makes")
    if found.told.get("activation") == "softmax" and n_outputs == 1:
        raise CheckpointError(
            "its postprocessing takes the softmax of a single output, which is 1 everywhere"
        )
    if left_out:
        found.guessed["postprocessing"] = (
            f"What the bundle does to its labels afterwards is left out ({joined(left_out)}): the "
            "lesions are those of the probability."
        )


def _way_back(config: Config, places: Sequence[Id], names: Sequence[str], found: Settings) -> None:
    """Read whether probabilities are brought to the images' voxels, or what else is."""
    if "Invert" not in names:
        found.guessed["inverse"] = (
            "The bundle leaves its output on the voxels of its network: here probabilities are "
            "brought back to the images' by the inverse of MONAI's transforms, linearly."
        )
        return
    at = names.index("Invert")
    nearest = config.argument(places[at], "nearest_interp", True)
    nearest = nearest[0] if isinstance(nearest, list) and nearest else nearest
    found.back = WayBack("Activations" in names[:at], bool(nearest))
    if "AsDiscrete" in names[:at]:
        found.back = WayBack()
        found.guessed["inverse"] = (
            "The bundle brings its labels back to the images' voxels; here probabilities are, and "
            "are labelled there: at the lesions' borders the two may differ by a voxel."
        )


def _labels(config: Config, place: Id, found: Settings, n_outputs: int) -> None:
    """Read how labels come of the outputs."""
    threshold = config.argument(place, "threshold")
    if bool(config.argument(place, "argmax", False)):
        if n_outputs > 1:
            found.told.setdefault("activation", "softmax")
        found.told["threshold"] = 0.5
        if n_outputs > 2:
            found.guessed["labels"] = (
                "The bundle labels each voxel by its likeliest class; here a voxel is marked where "
                "the explained class has a probability above the threshold."
            )
    elif type(threshold) in (int, float) and 0 < threshold < 1:
        found.told["threshold"] = float(threshold)


def _names(metadata: Mapping[str, Any], found: Settings, n_inputs: int, n_outputs: int) -> None:
    """Take the channels' names."""
    data = metadata.get("network_data_format")
    data = data if isinstance(data, dict) else {}
    for side, entry, number in (("inputs", "image", n_inputs), ("outputs", "pred", n_outputs)):
        several = data.get(side)
        several = several if isinstance(several, dict) else {}
        one = several.get(entry, next(iter(several.values()), None))
        defined = one.get("channel_def") if isinstance(one, dict) else None
        defined = defined if isinstance(defined, dict) else {}
        names = tuple(printable(str(defined.get(str(i), ""))).strip() for i in range(number))
        if len({*names}) == number and all(0 < len(name) <= _LONGEST_NAME for name in names):
            found.told["sequences" if side == "inputs" else "classes"] = names
    if found.told.get("activation") == "sigmoid" and n_outputs > 1:
        found.told["explained_class"] = 0
        found.guessed["explained_class"] = (
            f"Output 0 of {n_outputs}, which do not exclude each other, is explained: the bundle "
            "does not tell which is meant."
        )


def read_metadata(name: str, content: bytes) -> Mapping[str, Any]:
    """Read a bundle's metadata.

    Raises
    ------
    CheckpointError
        If it is no JSON, in a clause.
    """
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not valid JSON ({str(error)[:60]})") from error
    return found if isinstance(found, dict) else {}
