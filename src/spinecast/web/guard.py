"""Stands before every request: holds it against the gate, and how much it sends, and how long.

Nothing it writes holds a value that was sent. On loopback no login is asked for; elsewhere a token
is, in the header Authorization (programs) or exchanged for a session cookie (browsers).
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spinecast.web.gate import COOKIE, Gate
from spinecast.web.problems import Problem

Headers: TypeAlias = dict[bytes, bytes]

LARGEST_BODY = 64 * 1024
LARGEST_BATCH = 2 * 1024 * 1024
BODY_SECONDS = 10.0
OPEN = ("/healthz", "/login", "/static/")
REMEDIES = {
    "too-many": "Wait a little.",
    "unauthorized": "Send it as `Authorization: Bearer TOKEN`.",
}

SECURITY: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
            b"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Not no-referrer: browsers then send `Origin: null` with a form, and it could not be checked.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
NO_STORE = (b"cache-control", b"no-store")
HSTS = (b"strict-transport-security", b"max-age=31536000")


@dataclass(frozen=True)
class Guard:
    """The gate as ASGI, around the pages and the interface."""

    app: ASGIApp
    gate: Gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        sender = _Sender(send, self._headers(scope["path"]))
        headers: Headers = dict(scope["headers"])
        try:
            if refusal := self._refusal(scope, headers):
                await _respond(refusal, scope, receive, sender)
                return
            limit = LARGEST_BATCH if scope["path"].endswith("assess-batch") else LARGEST_BODY
            await self.app(scope, await _whole(scope, headers, receive, limit), sender)
        except _Gone:
            return
        except _TooMuch as refused:
            await _respond(refused.problem, scope, receive, sender)
        except Exception as bug:  # noqa: BLE001 - what it says may quote a patient's answers
            print(f"spinecast: {type(bug).__name__} in {_place(bug)}", file=sys.stderr)
            if not sender.started:
                await _respond(Problem("bug", "Please report it."), scope, receive, sender)

    def _headers(self, path: str) -> list[tuple[bytes, bytes]]:
        always = [*SECURITY, *([HSTS] if self.gate.secure else [])]
        return always if path.startswith("/static/") else [*always, NO_STORE]

    def _refusal(self, scope: Scope, headers: Headers) -> Problem | None:
        address = (scope.get("client") or ("", 0))[0]
        if name_of(headers.get(b"host", b"")) not in self.gate.hosts:
            return Problem("host", "Use the address `spinecast serve` printed.")
        if self.gate.token and not self.gate.asked.take(address, time.monotonic()):
            return Problem("too-many", REMEDIES["too-many"])
        if scope["method"] not in ("GET", "HEAD") and not self._is_ours(scope, headers):
            return Problem("cross-site", "Send it from the page itself.")
        if self.gate.token and not scope["path"].startswith(OPEN):
            return self._without_token(headers, address)
        return None

    def _without_token(self, headers: Headers, address: str) -> Problem | None:
        kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if kind.lower() == "bearer":
            refused = self.gate.refuses(token.strip(), address)
        else:
            known = self.gate.sessions.holds(_cookie(headers), time.time())
            refused = "" if known else "unauthorized"
        return Problem(refused, REMEDIES[refused]) if refused else None

    def _is_ours(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request that sends something comes from our own page, or from no page at all.

        Nothing is kept of a patient, so a forged request could change two things only: the session
        and the audit file. Both are behind this, as is every other address. Browsers say where a
        request comes from (Sec-Fetch-Site, Origin), let no page change it, and every browser since
        2020 sends at least Origin with POST; the host it is held against is one of ours already.
        A form has to come from a page of ours. A program, which sends neither, uses the interface
        alone, whose JSON another site's page cannot send without asking first, which is refused.
        """
        site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
        if site is not None and site not in (b"same-origin", b"none"):
            return False
        if origin is not None:
            told = urlsplit(origin.decode("latin-1"))
            own = headers.get(b"host", b"").decode("latin-1")
            # With TLS here a page of ours had it too; without, a proxy before us may have added it.
            encrypted = told.scheme == "https" or not self.gate.secure
            return encrypted and told.netloc.lower() == own.lower()
        return site is not None or scope["path"].startswith("/api/")


class _TooMuch(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.title)


class _Gone(Exception):
    """Whoever asked has left."""


class _Sender:
    """Adds the security headers to every response, and knows whether one has begun."""

    def __init__(self, send: Send, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._send, self._headers, self.started = send, tuple(headers), False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = [*message.get("headers", ()), *self._headers]
        await self._send(message)


async def _whole(scope: Scope, headers: Headers, receive: Receive, limit: int) -> Receive:
    """The body in one piece, if it is small enough and comes in time."""
    if scope["method"] in ("GET", "HEAD"):
        return receive
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or len(length) > len("1" * 12) or int(length) > limit:
        raise _TooMuch(Problem("too-large", f"At most {limit:,} bytes."))
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _body(receive, limit)
    except TimeoutError:
        raise _TooMuch(Problem("slow", f"At most {BODY_SECONDS:.0f} seconds.")) from None
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> MutableMapping[str, Any]:
        return left.pop() if left else await receive()

    return again


async def _body(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body += message.get("body", b"")
        if len(body) > limit:
            raise _TooMuch(Problem("too-large", f"At most {limit:,} bytes."))
        if not message.get("more_body", False):
            return bytes(body)


async def _respond(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    response = problem.response()
    if problem.kind == "unauthorized" and not scope["path"].startswith("/api/"):
        response = RedirectResponse("/login", 303)
    elif problem.kind == "unauthorized":
        response.headers["www-authenticate"] = "Bearer"
    elif problem.kind in ("too-large", "slow"):
        # What is left of the body will not be read.
        response.headers["connection"] = "close"
    await response(scope, receive, send)


def name_of(host: bytes) -> str:
    """The name in a Host header, without the port: `[::1]:8000` is `::1`."""
    text = host.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if ":" in text else text


def _cookie(headers: Headers) -> str:
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _place(bug: Exception) -> str:
    """Where an exception was raised, without what it says."""
    frames = traceback.extract_tb(bug.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
