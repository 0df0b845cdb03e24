"""Stands before every request: who may ask, from where, how much, how often, and how long.

Nothing it writes holds a value that was sent. On loopback no login is asked for; elsewhere a token
is, in the header Authorization (programs) or exchanged for a session cookie (browsers).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import sys
import time
import traceback
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spinecast.web.problems import Problem

Headers: TypeAlias = dict[bytes, bytes]

COOKIE = "__Host-spinecast"
SESSION_SECONDS = 12 * 3600
LARGEST_BODY = 64 * 1024
LARGEST_BATCH = 2 * 1024 * 1024
BODY_SECONDS = 10.0
# Requests an address may make at once, and how many it regains a second, where not on loopback.
BURST, A_SECOND = 60.0, 20.0
# Wrong tokens an address may try before it has to wait, one regained in ten seconds.
TRIES, TRIES_A_SECOND = 5.0, 0.1
MOST_ADDRESSES = 10_000
OPEN = ("/healthz", "/login", "/static/")

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


@dataclass
class Buckets:
    """How many requests each address has left: some at once, then some a second."""

    most: float
    a_second: float
    _left: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    def take(self, address: str, now: float) -> bool:
        """Whether an address may ask once more."""
        left, before = self._left.pop(address, (self.most, now))
        left = min(left + (now - before) * self.a_second, self.most)
        self._left[address] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > MOST_ADDRESSES:
            del self._left[next(iter(self._left))]
        return left >= 1

    def give(self, address: str) -> None:
        """One more for an address: what it asked was right."""
        left, before = self._left.get(address, (self.most, 0.0))
        self._left[address] = (min(left + 1, self.most), before)


@dataclass(frozen=True)
class Gate:
    """Who may ask: the names this machine answers to, and the token, "" on loopback."""

    hosts: frozenset[str]
    token: str = ""
    secure: bool = False
    asked: Buckets = field(default_factory=lambda: Buckets(BURST, A_SECOND))
    tried: Buckets = field(default_factory=lambda: Buckets(TRIES, TRIES_A_SECOND))

    def knows(self, token: str) -> bool:
        """Whether this is the token; takes as long for a near miss as for a wild guess."""
        ours, theirs = (hashlib.sha256(one.encode()).digest() for one in (self.token, token))
        return hmac.compare_digest(ours, theirs)

    def session(self, now: float | None = None) -> str:
        """A session for a browser that has shown the token; it ends by itself."""
        until = int((time.time() if now is None else now) + SESSION_SECONDS)
        return f"{until}.{self._signed(until)}"

    def admits(self, session: str) -> bool:
        """Whether a session is ours and has not ended."""
        until, _, signature = session.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < len("1" * 15)):
            return False
        ours = self._signed(int(until))
        same = hmac.compare_digest(ours.encode(), signature.encode("utf-8", "replace"))
        return same and int(until) > time.time()

    def _signed(self, until: int) -> str:
        return hmac.new(self.token.encode(), b"session %d" % until, hashlib.sha256).hexdigest()


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
            return Problem("too-many", "Wait a little.")
        if scope["method"] not in ("GET", "HEAD") and not _is_ours(scope, headers):
            return Problem("cross-site", "Send it from the page itself.")
        if self.gate.token and not scope["path"].startswith(OPEN):
            return self._without_token(headers, address)
        return None

    def _without_token(self, headers: Headers, address: str) -> Problem | None:
        kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if kind.lower() == "bearer":
            if not self.gate.tried.take(address, time.monotonic()):
                return Problem("too-many", "Wait a little.")
            if self.gate.knows(token.strip()):
                self.gate.tried.give(address)
                return None
        elif self.gate.admits(_cookie(headers)):
            return None
        return Problem("unauthorized", "Send the right one as `Authorization: Bearer TOKEN`.")


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
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        piece: bytes = message.get("body", b"")
        body += piece
        if len(body) > limit:
            raise _TooMuch(Problem("too-large", f"At most {limit:,} bytes."))
        if not message.get("more_body", False):
            return body


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


def _is_ours(scope: Scope, headers: Headers) -> bool:
    """Whether a request that sends something comes from our own page, or from no page at all.

    Browsers say where a request comes from (Sec-Fetch-Site, Origin) and let no page change it. A
    form has to come from a page of ours; a program, which sends neither, uses the interface, whose
    JSON another site's page cannot send without asking first.
    """
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None and site not in (b"same-origin", b"none"):
        return False
    if origin is not None:
        own = headers.get(b"host", b"").decode("latin-1")
        return urlsplit(origin.decode("latin-1")).netloc.lower() == own.lower()
    return site is not None or scope["path"].startswith("/api/")


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
