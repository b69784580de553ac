"""What ``session.json`` may hold, and in words what is wrong with one that holds anything else.

:func:`published_schema` is what ``docs/session.schema.json`` says of it to other programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_ies.results.session.record import FORMAT, SessionEntry
from napari_ies.results.session.values import SHOWN, shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def checked(content: Any) -> SessionEntry:
    """Check what a ``session.json`` holds, every entry of it.

    Raises
    ------
    ValueError
        That names the first entry that cannot be, and says what it is and should be.
    """
    try:
        return SessionEntry.model_validate(content)
    except ValidationError as error:
        first, *more = error.errors(include_url=False)
        others = f" (and {len(more)} more such entries)" if more else ""
        raise ValueError(_sentence(first) + others) from None


def published_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``session.json``."""
    described = SessionEntry.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **described,
        "title": FORMAT,
    }


def _sentence(error: ErrorDetails) -> str:
    where = [
        f"entry {part + 1}" if isinstance(part, int) else str(part)[:SHOWN]
        for part in error["loc"]
        if part != "[key]"
    ]
    return f"{', '.join(where)} {_what(error)}".strip()


def _what(error: ErrorDetails) -> str:
    """Say what is wrong with one entry."""
    kind, value, limits = error["type"], error["input"], error.get("ctx", {})
    last = str(error["loc"][-1]) if error["loc"] else ""
    if kind == "session":
        return str(limits["text"])
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is no setting of a map that this version knows"
    if kind == "too_short":
        return f"names no {last.lower().removesuffix('s')}"
    if kind == "literal_error":
        expected = limits["expected"]
        return f"is {shown(value)}, and there is no {last} of that name; expected {expected}"
    return f"is {shown(value)}, expected {_EXPECTED.get(kind, 'something else').format(**limits)}"


_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "an object with entries",
    "finite_number": "a number that is finite",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_type": "a whole number",
    "less_than_equal": "at most {le}",
    "list_type": "a list",
    "model_attributes_type": "an object with entries",
    "model_type": "an object with entries",
    "string_pattern_mismatch": "a SHA-256 of 64 hexadecimal digits",
    "string_too_long": "a text of at most {max_length} characters",
    "string_too_short": "a text that is not empty",
    "string_type": "a text",
    "string_unicode": "a Unicode text",
}
"""What should stand in an entry, by pydantic's name of the fault."""
