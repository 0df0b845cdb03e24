"""Asks the application without a network: what a browser or a program would send and get."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from spinecast.web.app import application
from spinecast.web.audit import Audit
from spinecast.web.current import Current
from spinecast.web.guard import Gate, Guard

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
        return asyncio.run(self._ask(method, path, **more))

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            return await client.request(method, path, headers=headers, **more)
