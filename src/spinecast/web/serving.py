"""Starts the screen: checks what would make it unsafe, takes the port, says where to look."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spinecast.errors import Problem, UsageRefused
from spinecast.files import reason
from spinecast.web.app import application
from spinecast.web.audit import alone
from spinecast.web.current import Current
from spinecast.web.gate import Gate

LOOPBACK = ("localhost", "127.0.0.1", "::1")
SHORTEST_TOKEN = 32
KEEP_ALIVE = 15
MOST_CONNECTIONS = 256
NOT_STARTED = "The screen was not started"


@dataclass(frozen=True)
class Settings:
    """Where to answer, and what makes it safe elsewhere than on this machine.

    `names` are what browsers call this machine, besides the address itself.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None
    audit: Path | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can ask."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_everywhere(self) -> bool:
        """Whether every address of this machine is answered."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104 - what a person asked for

    @property
    def address(self) -> str:
        """What to type into a browser."""
        host = self.names[0] if self.names else self.host
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if self.tls_cert else 'http'}://{host}:{self.port}/"


def serve(current: Current, settings: Settings, say: Callable[[str], object]) -> None:
    """Answer until stopped.

    Args:
        current: the model in use.
        settings: where, and how safely.
        say: told where to look, once the port is ours.

    Raises:
        UsageRefused: the settings are not safe, the port is taken, or another server writes to the
            audit file; with every problem.
        DataRefused: the audit file was altered.
    """
    import uvicorn

    from spinecast.web.patience import Patience

    gate = gate_of(settings)
    _try_certificate(settings)
    with alone(settings.audit) as audit:
        taken = _socket(settings)
        config = uvicorn.Config(
            application(current, gate, audit),
            http=Patience,
            ws="none",
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=5,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
        )
        # What is there now stays; looking through it for garbage would stop everybody for 0.1 s.
        gc.freeze()
        say(settings.address)
        uvicorn.Server(config).run(sockets=[taken])


def gate_of(settings: Settings) -> Gate:
    """Who may ask under these settings.

    Raises:
        UsageRefused: with everything that is missing for it to be safe.
    """
    problems = list(_unsafe(settings))
    if problems:
        raise UsageRefused(NOT_STARTED, problems)
    token = settings.token_file.read_text("utf-8").strip() if settings.token_file else ""
    hosts = {settings.host.lower(), *(name.lower() for name in settings.names)}
    if settings.is_loopback:
        hosts.update(LOOPBACK)
    return Gate(frozenset(hosts), token, secure=settings.tls_cert is not None)


def _unsafe(settings: Settings) -> Iterator[Problem]:
    files = {
        "--tls-cert": settings.tls_cert,
        "--tls-key": settings.tls_key,
        "--token-file": settings.token_file,
    }
    for option, path in files.items():
        if path is None and not settings.is_loopback:
            allowed = "only this machine (127.0.0.1) is answered without it"
            remedy = f"Give it, or leave out --host {settings.host}."
            yield Problem(option, "not given", allowed, remedy)
        if path is not None:
            yield from _unreadable(option, path)
    if settings.is_everywhere and not settings.names:
        allowed = f"{settings.host} is every address of this machine, and none that is asked for"
        yield Problem("--name", "not given", allowed, "Give the name that browsers will use.")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        yield Problem("--tls-cert, --tls-key", "one of the two", "both or none")
    if settings.token_file is not None and settings.tls_cert is None:
        allowed = "a token is only sent over TLS"
        yield Problem(
            "--token-file", "given without TLS", allowed, "Give --tls-cert and --tls-key."
        )


def _try_certificate(settings: Settings) -> None:
    """Read certificate and key as the server will, so that it does not fail once it has begun."""
    if settings.tls_cert is None or settings.tls_key is None:
        return
    try:
        # An empty password: a key that has one is refused and not asked for on the terminal.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (ssl.SSLError, ValueError):
        where = f"--tls-cert {settings.tls_cert} --tls-key {settings.tls_key}"
        allowed = "a certificate and its own key without a password, both in PEM"
        given, remedy = "they are no such pair", "Have they been swapped? Ask whoever issued them."
        raise UsageRefused(NOT_STARTED, [Problem(where, given, allowed, remedy)]) from None


def _unreadable(option: str, path: Path) -> Iterator[Problem]:
    try:
        text = path.read_text("utf-8").strip()
    except OSError as error:
        yield Problem(f"{option} {path}", reason(error), "a file that can be read")
        return
    except ValueError:
        yield Problem(f"{option} {path}", "it is not text in UTF-8", "a text file")
        return
    if option != "--token-file":
        return
    make = "Make one: `python -c 'import secrets; print(secrets.token_urlsafe(32))' > FILE`."
    if len(text) < SHORTEST_TOKEN or not (text.isascii() and text.isprintable()) or " " in text:
        allowed = f"one word of at least {SHORTEST_TOKEN} characters"
        yield Problem(f"{option} {path}", f"{len(text)} characters", allowed, make)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        allowed = "only its owner may read it"
        yield Problem(f"{option} {path}", "others may read it", allowed, f"chmod 600 {path}")


def _socket(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named as TCP, or asyncio does not switch Nagle's delay off: 40 ms an answer.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((settings.host, settings.port))
    except OSError as error:
        taken.close()
        given = reason(error)
        remedy = "Stop what answers there, or name another one with --port."
        where = f"--host {settings.host} --port {settings.port}"
        allowed = "an address of this machine on which nothing answers yet"
        raise UsageRefused(NOT_STARTED, [Problem(where, given, allowed, remedy)]) from None
    return taken
