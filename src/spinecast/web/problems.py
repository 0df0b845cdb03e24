"""What went wrong, as programs read it: RFC 9457 problem details that list every field.

No problem repeats a value that was given: it may be a patient's, and responses end up in logs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from spinecast.web.answering import Wrong

MEDIA_TYPE = "application/problem+json"
TITLES = {
    "not-json": (400, "The body is not JSON"),
    "host": (400, "The request names another host"),
    "unauthorized": (401, "A token is needed"),
    "cross-site": (403, "The request comes from another site"),
    "not-found": (404, "There is nothing here"),
    "method": (405, "This address does not answer this method"),
    "slow": (408, "The request took too long to arrive"),
    "too-large": (413, "The body is too large"),
    "media-type": (415, "The body is of another type"),
    "answers": (422, "Some answers cannot be used"),
    "out-of-scope": (422, "The patient is out of scope"),
    "too-many": (429, "Too many requests"),
    "bug": (500, "This is a bug in spinecast"),
    "no-model": (503, "There is no model yet"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal: its kind (a key of `TITLES`), what to do, and every field it is about."""

    kind: str
    detail: str = ""
    errors: tuple[Wrong, ...] = ()
    trained_on: str = ""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return TITLES[self.kind][0]

    @property
    def title(self) -> str:
        """What went wrong, in a line."""
        return TITLES[self.kind][1]

    def told(self) -> dict[str, Any]:
        """As plain values."""
        told: dict[str, Any] = {
            "type": f"urn:spinecast:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
        }
        if self.detail:
            told["detail"] = self.detail
        if self.errors:
            told["errors"] = list(map(_error, self.errors))
        if self.trained_on:
            told["trained_on"] = self.trained_on
        return told

    def response(self, headers: Iterable[tuple[str, str]] = ()) -> Response:
        """As a response."""
        body = json.dumps(self.told(), ensure_ascii=False).encode()
        return Response(body, self.status, dict(headers), MEDIA_TYPE)


def _error(wrong: Wrong) -> dict[str, Any]:
    return {"fields": list(wrong.fields), "code": wrong.code, "detail": wrong.message}
