"""Who may ask: the names this machine answers to, how often, the token and a browser's session.

Sessions are kept in this process alone, so one that was ended is worth nothing to whoever copied
it, and a restart ends all of them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
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
MOST_ADDRESSES = MOST_SESSIONS = 10_000


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


@dataclass
class Sessions:
    """The browsers that have shown the token: each session, and the time at which it ends."""

    _until: dict[str, float] = field(default_factory=dict, repr=False)

    def begin(self, now: float) -> str:
        """A new one, which nobody can guess; it ends by itself."""
        session = secrets.token_urlsafe(32)
        self._until[session] = now + SESSION_SECONDS
        if len(self._until) > MOST_SESSIONS:
            del self._until[next(iter(self._until))]
        return session

    def holds(self, session: str, now: float) -> bool:
        """Whether it is ours and has not ended."""
        return now < self._until.get(session, now)

    def end(self, session: str) -> None:
        """End it now; one that is none is no matter."""
        self._until.pop(session, None)


@dataclass(frozen=True)
class Gate:
    """Who may ask: the names this machine answers to, and the token, "" on loopback."""

    hosts: frozenset[str]
    token: str = ""
    secure: bool = False
    asked: Buckets = field(default_factory=lambda: Buckets(BURST, A_SECOND))
    tried: Buckets = field(default_factory=lambda: Buckets(TRIES, TRIES_A_SECOND))
    sessions: Sessions = field(default_factory=Sessions)

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
