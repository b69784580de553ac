"""Where a checkpoint's profile lies, which has the last word, and how it gets there.

That is ``NAME.profile.json`` beside the checkpoint; else the file in a person's own folder of
profiles whose name ends in the checkpoint's SHA-256, for checkpoints in places where nobody may
write, whatever they are called there.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_config_dir

from napari_ies.checkpoints.profile_file import FIELDS, read_profile
from napari_ies.errors import CheckpointError
from napari_ies.network.profile import Guess
from napari_ies.patient.normalisation import is_method

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_ies.network.model import SegmentationModel
    from napari_ies.network.profile import Profile

FOLDER_VARIABLE = "NAPARI_IES_PROFILES"
"""Environment variable: the folder of profiles, in place of one of the person's own folders."""

_ENDING = ".profile.json"
_SHA256_LENGTH = 64


def profile_path(checkpoint: str | Path) -> Path:
    """Return where a checkpoint's profile lies: ``NAME.profile.json`` beside ``NAME.pth``.

    Of a folder it lies beside the folder, and is called as all of its name.
    """
    path = Path(checkpoint)
    if os.path.isdir(path):  # noqa: PTH112 - a name that is too long is no folder's
        path = path.resolve() if path.name in ("", "..") else path
        return path.with_name(f"{path.name}{_ENDING}")
    return path.with_suffix(_ENDING)


def profiles_folder() -> Path:
    """Return the folder of profiles where no other one is asked for; it may not be there."""
    return Path(os.environ.get(FOLDER_VARIABLE) or Path(user_config_dir("napari-ies"), "profiles"))


def path_in_folder(folder: Path, name: str, sha256: str) -> Path:
    """Return where the profile of a checkpoint lies in a folder of profiles.

    Parameters
    ----------
    folder
        The folder.
    name
        The checkpoint's name, which is only for people.
    sha256
        What it is found by.
    """
    return folder / f"{name}_{sha256}{_ENDING}"


def stated_profile(
    checkpoint: Path, folder: Path | None, sha256_of: Callable[[Path], str]
) -> tuple[dict[str, Any], Path | None]:
    """Return what a profile file says of a checkpoint, and which file that is.

    Parameters
    ----------
    checkpoint
        Its file or folder.
    folder
        The folder of profiles, or None for `profiles_folder`.
    sha256_of
        What gives a checkpoint's SHA-256. It is asked only where that could find something.

    Raises
    ------
    CheckpointError
        If the file is none, belongs to another checkpoint, or there are two of them.
    """
    file = profile_path(checkpoint)
    there = os.path.lexists(file)
    filed = {} if there else _filed(folder or profiles_folder())
    sha256 = ""
    if filed:
        try:
            sha256 = sha256_of(checkpoint)
        except OSError:  # said, with what to do, by the format that is to read it
            return {}, None
        found = filed.get(sha256, [])
        if len(found) > 1:
            raise CheckpointError(
                f"There are {len(found)} profiles of {checkpoint.name} in {found[0].parent} "
                f"({', '.join(one.name for one in found)}): remove all but one."
            )
        there = bool(found)
        file = found[0] if found else file
    if not there:
        return {}, None
    fields = read_profile(file)
    stated = fields.pop("sha256", None)
    fields.pop("to_complete", None)
    if stated and stated != (sha256 or sha256_of(checkpoint)):
        raise CheckpointError(
            f"{file.name} is the profile of another checkpoint (SHA-256 {stated[:12]}…) than "
            f"{checkpoint.name}: remove its sha256 if it holds for both, or choose the other one."
        )
    return fields, file


def _filed(folder: Path) -> dict[str, list[Path]]:
    """Return the files of a folder of profiles by the SHA-256 in their names."""
    found: dict[str, list[Path]] = {}
    try:
        files = sorted(folder.glob(f"*{_ENDING}"))
    except OSError:
        return {}
    for file in files:
        sha256 = file.name.removesuffix(_ENDING)[-_SHA256_LENGTH:]
        if len(sha256) == _SHA256_LENGTH:
            found.setdefault(sha256, []).append(file)
    return found


def profile_to_json(profile: Profile, sha256: str | None = None) -> str:
    """Return a profile as the text of a profile file: all of its fields are stated then.

    But for a tool's own ways, which no profile file states.
    """
    own = [] if is_method(profile.normalisation) else ["normalisation"]
    own += ["blending"] if profile.blending == "nnU-Net" else []
    fields = [name for name in FIELDS if hasattr(profile, name) and name not in own]
    content = {name: getattr(profile, name) for name in fields}
    content["arguments"] = dict(profile.arguments)
    if sha256:
        content["sha256"] = sha256
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def to_complete(profile: Profile) -> dict[str, dict[str, Any]]:
    """Return what a profile leaves to be stated, by field.

    Returns
    -------
    For each guess, such as ``"arguments.strides"``: ``assumed``, its value now; ``candidates``,
    which the file fits as well, where there is an end of them; ``why``, the sentence.
    """
    return {
        guess.field: {
            "assumed": guess.assumed,
            **({"candidates": guess.candidates} if guess.candidates else {}),
            "why": str(guess),
        }
        for guess in profile.guessed
        if isinstance(guess, Guess) and guess.field
    }


def write_profile_to_complete(model: SegmentationModel, *, overwrite: bool = False) -> Path:
    """Write beside a checkpoint what is known of its network, and what is to be completed.

    Returns
    -------
    The file.

    Raises
    ------
    CheckpointError
        If it is there already and is not to be replaced, or cannot be written.
    """
    if model.path is None:
        raise CheckpointError("The network has no checkpoint, so there is no place for a profile.")
    path = profile_path(model.path)
    if os.path.lexists(path) and not overwrite:
        raise CheckpointError(
            f"{path} is there already: remove it, or allow replacing it with --overwrite."
        )
    write_profile(path, profile_to_complete(model.profile, model.sha256))
    return path


def write_stated(
    checkpoint: Path, stated: Mapping[str, Any], sha256: str, file: Path | None, folder: Path | None
) -> Path:
    """Write what is stated of a checkpoint to its profile file.

    Parameters
    ----------
    checkpoint
        Its file or folder.
    stated
        The fields, as `read_profile` returns them: all that the file is to say.
    sha256
        The checkpoint's.
    file
        Where its profile lies now, which is replaced; None where there is none.
    folder
        The folder of profiles that a new one is put into; None puts it beside the checkpoint.

    Returns
    -------
    The file.

    Raises
    ------
    CheckpointError
        If it cannot be written.
    """
    if file is None and folder is not None:
        file = path_in_folder(folder, checkpoint.stem, sha256)
        with suppress(OSError):  # said when it is written
            folder.mkdir(parents=True, exist_ok=True)
    file = file or profile_path(checkpoint)
    content = {**stated, "sha256": sha256}
    write_profile(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return file


def profile_to_complete(profile: Profile, sha256: str) -> str:
    """Return the text of a profile file that states what is known and no guess.

    What was guessed stands under ``to_complete``, which states nothing, for a person to move up.
    """
    left = to_complete(profile)
    content = json.loads(profile_to_json(profile, sha256))
    for field in left:
        outer, _, inner = field.partition(".")
        (content[outer] if inner else content).pop(inner or outer, None)
    return json.dumps(content | {"to_complete": left}, indent=2, ensure_ascii=False) + "\n"


def write_profile(path: str | Path, profile: Profile | str) -> None:
    """Write a profile file, whole or not at all.

    Parameters
    ----------
    path
        Where: `profile_path` of the checkpoint, for it to be used with the checkpoint.
    profile
        What is written: all fields of a profile, or the text of such a file.

    Raises
    ------
    CheckpointError
        If it cannot be written there.
    """
    path = Path(path)
    text = profile if isinstance(profile, str) else profile_to_json(profile)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name[:50]}.", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"The profile cannot be written to {path} ({error.strerror}): check the folder's "
            "permissions and space."
        ) from error
