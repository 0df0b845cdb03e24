"""Who may ask: the names this machine answers to, how often, the token and a browser's session."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

# Why a token is refused, as kinds of `web.problems`; "" when it is right.
Refusal: TypeAlias = Literal["", "unauthorized", "too-many"]

COOKIE = "__Host-spinecast"
SESSION_SECONDS = 12 * 3600
# Requests an address may make at once, and how many it regains a second, where not on loopback.
BURST, A_SECOND = 60.0, 20.0
# Wrong tokens an address may try before it has to wait, one regained in ten seconds.
TRIES, TRIES_A_SECOND = 5.0, 0.1
MOST_ADDRESSES = 10_000


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

    def refuses(self, token: str, address: str) -> Refusal:
        """Why a token is refused; wrong ones count against the address, right ones never do.

        An address with none left waits even with the right one, or guessing would cost nothing.
        """
        if not self.tried.take(address, time.monotonic()):
            return "too-many"
        if not self.knows(token):
            return "unauthorized"
        self.tried.give(address)
        return ""

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
