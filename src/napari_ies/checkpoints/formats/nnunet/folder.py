"""The files of an nnU-Net results folder, read as data."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_ies.errors import CheckpointError
from napari_ies.printable import joined, printable
from napari_ies.regular_files import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PLANS, DATASET = "plans.json", "dataset.json"
USUAL = "checkpoint_final.pth"
LARGEST = 64 << 20
"""Bytes of a plans file: its statistics of the training images are some kilobytes."""
_FOLD = re.compile(r"fold_(\d+|all)")


@dataclass(frozen=True)
class Folder:
    """What a person chose: a results folder, one of its folds, or a checkpoint in one.

    Parameters
    ----------
    top
        The results folder, which holds the plans.
    fold
        Name of the fold that was chosen, such as ``"0"``, or None for all.
    checkpoint
        Name of the file that was chosen, or None.
    """

    top: Path
    fold: str | None = None
    checkpoint: str | None = None

    def folds(self, checkpoint: str) -> dict[str, Path]:
        """Return the checkpoint of each fold that has it, by fold; ``all`` last."""
        found = {
            match.group(1): place / checkpoint
            for place in sorted(self.top.glob("fold_*"))
            if (match := _FOLD.fullmatch(place.name)) and (place / checkpoint).is_file()
        }
        return {name: found[name] for name in sorted(found, key=lambda n: (n == "all", len(n), n))}

    def folds_without(self, checkpoint: str) -> list[str]:
        """Return the names of the folds' folders that do not hold it."""
        there = self.folds(checkpoint)
        matches = (_FOLD.fullmatch(place.name) for place in sorted(self.top.glob("fold_*")))
        return [match.group() for match in matches if match and match.group(1) not in there]

    def files(self) -> dict[str, Path]:
        """Return plans, dataset and the folds' usual checkpoints, by their names in the folder."""
        chosen = [(n, one) for n, one in self.folds(USUAL).items() if self.fold in (None, n)]
        return {
            PLANS: self.top / PLANS,
            DATASET: self.top / DATASET,
            **{f"fold_{fold}/{USUAL}": file for fold, file in chosen},
        }


def folder_of(path: Path) -> Folder | None:
    """Return the results folder that a path lies in or is; None if it is in none.

    Whether it is one is told by its folds, or by what its plans say.
    """
    path = path.absolute()
    for up, place in enumerate((path, *list(path.parents)[:2])):
        if up == 0 and path.is_file():
            continue
        if _is_results(place, path):
            parts = path.relative_to(place).parts
            match = _FOLD.fullmatch(parts[0]) if parts else None
            if parts and not match:
                return None
            fold = match.group(1) if match else None
            return Folder(place, fold, parts[1] if len(parts) == 2 else None)
    return None


def _is_results(place: Path, chosen: Path) -> bool:
    """Whether a folder is what a training leaves, or what is left of that where files are lost."""
    plans, dataset = ((place / name).is_file() for name in (PLANS, DATASET))
    if not place.is_dir() or not (plans or dataset or chosen.is_dir()):
        return False
    folds = any(_FOLD.fullmatch(fold.parent.name) for fold in place.glob("fold_*/checkpoint_*.pth"))
    if not plans or not dataset:
        return folds
    return folds or _is_plans(place / PLANS)


def read_object(path: Path, fields: Sequence[str], objects: Sequence[str] = ()) -> dict[str, Any]:
    """Read a JSON object that has some fields, of which some are objects themselves.

    Raises
    ------
    CheckpointError
        If it is none.
    """
    again = "copy the results folder of nnU-Net v2 again"
    if not path.exists():
        raise CheckpointError(
            f"{path.parent.name} has no {path.name}, which nnU-Net v2 writes beside its folds: "
            f"{again}."
        )
    try:
        content = json.loads(read_text(path, LARGEST))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no JSON in UTF-8"
        if path.is_file() and not path.stat().st_size:
            reason = "it is empty"
        raise CheckpointError(f"{path.name} cannot be read ({reason}): {again}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path.name} holds {_kind(content)}, expected an object of names and values: {again}."
        )
    if lacking := [name for name in fields if name not in content]:
        raise CheckpointError(
            f"{path.name} lacks {joined(lacking)}, which nnU-Net v2 writes: choose the results "
            "folder of nnU-Net v2, or copy it again; another version's is not taken."
        )
    for name in objects:
        if not isinstance(content[name], dict):
            raise CheckpointError(
                f"{path.name} says that {name} is {_kind(content[name])}, where nnU-Net v2 writes "
                f"an object of names and values: {again}."
            )
    return content


def _kind(value: Any) -> str:
    kinds = {list: "a list", str: "a text", bool: "true or false", dict: "an object"}
    return "nothing" if value is None else kinds.get(type(value), "a number")


def _is_plans(path: Path) -> bool:
    try:
        content = json.loads(read_text(path, LARGEST))
    except (OSError, ValueError, RecursionError):
        return True  # a damaged one, which loading says
    if not isinstance(content, dict):
        return True
    return bool({"configurations", "plans_name", "dataset_name"} & content.keys())


def chosen_folds(folder: Folder, checkpoint: str, wanted: object) -> Mapping[str, Path]:
    """Return the checkpoints of the folds that are averaged, by fold.

    Parameters
    ----------
    folder
        What a person chose.
    checkpoint
        Name of the file in each.
    wanted
        Folds that are stated, such as ``(0, 1)`` or ``"all"``; None for those that nnU-Net takes
        itself: all but the one trained on all cases, unless it is the only one.

    Raises
    ------
    CheckpointError
        If one is not there.
    """
    there = folder.folds(checkpoint)
    if not there:
        raise CheckpointError(
            f"{folder.top.name} has no fold with {checkpoint}, expected fold_0/{checkpoint} or "
            "another one: copy the folds too, or state the name of their checkpoint."
        )
    if wanted is None:
        names = [folder.fold] if folder.fold else [n for n in there if n != "all"] or ["all"]
    else:
        given = wanted if isinstance(wanted, list | tuple) else [wanted]
        names = [str(name).removeprefix("fold_").strip() for name in given]
    if folder.fold and names != [folder.fold]:
        raise CheckpointError(
            f"fold_{folder.fold} was chosen, and fold {', '.join(names) or 'none'} asked for: "
            f"choose {folder.top.name}, of which folds are asked for, or leave them out."
        )
    if not any(names):
        raise CheckpointError(
            f"No fold of {folder.top.name} is asked for: choose among {', '.join(there)}, or leave "
            "the folds out for those that nnU-Net takes."
        )
    if wrong := [name for name in names if not _FOLD.fullmatch(f"fold_{name}")]:
        raise CheckpointError(
            f"{printable(repr(wrong[0]))} is no fold, expected a number such as 0, or all: choose "
            f"among {', '.join(there)}."
        )
    if absent := [name for name in names if name not in there]:
        raise CheckpointError(
            f"{folder.top.name} has no fold {', '.join(absent)} with {checkpoint}: choose among "
            f"{', '.join(there)}."
        )
    return {name: there[name] for name in dict.fromkeys(names)}
