"""What every format of checkpoints fulfils, and what comes of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from napari_ies.regular_files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from napari_ies.network.preparation import Preparation
    from napari_ies.network.profile import Profile


@dataclass(frozen=True)
class Loaded:
    """What was read of a checkpoint."""

    network: nn.Module
    """On the CPU, in float32."""
    profile: Profile
    """What the file says, what a person stated, and what was guessed of the rest."""
    sha256: str
    """In hexadecimal: of the file that was read, or `sha256_of_files` of those of a folder."""
    keys: tuple[str, ...]
    """Of the tensors in it, wrappers stripped."""
    preparation: Preparation | None = None
    """How the tool that it came from makes its input, where the profile does not say it all."""


class Format(Protocol):
    """A kind of checkpoint: a module with these names."""

    @property
    def name(self) -> str:
        """What people call it, such as ``"MONAI bundle"``; it is stored with every result."""

    def recognises(self, path: Path) -> bool:
        """Whether a file or folder is one, by what it holds; True where it is a damaged one.

        It is cheap, runs nothing of what it reads, believes no name, and raises nothing: what
        cannot be read is none.
        """

    def files(self, path: Path) -> Mapping[str, Path]:
        """Return the files of a folder that are used, by their names in it; of a file, none.

        They follow from the folder alone, not from what a person chooses of it.
        """

    def load(self, path: Path, stated: Mapping[str, Any], trust: bool) -> Loaded:
        """Load one.

        Parameters
        ----------
        path
            The file or folder, which is recognised.
        stated
            What a profile beside it or the command line states: fields of `Profile` as
            `read_profile` returns them. They have the last word, and nothing is said to be
            guessed about them. Choices of a format are among the ``"arguments"``, and come back
            among those of the profile, which are stored with every result.
        trust
            Whether what it holds may be run.

        Raises
        ------
        UntrustedError
            If it has to be trusted, with what would be run.
        CheckpointError
            If it cannot be loaded, in a sentence that says why and what to do.
        """


def sha256_of_files(digests: Mapping[str, str]) -> str:
    """Return one SHA-256 in hexadecimal for several files.

    Parameters
    ----------
    digests
        SHA-256 of each in hexadecimal, by its name in a folder, with slashes.

    Returns
    -------
    That of the text which ``sha256sum`` prints of them, in the order of their names.
    """
    text = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return sha256_of(text.encode())
