"""The tables of tensors in what a checkpoint holds, each by its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_TENSORS = 20_000
MOST_VALUES = 5_000_000
LONGEST_KEY = 1000

_DEEPEST = 3
_CONTAINERS = (dict, list, tuple)
_T = TypeVar("_T")


def tables_of(content: Any, kind: type[_T]) -> dict[str, dict[str, _T]]:
    """Return each mapping that holds tensors, by its place: ``folds[0].model``.

    The content is mappings, lists and tuples, in one another; the kind says what a tensor is.

    Raises
    ------
    CheckpointError
        In a clause, if there is no end of them, or a name is no name.
    """
    return dict(_Walk(kind).tables(content, "", _DEEPEST))


class _Walk(Generic[_T]):
    """A way through what was read, that ends however often it leads to the same things."""

    def __init__(self, kind: type[_T]) -> None:
        self._kind = kind
        self._seen, self._given = 0, 0

    def tables(self, content: Any, name: str, depth: int) -> Iterator[tuple[str, dict[str, _T]]]:
        if not isinstance(content, _CONTAINERS):
            return
        self._seen += len(content)
        if self._seen > MOST_VALUES:
            raise CheckpointError("it is nested without end")
        if isinstance(content, dict):
            if table := self._table(content):
                yield name, table
            # Numbers lead to the states of an optimizer, a table for each parameter.
            inner = [
                (f"{name}.{key}" if name else key, value)
                for key, value in content.items()
                if isinstance(key, str) and isinstance(value, _CONTAINERS)
            ]
        else:
            inner = [
                (f"{name}[{number}]", value)
                for number, value in enumerate(content)
                if isinstance(value, _CONTAINERS)
            ]
        for place, value in inner if depth else ():
            yield from self.tables(value, place, depth - 1)

    def _table(self, content: dict[Any, Any]) -> dict[str, _T]:
        table: dict[str, _T] = {}
        for key, value in content.items():
            if not isinstance(value, self._kind):
                continue
            name = str(key)
            if len(name) > LONGEST_KEY:
                raise CheckpointError(f"a tensor in it has a name of {len(name)} letters")
            table[name] = value
        self._given += len(table)
        if self._given > MOST_TENSORS:
            raise CheckpointError(f"it holds more than {MOST_TENSORS} tensors")
        return table
