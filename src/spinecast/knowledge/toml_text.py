"""Tables as TOML text: the standard library reads TOML and does not write it."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DELETE = "\x7f"  # the one character that JSON leaves as it is and TOML does not allow


def toml_text(table: Mapping[str, Any]) -> str:
    """A table as TOML; read again it is the same table."""
    return "\n".join(_lines(table, ())).lstrip("\n") + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Plain keys first: below a heading every key belongs to it."""
    for key, value in table.items():
        if not _has_heading(value):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if not _has_heading(value):
            continue
        within = (*path, key)
        heading = ".".join(map(_key, within))
        tables = [value] if isinstance(value, Mapping) else value
        for one in tables:
            yield ""
            yield f"[{heading}]" if isinstance(value, Mapping) else f"[[{heading}]]"
            yield from _lines(one, within)


def _has_heading(value: object) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace(_DELETE, "\\u007f")


def _value(value: object) -> str:
    match value:
        case str():
            return _text(value)
        case bool():
            return "true" if value else "false"
        case dt.date() | dt.time():
            return value.isoformat()
        case Mapping():
            pairs = (f"{_key(key)} = {_value(inner)}" for key, inner in value.items())
            return "{ " + ", ".join(pairs) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            return repr(value)
