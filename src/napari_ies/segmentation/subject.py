"""Subject: what a map is about, a lesion by its label or a region by its name.

Both are what they are called by, so that labels and names serve as they are: ``Lesion(3) == 3``,
``Region("thalamus") == "thalamus"``, in JSON, tables and dictionaries alike.
"""

from __future__ import annotations


class Lesion(int):
    """A lesion of a segmentation, by its label."""

    @property
    def called(self) -> str:
        """What it is called in a sentence, such as ``"lesion 3"``."""
        return f"lesion {int(self)}"


class Region(str):
    """A region that is no lesion of the segmentation, by its name."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name as plain text."""
        return str(self)

    @property
    def called(self) -> str:
        """What it is called in a sentence: its name."""
        return str(self)

    @property
    def titled(self) -> str:
        """What it is called where nothing else says what it is: ``"region brainstem"``.

        A name that says so itself, such as ``"Region 1"``, is enough.
        """
        return str(self) if self.lower().startswith("region") else f"region {self}"


Subject = Lesion | Region


def as_subject(value: int | str) -> Subject:
    """Return the lesion of a label, or the region of a name."""
    if isinstance(value, (Lesion, Region)):
        return value
    return Region(value) if isinstance(value, str) else Lesion(value)
