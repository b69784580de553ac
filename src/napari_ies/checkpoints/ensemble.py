"""Several checkpoints as one model: a JSON file that lists them.

``{"ensemble": ["a.pth", "b.pth"], "average": "probability"}``

The profile beside such a file holds for each of its members, over what theirs say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.formats.format import Loaded
from napari_ies.checkpoints.known import said_of_one
from napari_ies.errors import CheckpointError
from napari_ies.printable import joined, printable
from napari_ies.regular_files import file_sha256, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

AVERAGES = ("probability", "logit")
"""What several networks are averaged by: what is explained is their mean logit either way."""
FORMAT = "ensemble"
"""What such a file is called in results."""
LARGEST = 1 << 20
"""Bytes of such a file."""
MOST_MEMBERS = 64
_OF_THE_FILE = ("name", "architecture", "arguments", "weights")
_OF_WEIGHTS = ("divisor", "fixed_size")
"""Fields of a profile that nobody states."""
_OWN = ("name", "architecture", "arguments", "weights", "guessed")
"""Fields of a profile in which members may differ."""


@dataclass(frozen=True)
class Ensemble:
    """What such a file says."""

    members: tuple[Path, ...]
    average: str
    """``"probability"``: of each member's logits, as most tools do; or ``"logit"``."""


def read_ensemble(path: Path) -> Ensemble | None:
    """Read such a file; return None if it is another.

    Raises
    ------
    CheckpointError
        If it lists no checkpoints, or says more than it may.
    """
    content = _content(path)
    if content is None:
        return None
    names, average = content["ensemble"], content.get("average", AVERAGES[0])
    listed = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
    if not listed or not 2 <= len(names) <= MOST_MEMBERS or len(set(names)) < len(names):
        raise CheckpointError(
            f"{path.name} {_lists(names)}: expected 2 to {MOST_MEMBERS} different checkpoints, "
            'such as {"ensemble": ["a.pth", "b.pth"]}.'
        )
    if average not in AVERAGES:
        raise CheckpointError(
            f'"average" in {path.name} is {printable(str(average)[:100])!r}: expected '
            f"{' or '.join(AVERAGES)}."
        )
    if more := content.keys() - {"ensemble", "average"}:
        raise CheckpointError(
            f"{path.name} says more than an ensemble may "
            f'({printable(joined(sorted(more)))[:100]}): expected "ensemble" and "average" alone.'
        )
    members = tuple(path.parent / name for name in names)
    nested = [one.name for one in members if _content(one) is not None]
    if nested:
        raise CheckpointError(
            f"{path.name} lists itself or another ensemble ({joined(nested)}): list the "
            "checkpoints themselves."
        )
    return Ensemble(members, average)


def _lists(names: Any) -> str:
    """Say what it lists that is no ensemble."""
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        return "lists no checkpoints by their names"
    if len(names) < 2:
        return "lists one checkpoint alone" if names else "lists no checkpoint"
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return f"lists {printable(twice[:100])} twice"
    return f"lists {len(names)} checkpoints"


def is_ensemble(path: Path) -> bool:
    """Whether a file says that it lists several checkpoints, rightly or not."""
    return _content(path) is not None


def _content(path: Path) -> dict[str, Any] | None:
    """Return what a file says that lists an ensemble; None for any other."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        content = json.loads(read_text(path, LARGEST))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and "ensemble" in content else None


def of_members(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stated of an ensemble as it is stated of each member.

    Which members there are and how they are averaged is said by the ensemble's own file.
    """
    fields = {key: value for key, value in stated.items() if key not in _OF_THE_FILE}
    arguments = dict(stated.get("arguments", {}))
    for name in ("members", "average"):
        arguments.pop(name, None)
    return fields | ({"arguments": arguments} if arguments else {})


def together(path: Path, ensemble: Ensemble, loaded: Sequence[Loaded], name: str) -> Loaded:
    """Make one model of an ensemble's members, under that name.

    Raises
    ------
    CheckpointError
        If they do not take the same input, give the same classes and are read alike.
    """
    from napari_ies.network.members import Members  # PyTorch comes with it

    first = loaded[0].profile
    for file, one in zip(ensemble.members, loaded, strict=True):
        blends = one.preparation is not None and one.preparation.blend is not None
        if blends or isinstance(one.network, Members):
            raise CheckpointError(
                f"{file.name} of {path.name} is an ensemble itself, or folds of an nnU-Net: choose "
                "the folder of the nnU-Net instead of a list (--folds, or Profile…, names folds)."
            )
        if one.preparation != loaded[0].preparation:
            raise CheckpointError(
                f"{file.name} of {path.name} has other transforms around its network than "
                f"{ensemble.members[0].name}: choose members that see the images alike."
            )
        names = [field.name for field in fields(first) if field.name not in _OWN]
        wrong = [name for name in names if getattr(one.profile, name) != getattr(first, name)]
        if own := [name for name in wrong if name in _OF_WEIGHTS]:
            raise CheckpointError(
                f"{file.name} of {path.name} differs from {ensemble.members[0].name} in "
                f"{joined(own)}, which follows from the weights: choose members of one "
                "architecture."
            )
        if wrong:
            raise CheckpointError(
                f"{file.name} of {path.name} differs from {ensemble.members[0].name} in "
                f"{joined(wrong)}: state the same in the profiles beside both."
            )
    members: list[Any] = [
        {"file": file.name, "sha256": one.sha256}
        for file, one in zip(ensemble.members, loaded, strict=True)
    ]
    profile = replace(
        first,
        name=name,
        arguments={"members": members, "average": ensemble.average},
        guessed=tuple(_guessed(ensemble, loaded)),
    )
    network = Members([one.network for one in loaded], average=ensemble.average)
    return Loaded(network, profile, file_sha256(path), loaded[0].keys, loaded[0].preparation)


def _guessed(ensemble: Ensemble, loaded: Sequence[Loaded]) -> Iterator[str]:
    """Give what was guessed of all members; what differs is to be stated beside each."""
    every = [one.profile.guessed for one in loaded]
    whole = said_of_one(len(loaded)) if ensemble.average == AVERAGES[0] else ()
    for text in dict.fromkeys(text for guessed in every for text in guessed):
        if text in whole:
            continue
        of = [file.name for file, own in zip(ensemble.members, every, strict=True) if text in own]
        yield text if len(of) == len(every) else f"{joined(of)}: {text}"
