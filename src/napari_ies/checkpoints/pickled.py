"""What a pickle says, read as data: no class it names is looked up, and nothing in it runs.

The few instructions that `torch.save` writes are followed on a stack of plain values; a tensor
becomes a `TensorClaim` that takes no memory, whatever sizes it claims.
"""

from __future__ import annotations

import pickletools
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

MOST_INSTRUCTIONS = 1_000_000
"""A state dict takes some 30 for each tensor: more would fill the memory with empty values."""


class MalformedError(ValueError):
    """It is no pickle, or one that `torch.save` does not write."""


class NamesObjectError(ValueError):
    """It names a class or function other than those of tensors; the text is the name."""


@dataclass(frozen=True, eq=False)
class StorageClaim:
    """Where numbers are said to lie.

    Parameters
    ----------
    key
        Name of the record that holds them.
    kind
        Such as ``"FloatStorage"``.
    count
        How many numbers there are.
    start, view
        First number and number of numbers of the part that is meant; `view` is None for all.
    """

    key: str
    kind: str
    count: int
    start: int = 0
    view: int | None = None


@dataclass(frozen=True, eq=False)
class TensorClaim:
    """A tensor as a pickle describes it.

    Parameters
    ----------
    storage
        Where its numbers lie.
    offset, size, stride
        Which of them are its own.
    dtype
        Such as ``"float8_e5m2"``; empty for the storage's own.
    """

    storage: StorageClaim
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str = ""


@dataclass(frozen=True, eq=False)
class OddTensor:
    """A tensor that is more than numbers in a storage: of which kind, such as ``"sparse"``."""

    kind: str


@dataclass(frozen=True)
class _Name:
    """A class or function, known by its name alone."""

    text: str


class _Other:
    """Something that holds no tensor: a device, a byte string, an object's attributes."""


_MARK = object()
_OTHER = _Other()
_SCALARS = (str, int, float, bool, type(None))

_REBUILT = {f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3")}
_PARAMETERS = {
    "torch.nn.parameter.Parameter",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
}
_ODD = {
    "torch._utils._rebuild_qtensor": "quantized",
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_meta_tensor_no_storage": "without numbers",
    "torch._utils._rebuild_wrapper_subclass": "of a class of its own",
    "torch._utils._rebuild_device_tensor_from_numpy": "of another device",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "of another device",
    "torch._tensor._rebuild_from_type_v2": "of a class of its own",
    "torch.Tensor": "of an old kind",
}
_TABLES = {"collections.OrderedDict", "collections.Counter"}
_INERT = {
    "torch.Size",
    "torch.device",
    "torch.serialization._get_layout",
    "_codecs.encode",
    "builtins.bytearray",
    "builtins.set",
    "builtins.complex",
}
_PLAIN = re.compile(
    r"torch\.(?:[a-z]+\d+\w*|bool|half|float|double|int|long|short|strided|sparse_\w+"
    r"|per_(?:tensor|channel)_\w+)"
)
"""Data types, layouts and kinds of quantization."""
_STORAGE = re.compile(r"torch\.(?:cuda\.|storage\.)?(\w+Storage)")


def read_pickle(stream: BinaryIO, storages: list[StorageClaim]) -> Any:
    """Follow a pickle to its end, running nothing.

    Parameters
    ----------
    stream
        Positioned at its beginning; afterwards behind its end.
    storages
        Takes the claims on storages, in the order in which they are made.

    Returns
    -------
    Dictionaries, lists, tuples, texts and numbers, `TensorClaim` and `OddTensor`; what else there
    may be is left out.

    Raises
    ------
    NamesObjectError
        If it names a class or function that is none of a state dict's.
    MalformedError
        If it cannot be followed.
    """
    try:
        return _Reading(storages).run(stream)
    except (MalformedError, NamesObjectError):
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


class _Reading:
    """One pickle on its way from its first instruction to its last."""

    def __init__(self, storages: list[StorageClaim]) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._storages = storages

    def run(self, stream: BinaryIO) -> Any:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if opcode.name == "STOP":
                return self._stack.pop()
            step = _STEPS.get(opcode.name)
            if step is None or number > MOST_INSTRUCTIONS:
                raise MalformedError(f"instruction {number} is {opcode.name}")
            step(self, argument)
        raise MalformedError("it has no end")

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def push_copy_of_kind(self, kind: type) -> None:
        self._stack.append(kind())

    def push_name(self, argument: str) -> None:
        text = argument.replace(" ", ".").replace("__builtin__.", "builtins.")
        known = text in _REBUILT | _PARAMETERS | _TABLES | _INERT or text in _ODD
        if not (known or _PLAIN.fullmatch(text) or _STORAGE.fullmatch(text)):
            raise NamesObjectError(text)
        self._stack.append(_Name(text))

    def push_name_from_stack(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self.push_name(f"{module} {name}" if isinstance(name, str) else "")

    def push_text(self, argument: str) -> None:
        # A text of Python 2, which pickletools reads byte by byte.
        self._stack.append(argument.encode("latin-1").decode("utf-8"))

    def push_storage(self) -> None:
        identifier = self._stack.pop()
        if not isinstance(identifier, tuple) or identifier[0] != "storage":
            raise MalformedError("a reference to something that is no storage")
        _, kind, key, _, count, *rest = identifier
        named = _STORAGE.fullmatch(kind.text)
        if named is None or not _whole(count) or not isinstance(key, str):
            raise MalformedError("a storage of no known kind")
        claim = StorageClaim(key, named.group(1), count)
        self._storages.append(claim)
        if rest and rest[0] is not None:
            _, start, view = rest[0]
            if not (_whole(start) and _whole(view) and start + view <= count):
                raise MalformedError("a view beyond its storage")
            claim = StorageClaim(key, named.group(1), count, start, view)
        self._stack.append(claim)

    def call(self) -> None:
        arguments = self._stack.pop()
        function = self._stack.pop()
        self._stack.append(_called(function.text, arguments))

    def build(self) -> None:
        """Leave out an object's attributes, such as a state dict's ``_metadata``."""
        self._stack.pop()
        if isinstance(self._stack[-1], _Name):
            raise MalformedError("attributes of a class")

    def tuple_of(self, count: int) -> None:
        parts = self._stack[len(self._stack) - count :]
        if len(parts) < count or any(part is _MARK for part in parts):
            raise MalformedError("too few values")
        del self._stack[len(self._stack) - count :]
        self._stack.append(tuple(parts))

    def tuple_from_mark(self) -> None:
        parts = self._since_mark()
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
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Other keys hold no weights, and hashing a deeply nested one ends the process.
            if isinstance(key, _SCALARS):
                target[key] = value

    def append_one(self) -> None:
        self.append([self._stack.pop()])

    def put_one(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self.put([key, value])

    def append_marked(self) -> None:
        self.append(self._since_mark())

    def put_marked(self) -> None:
        self.put(self._since_mark())

    def remember(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def recall(self, place: int) -> None:
        self._stack.append(self._memo[place])

    def drop_marked(self) -> None:
        """Leave out the members of a set."""
        self._since_mark()

    def _since_mark(self) -> list[Any]:
        parts: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            parts.append(value)
        parts.reverse()
        return parts


def _called(name: str, arguments: Any) -> Any:
    """Return what a function would give, as far as weights depend on it."""
    if name == "torch._tensor._rebuild_from_type_v2":
        function, kind, inner, _ = arguments
        if kind.text in ("torch.Tensor", "torch.nn.parameter.Parameter"):
            return _called(function.text, inner)
    if name in _REBUILT:
        return _tensor(name, *arguments)
    if name in _PARAMETERS:
        return arguments[0] if arguments else _OTHER
    if name in _ODD:
        return OddTensor(_ODD[name])
    if name in _TABLES:
        return _table(*arguments)
    if name == "torch.Size":
        return arguments[0]
    return _OTHER


def _table(content: Any = ()) -> dict[Any, Any]:
    """Return the table of a dictionary, or of pairs as Python 2 wrote them."""
    if isinstance(content, dict):
        return content
    return {key: value for key, value in content if isinstance(key, _SCALARS)}


def _tensor(name: str, *arguments: Any) -> TensorClaim | OddTensor:
    storage, offset, size, stride, *rest = arguments
    if not isinstance(storage, StorageClaim):
        raise MalformedError("a tensor without a storage")
    dimensions = (*size, *stride)
    if len(size) != len(stride) or not all(map(_whole, (offset, *dimensions))):
        raise MalformedError("a tensor of impossible size")
    dtype = ""
    if name.endswith("_v3"):
        dtype = rest[2].text.removeprefix("torch.")
    metadata = rest[3 if dtype else 2 :]
    if metadata and metadata[0]:
        return OddTensor("conjugated or negated")
    return TensorClaim(storage, offset, tuple(size), tuple(stride), dtype)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def _constant(value: Any) -> Callable[[_Reading, Any], None]:
    return lambda reading, _: reading.push(value)


def _fresh(kind: type) -> Callable[[_Reading, Any], None]:
    return lambda reading, _: reading.push_copy_of_kind(kind)


def _tuple(count: int) -> Callable[[_Reading, Any], None]:
    return lambda reading, _: reading.tuple_of(count)


def _without(step: Callable[[_Reading], None]) -> Callable[[_Reading, Any], None]:
    return lambda reading, _: step(reading)


def _steps() -> Iterator[tuple[str, Callable[[_Reading, Any], None]]]:
    for name in ("PROTO", "FRAME"):
        yield name, lambda reading, _: None
    yield "MARK", _constant(_MARK)
    for name, value in (("NONE", None), ("NEWTRUE", True), ("NEWFALSE", False)):
        yield name, _constant(value)
    for name, kind in (("EMPTY_DICT", dict), ("EMPTY_LIST", list), ("EMPTY_TUPLE", tuple)):
        yield name, _fresh(kind)
    for name in ("EMPTY_SET", "SHORT_BINBYTES", "BINBYTES"):
        yield name, _constant(_OTHER)
    for name in ("BININT", "BININT1", "BININT2", "BINFLOAT", "LONG1"):
        yield name, _Reading.push
    for name in ("SHORT_BINUNICODE", "BINUNICODE"):
        yield name, _Reading.push
    yield "SHORT_BINSTRING", _Reading.push_text
    yield "GLOBAL", _Reading.push_name
    yield "STACK_GLOBAL", _without(_Reading.push_name_from_stack)
    yield "ADDITEMS", _without(_Reading.drop_marked)
    yield "MEMOIZE", _without(_Reading.memoize)
    yield "BINPERSID", _without(_Reading.push_storage)
    yield "REDUCE", _without(_Reading.call)
    yield "NEWOBJ", _without(_Reading.call)
    yield "BUILD", _without(_Reading.build)
    for count in (1, 2, 3):
        yield f"TUPLE{count}", _tuple(count)
    yield "TUPLE", _without(_Reading.tuple_from_mark)
    yield "APPEND", _without(_Reading.append_one)
    yield "APPENDS", _without(_Reading.append_marked)
    yield "SETITEM", _without(_Reading.put_one)
    yield "SETITEMS", _without(_Reading.put_marked)
    for name in ("BINPUT", "LONG_BINPUT"):
        yield name, _Reading.remember
    for name in ("BINGET", "LONG_BINGET"):
        yield name, _Reading.recall


_STEPS: Mapping[str, Callable[[_Reading, Any], None]] = dict(_steps())
