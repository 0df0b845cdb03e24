"""Asks the application without a network: what a browser or a program would send and get."""

from __future__ import annotations

import asyncio
import atexit
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import httpx

from spinecast.web.app import application
from spinecast.web.audit import Audit
from spinecast.web.current import Current
from spinecast.web.gate import Gate
from spinecast.web.guard import Guard

HOST = "127.0.0.1:8000"
OURS = {"origin": f"http://{HOST}"}
GATE = Gate(frozenset({"127.0.0.1"}))
THEN = dt.datetime(2026, 11, 21, 9, 0, tzinfo=dt.UTC)


@dataclass
class Asker:
    """One client of an application."""

    app: Guard
    headers: Mapping[str, str] = field(default_factory=lambda: OURS)

    @classmethod
    def of(cls, current: Current, gate: Gate = GATE, audit: Audit | None = None) -> Asker:
        return cls(application(current, gate, audit or Audit(clock=lambda: THEN)))

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("POST", path, **more)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        if (data := more.pop("data", None)) is not None:  # an empty form is a form
            more["content"] = urlencode(data).encode()
            headers["content-type"] = "application/x-www-form-urlencoded"
        return RUNNER.run(self._client.request(method, path, headers=headers, **more))

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}")


# One loop for all requests: a new one for each takes longer than most answers.
RUNNER = asyncio.Runner()
atexit.register(RUNNER.close)
