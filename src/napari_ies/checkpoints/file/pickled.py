"""What a pickle says, read as data: no class it names is looked up, and nothing in it runs.

The few instructions that `torch.save` writes, and that PyTorch follows with
``weights_only=True``, are followed on a stack of plain values; a tensor becomes a `TensorClaim`
that takes no memory, whatever sizes it claims.
"""

from __future__ import annotations

import pickletools
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from napari_ies.checkpoints.file.archive import PackedError
from napari_ies.checkpoints.file.calls import (
    Calls,
    MalformedError,
    Name,
    is_known,
    storage_kind,
    whole,
)
from napari_ies.checkpoints.file.claims import AnyTensor, StorageClaim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_INSTRUCTIONS, MOST_NUMBERS = 1_000_000, 5_000_000
"""Those that put numbers or what is known already on the stack, as a training history does, count
by themselves. A state dict takes some 30 of the others for each tensor: more would fill the memory
with empty values."""
LATEST_PROTOCOL = 3
"""Those after it have instructions that PyTorch does not follow with ``weights_only=True``."""


class NamesObjectError(ValueError):
    """It names a class or function other than those of tensors; the text is the name."""


@dataclass(frozen=True, eq=False)
class Pickled:
    """What a pickle says."""

    content: Any
    """Dictionaries, lists, tuples, texts and numbers, and tensors as they are claimed; what else
    there may be is left out."""
    storages: Mapping[str, StorageClaim]
    """Where numbers are said to lie, by the key of the record."""
    tensors: tuple[AnyTensor, ...]
    """Every tensor that it describes, whether or not it is part of the content."""


def read_pickle(stream: BinaryIO) -> Pickled:
    """Follow a pickle to its end, running nothing.

    Parameters
    ----------
    stream
        Positioned at its beginning; afterwards behind its end.

    Raises
    ------
    NamesObjectError
        If it names a class or function that is none of a state dict's.
    MalformedError
        If it cannot be followed.
    PackedError
        If it is of a later protocol, or too long.
    """
    try:
        return _Reading().run(stream)
    except (MalformedError, NamesObjectError, PackedError):
        raise
    # What ends here: damaged arguments, an empty stack, unknown memo entries, wrong operands.
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        EOFError,
        OverflowError,
        RecursionError,
        struct.error,
    ) as error:
        raise MalformedError(str(error)) from error


_MARK = object()
_NUMBERS = {"BININT", "BININT1", "BININT2", "BINFLOAT", "NONE", "NEWTRUE", "NEWFALSE"}
_NUMBERS |= {"BINGET", "LONG_BINGET"}


class _Reading:
    """One pickle on its way from its first instruction to its last."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._storages: dict[str, StorageClaim] = {}
        self._views: dict[str, StorageClaim] = {}
        self._calls = Calls()

    def run(self, stream: BinaryIO) -> Pickled:
        numbers = 0
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if opcode.name == "STOP":
                if self._views.keys() & self._storages.keys():
                    raise MalformedError("a storage is a view of another")
                return Pickled(self._stack.pop(), self._storages, tuple(self._calls.tensors))
            step = _STEPS.get(opcode.name)
            if step is None:
                raise MalformedError(f"instruction {number} is {opcode.name}")
            numbers += opcode.name in _NUMBERS
            if numbers > MOST_NUMBERS or number - numbers > MOST_INSTRUCTIONS:
                what, most = (
                    ("numbers", MOST_NUMBERS)
                    if numbers > MOST_NUMBERS
                    else ("tables, lists and texts", MOST_INSTRUCTIONS)
                )
                raise PackedError(
                    f"beside its tensors it holds more than {most} {what}, such as a long training "
                    "history"
                )
            step(self, argument)
        raise MalformedError("it has no end")

    def check_protocol(self, number: int) -> None:
        if number > LATEST_PROTOCOL:
            raise PackedError(
                f"it was saved with pickle protocol {number}, where PyTorch's own, 2, was expected"
            )

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        return self._stack.pop()

    def push_name(self, argument: str) -> None:
        text = argument.replace(" ", ".").replace("__builtin__.", "builtins.")
        if not is_known(text):
            raise NamesObjectError(text)
        self._stack.append(Name(text))

    def name_from_stack(self) -> None:
        """Say what a later protocol's instruction names; no file with it is read."""
        name, module = self._stack.pop(), self._stack.pop()
        self.push_name(f"{module} {name}" if isinstance(name, str) else "")
        raise MalformedError("a name on the stack")

    def push_text(self, argument: str) -> None:
        # A text of Python 2, which pickletools reads byte by byte.
        self._stack.append(argument.encode("latin-1").decode("utf-8"))

    def push_storage(self) -> None:
        identifier = self._stack.pop()
        if not isinstance(identifier, tuple) or identifier[0] != "storage":
            raise MalformedError("a reference to something that is no storage")
        _, named, key, place, count, *rest = identifier
        kind = storage_kind(named.text)
        if not kind or not whole(count) or not isinstance(key, str) or not isinstance(place, str):
            raise MalformedError("a storage of no known kind")
        claim = StorageClaim(key, kind, count)
        if self._storages.setdefault(key, claim) != claim:
            raise MalformedError("a storage has two kinds or lengths")
        if rest and rest[0] is not None:
            view, start, length = rest[0]
            if not (whole(start) and whole(length) and start + length <= count):
                raise MalformedError("a view beyond its storage")
            claim = StorageClaim(key, kind, count, start, length)
            if not isinstance(view, str) or self._views.setdefault(view, claim) != claim:
                raise MalformedError("a view has two places")
        self._stack.append(claim)

    def call(self) -> None:
        arguments = self._stack.pop()
        function = self._stack.pop()
        if not isinstance(function, Name):
            raise MalformedError("a call of something that is no function")
        self._stack.append(self._calls.called(function, arguments))

    def build(self) -> None:
        """Leave out an object's attributes, such as a state dict's ``_metadata``."""
        state = self._stack.pop()
        self._calls.check_attributes(self._stack[-1], state)

    def tuple_of(self, count: int) -> None:
        parts = self._stack[len(self._stack) - count :]
        if len(parts) < count or any(part is _MARK for part in parts):
            raise MalformedError("too few values")
        del self._stack[len(self._stack) - count :]
        self._stack.append(tuple(parts))

    def append(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise MalformedError("a value put into something that is no list")
        target.extend(values)

    def put(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise MalformedError("an entry put into something that is no table")
        self._calls.check_keys(values[::2])
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[key] = value

    def put_one(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self.put([key, value])

    def remember(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def recall(self, place: int) -> None:
        self._stack.append(self._memo[place])

    def since_mark(self) -> list[Any]:
        parts: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            parts.append(value)
        parts.reverse()
        return parts


def _constant(value: Any) -> Callable[[_Reading, Any], None]:
    return lambda reading, _: reading.push(value)


def _fresh(kind: type) -> Callable[[_Reading, Any], None]:
    return lambda reading, _: reading.push(kind())


def _tuple(count: int) -> Callable[[_Reading, Any], None]:
    return lambda reading, _: reading.tuple_of(count)


def _without(step: Callable[[_Reading], None]) -> Callable[[_Reading, Any], None]:
    return lambda reading, _: step(reading)


_PUSHED = ("BININT", "BININT1", "BININT2", "BINFLOAT", "LONG1", "BINUNICODE")
_STEPS: Mapping[str, Callable[[_Reading, Any], None]] = {
    "PROTO": _Reading.check_protocol,
    "MARK": _constant(_MARK),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_DICT": _fresh(dict),
    "EMPTY_LIST": _fresh(list),
    "EMPTY_TUPLE": _fresh(tuple),
    **dict.fromkeys(_PUSHED, _Reading.push),
    "SHORT_BINSTRING": _Reading.push_text,
    "GLOBAL": _Reading.push_name,
    "STACK_GLOBAL": _without(_Reading.name_from_stack),
    "BINPERSID": _without(_Reading.push_storage),
    "REDUCE": _without(_Reading.call),
    "BUILD": _without(_Reading.build),
    **{f"TUPLE{count}": _tuple(count) for count in (1, 2, 3)},
    "TUPLE": lambda reading, _: reading.push(tuple(reading.since_mark())),
    "APPEND": lambda reading, _: reading.append([reading.pop()]),
    "APPENDS": lambda reading, _: reading.append(reading.since_mark()),
    "SETITEM": _without(_Reading.put_one),
    "SETITEMS": lambda reading, _: reading.put(reading.since_mark()),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Reading.remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Reading.recall),
}
