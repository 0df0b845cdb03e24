"""HTTP connections that do not wait for ever, and send a response as one piece."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0


class Patience(H11Protocol):
    """Closes a connection whose request head has not come whole in time.

    uvicorn waits for a head without end, so a few hundred idle connections would keep everybody
    else out. The body's time is the guard's.
    """

    _alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(Whole(transport, self.loop))  # type: ignore[arg-type]
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait for a further head, from its first byte on."""
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._alarm is not None:
            self._alarm.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._alarm is None:
            self._alarm = self.loop.call_later(HEAD_SECONDS, self._look)

    def _look(self) -> None:
        """Close, if no request is being answered; what is kept open is waited for elsewhere."""
        self._alarm = None
        if self.timeout_keep_alive_task is None and self._is_idle:
            self.transport.close()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete


class Whole:
    """A transport that sends what is written at once as one piece, or in the loop's next turn.

    uvicorn writes a response's head, then its body. Each would be a call to the system and a packet
    of its own, for an eighth of what an answer costs in all.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop, self._held = transport, loop, b""

    def write(self, data: bytes) -> None:
        """Hold the first piece, and send it with the second."""
        if self._held:
            data, self._held = self._held + data, b""
            self._transport.write(data)
        elif data:
            self._held = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Send what is held, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            self.write(b"")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        return getattr(self._transport, name)
