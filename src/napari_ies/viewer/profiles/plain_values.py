"""Values of a network's arguments as a person reads and types them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def in_words(value: Any) -> str:
    """Return a value without the marks of a language: ``2, 2, 1``, ``prelu``, ``yes``, ``none``.

    What lies in a list of lists is in brackets, and what has a name follows it:
    ``leakyrelu, negative_slope 0.01``.
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(
            f"({in_words(one)})" if isinstance(one, list | tuple) else in_words(one)
            for one in value
        )
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_words(one)}" for name, one in value.items())
    return str(value)


def value_of(text: str, offered: Mapping[str, Any]) -> Any:
    """Return what a text means: one of the values that are offered, or else what was typed.

    Numbers with commas between them are a list, other lists and tables are as in JSON, and a word
    needs no quotation marks.
    """
    text = text.strip()
    if text in offered:
        return offered[text]
    for one in (text, f"[{text}]"):
        try:
            return json.loads(one)
        except ValueError:
            continue
    return text
