"""How every page is made of its template: what is put in is escaped, and nothing may be lacking."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def templates() -> Environment:
    """The templates of the program; whoever asks may add words and filters of its own."""
    return Environment(
        loader=PackageLoader("spinecast"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
