"""The few functions that a checkpoint's pickle may call, and what each would give.

None of them is called: a tensor becomes a `TensorClaim`, plain values become themselves. What
PyTorch would do for a call, with these very arguments, takes no more memory or time than the
file's size tells; any other call is refused.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.file.claims import (
    MOST_AXES,
    AnyTensor,
    OddTensor,
    StorageClaim,
    TensorClaim,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_COPIED, PER_VALUE = 256 << 20, 1000
"""Bytes that calls may copy, and as how many one value in a table or set counts: one large list can
be named again and again."""
MOST_ODD_KEYS, LONGEST_ODD_KEY = 10_000, 16
"""Keys that are no texts, and parts of one of them: such keys can be chosen so that a table finds
them only by looking at all of them, and hashing a deeply nested one ends the process."""


class MalformedError(ValueError):
    """It is no pickle, or one that `torch.save` does not write."""


class Name:
    """A class or function, known by its name alone."""

    def __init__(self, text: str) -> None:
        self.text = text


class Other:
    """Something that holds no tensor, such as a device."""


class NumberType:
    """NumPy's type of one number, as training scripts keep with their losses."""

    def __init__(self, code: str) -> None:
        self.code = code


_SCALARS = (str, bytes, int, float, bool, type(None))
_LATIN = ("latin1", "latin-1")
_FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
_REBUILT = {f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3")}
_PARAMETERS = {
    "torch.nn.parameter.Parameter",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
}
_TYPED = {"torch.Tensor": _REBUILT, "torch.nn.parameter.Parameter": _PARAMETERS}
_ODD = {
    "torch._utils._rebuild_qtensor": "quantized",
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_meta_tensor_no_storage": "without numbers",
    "torch._utils._rebuild_wrapper_subclass": "of a class of its own",
    "torch._utils._rebuild_device_tensor_from_numpy": "of another device",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "of another device",
    _FROM_TYPE: "of a class of its own",
    "torch.Tensor": "of an old kind",
}
_TABLES: Mapping[str, type[dict[Any, Any]]] = {
    "collections.OrderedDict": OrderedDict,
    "collections.Counter": Counter,
}
_PLAIN_CALLS = {
    "torch.Size",
    "torch.device",
    "torch.serialization._get_layout",
    "_codecs.encode",
    "builtins.bytearray",
    "builtins.set",
    "builtins.complex",
}
NUMPY_SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
NUMPY_TYPE = "numpy.dtype"
NUMBER_CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_KNOWN = {*_REBUILT, *_PARAMETERS, *_ODD, *_TABLES, *_PLAIN_CALLS, *NUMPY_SCALARS, NUMPY_TYPE}
_CONSTANT = re.compile(
    r"torch\.(?:[a-z]+\d+\w*|bool|half|float|double|int|long|short|strided|sparse_\w+"
    r"|per_(?:tensor|channel)_\w+)"
)
"""Data types, layouts and kinds of quantization."""
_STORAGE = re.compile(r"torch\.(?:cuda\.|storage\.)?(\w+Storage)")


def is_known(name: str) -> bool:
    """Whether a state dict's pickle may name this class, function or constant."""
    return bool(name in _KNOWN or _CONSTANT.fullmatch(name) or _STORAGE.fullmatch(name))


def storage_kind(name: str) -> str:
    """Return the kind of a class of storages; empty for another name."""
    found = _STORAGE.fullmatch(name)
    return found.group(1) if found else ""


def whole(value: Any) -> bool:
    """Whether a value is a number that can be a size or a place."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


class Calls:
    """The calls of one pickle.

    Attributes
    ----------
    tensors
        Every tensor that they would make, in their order.
    """

    def __init__(self) -> None:
        self.tensors: list[AnyTensor] = []
        self._copied = self._odd_keys = 0

    def called(self, function: Name, arguments: tuple[Any, ...]) -> Any:
        """Return what a call would give.

        Raises
        ------
        MalformedError
            If PyTorch would not, or if nothing bounds what it would do.
        """
        name = function.text
        if not isinstance(arguments, tuple):
            raise MalformedError(f"a call of {name} without arguments")
        if name == _FROM_TYPE:
            inner, kind, inner_arguments, state = arguments
            if inner.text in _TYPED.get(kind.text, ()):
                made = self.called(inner, inner_arguments)
                return made if _is_plain_state(state) else self._odd("with attributes of its own")
        if name in _REBUILT:
            return self._tensor(name, *arguments)
        if name in _PARAMETERS:
            return self._parameter(*arguments)
        if name in _ODD:
            return self._odd(_ODD[name])
        if name in _TABLES:
            return self._table(_TABLES[name], *arguments)
        if name in _PLAIN_CALLS:
            return self._plain(name, *arguments)
        if name == NUMPY_TYPE:
            return _number_type(*arguments)
        if name in NUMPY_SCALARS:
            return _number(*arguments)
        raise MalformedError(f"a call of {name}")

    def check_keys(self, keys: Iterable[Any]) -> None:
        """Refuse keys that a table or a set may not be able to hold in good time.

        Raises
        ------
        MalformedError
            If there is one.
        """
        for key in keys:
            if isinstance(key, str):
                continue
            self._odd_keys += 1
            parts = key if isinstance(key, tuple) else (key,)
            plain = len(parts) <= LONGEST_ODD_KEY and all(isinstance(p, _SCALARS) for p in parts)
            if not plain or self._odd_keys > MOST_ODD_KEYS:
                raise MalformedError("an entry under something that is no name")

    def check_attributes(self, of: Any, state: Any) -> None:
        """Refuse attributes of anything but a state dict or a number's type, or that hide its own.

        Raises
        ------
        MalformedError
            If there are such.
        """
        if isinstance(of, NumberType):
            _check_number_state(*state)
            return
        if type(of) is not OrderedDict or not isinstance(state, dict):
            raise MalformedError("attributes of something that is no state dict")
        if any(not isinstance(name, str) or hasattr(of, name) for name in state):
            raise MalformedError("attributes that no state dict has")
        self._copy(PER_VALUE * len(state))

    def _copy(self, size: int) -> None:
        self._copied += size
        if self._copied > MOST_COPIED:
            raise MalformedError("it copies the same values again and again")

    def _odd(self, kind: str) -> AnyTensor:
        odd = OddTensor(kind)
        self.tensors.append(odd)
        return odd

    def _tensor(
        self, name: str, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any
    ) -> AnyTensor:
        if not isinstance(storage, StorageClaim):
            raise MalformedError("a tensor without a storage")
        axes = _axes(size)
        if not whole(offset) or len(axes) != len(_axes(stride)):
            raise MalformedError("a tensor of impossible size")
        if rest:
            _check_history(*rest[:2])
        later = rest[2:]
        stated = ""
        if name.endswith("_v3"):
            stated, later = later[0].text.removeprefix("torch."), later[1:]
        if later and later[0]:
            return self._odd("conjugated or negated")
        claim = TensorClaim(storage, offset, axes, _axes(stride), stated)
        self.tensors.append(claim)
        return claim

    def _parameter(
        self, data: Any, requires_grad: Any = True, hooks: Any = None, state: Any = None
    ) -> AnyTensor:
        if not isinstance(data, AnyTensor):
            raise MalformedError("a parameter without a tensor")
        _check_history(requires_grad, hooks)
        return data if _is_plain_state(state) else self._odd("with attributes of its own")

    def _table(self, kind: type[dict[Any, Any]], content: Any = ()) -> dict[Any, Any]:
        if not isinstance(content, dict):
            # Pairs, as Python 2 wrote them; a counter would count them.
            pairs = isinstance(content, list | tuple) and (not content or kind is OrderedDict)
            if not pairs or any(not isinstance(p, list | tuple) or len(p) != 2 for p in content):
                raise MalformedError("a table of something that is no pairs")
            self.check_keys(key for key, _ in content)
        else:
            self.check_keys(content)
        self._copy(PER_VALUE * len(content))
        return kind(content)

    def _plain(self, name: str, *arguments: Any) -> Any:
        if name == "torch.Size":
            return _axes(*arguments)
        if name == "builtins.set":
            (members,) = arguments or ((),)
            if not isinstance(members, list | tuple):
                raise MalformedError("a set of something that is no list")
            self.check_keys(members)
            self._copy(PER_VALUE * len(members))
            return set(members)
        if name == "_codecs.encode":
            return self._bytes(*arguments)
        if name == "builtins.bytearray":
            return bytearray(self._bytes(*arguments or (b"",)))
        allowed = (int, float) if name == "builtins.complex" else (int, str)
        if len(arguments) > 2 or not all(isinstance(value, allowed) for value in arguments):
            raise MalformedError(f"a call of {name} with other arguments than it takes")
        return Other()

    def _bytes(self, content: Any, encoding: str = "") -> bytes:
        """Return bytes; before protocol 3 they are a text in Latin-1."""
        self._copy(len(content) if isinstance(content, bytes | str) else 0)
        if isinstance(content, bytes) and not encoding:
            return content
        if not isinstance(content, str) or encoding not in _LATIN:
            raise MalformedError("bytes of something that is no text in Latin-1")
        return content.encode(encoding)


def _number_type(code: Any, *flags: Any) -> NumberType:
    plain = isinstance(code, str) and code in NUMBER_CODES and len(flags) == 2
    if not plain or not all(isinstance(flag, bool | int) for flag in flags):
        raise MalformedError("a type of NumPy that is not one number's")
    return NumberType(code)


def _check_number_state(version: Any, order: Any, *rest: Any) -> None:
    if version != 3 or order not in ("<", ">", "|", "=") or rest != (None, None, None, -1, -1, 0):
        raise MalformedError("attributes that no number's type has")


def _number(kind: Any, content: Any = None) -> bool | int | float:
    import numpy as np

    if not isinstance(kind, NumberType) or not isinstance(content, bytes):
        raise MalformedError("a number of NumPy without its bytes")
    if len(content) != int(kind.code[1:]):
        raise MalformedError("a number of NumPy of another length")
    found: bool | int | float = np.frombuffer(content, kind.code)[0].item()
    return found


def _axes(parts: Any) -> tuple[int, ...]:
    if not isinstance(parts, list | tuple) or len(parts) > MOST_AXES or not all(map(whole, parts)):
        raise MalformedError("a tensor of impossible size")
    return tuple(parts)


def _check_history(requires_grad: Any, hooks: Any) -> None:
    """Refuse what a tensor saved as numbers does not have: functions for its gradient."""
    if not isinstance(requires_grad, bool) or not (hooks is None or hooks == {}):
        raise MalformedError("a tensor with hooks")


def _is_plain_state(state: Any) -> bool:
    """Whether a tensor's attributes are plain values under names that no tensor has."""
    import torch

    parts = state if isinstance(state, tuple) else (state,)
    return len(parts) <= 2 and all(
        not part
        or (
            isinstance(part, dict)
            and all(isinstance(value, _SCALARS) for value in part.values())
            and not any(not isinstance(k, str) or hasattr(torch.Tensor, k) for k in part)
        )
        for part in parts
    )
