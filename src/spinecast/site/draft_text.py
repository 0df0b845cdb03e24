"""A drafted mapping as the text of a site.toml, decisions first."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from spinecast.site.declaration import OPEN
from spinecast.site.drafting import HEAD_ASKS, Draft
from spinecast.site.proposing import DraftLine

WIDTH = 100


def as_toml(draft: Draft) -> str:
    """The draft as site.toml."""
    return "\n".join(_lines(draft)) + "\n"


def _lines(draft: Draft) -> Iterator[str]:
    yield from comment(
        f"Mapping of {draft.file.path.name}, drafted by `spinecast map`. Every line is a proposal: "
        "the number is how sure it is (1 is sure). Nothing runs until all of this is decided:"
    )
    yield "#"
    if not draft.decisions:
        yield from comment("nothing is open; read every line all the same.")
    for decision in draft.decisions:
        yield from comment(decision, first="  - ")
    yield ""
    for key, value in draft.head.items():
        if value == OPEN:
            yield from comment(f"DECIDE {key}: {HEAD_ASKS[key]}")
        yield f"{key} = {written(value)}"
    yield from _file(draft)
    for line in draft.lines:
        yield ""
        yield from _line(line)
    yield ""
    yield from _rest("Nothing was found for (unknown for everyone)", draft.absent)
    yield from _rest("Known only afterwards, and used for nothing", draft.later)
    yield from _rest("Not used", draft.unused)


def _file(draft: Draft) -> Iterator[str]:
    form = draft.file.form.model_dump(exclude_defaults=True)
    if not form and not draft.notes:
        return
    yield ""
    for note in draft.notes:
        yield from comment(note)
    yield "[file]"
    for key, value in form.items():
        yield f"{key} = {written(value)}"


def _line(line: DraftLine) -> Iterator[str]:
    sure = "" if line.confidence is None else f"{line.confidence:.2f}: "
    yield from comment(sure + " ".join(line.reasons))
    for text in line.open:
        yield from comment(f"DECIDE {text}")
    table = f"columns.{written_key(line.name)}"
    yield f"[{table}]"
    one_line = {key: f"{key} = {written(value)}" for key, value in line.keys.items()}
    # Many words are easier to read, and to decide about, one below the other.
    long = [k for k, t in one_line.items() if len(t) > WIDTH and isinstance(line.keys[k], Mapping)]
    yield from (text for key, text in one_line.items() if key not in long)
    for key in long:
        yield f"[{table}.{key}]"
        yield from (f"{written_key(k)} = {written(v)}" for k, v in line.keys[key].items())


def _rest(title: str, names: Iterable[str]) -> Iterator[str]:
    if told := ", ".join(names):
        yield from comment(f"{title}: {told}.")


def comment(text: str, first: str = "") -> Iterator[str]:
    """A sentence as TOML comments."""
    plain = " ".join(text.split())
    wrapped = textwrap.wrap(
        plain, WIDTH - 2, initial_indent=first, subsequent_indent=" " * len(first)
    )
    yield from (f"# {line}" for line in wrapped)


def written_key(name: str) -> str:
    """A key, quoted where it must be."""
    return (
        name
        if name.replace("_", "").replace("-", "").isalnum() and name.isascii()
        else written(name)
    )


def written(value: Any) -> str:  # noqa: ANN401 - whatever TOML holds
    """A value as TOML writes it."""
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool():
            return "true" if value else "false"
        case Mapping():
            return (
                "{ "
                + ", ".join(f"{written_key(k)} = {written(v)}" for k, v in value.items())
                + " }"
            )
        case list() | tuple():
            return "[" + ", ".join(map(written, value)) + "]"
        case float():
            return f"{value:g}" if value.is_integer() else repr(value)
    return str(value)
