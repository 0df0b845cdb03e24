"""A real browser before a real server, both on this machine: what a surgeon would see and do."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from spinecast.web.app import application
from spinecast.web.current import Current
from spinecast.web.gate import Gate
from spinecast.web.patience import Patience

LOOPBACK = Gate(frozenset({"127.0.0.1"}))


def chromium() -> str | None:
    """Where the browser is: CHROMIUM_PATH, or on the path; None when there is none."""
    named = os.environ.get("CHROMIUM_PATH")
    return named or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def served(current: Current, gate: Gate = LOOPBACK) -> Iterator[str]:
    """The address of a server that runs as long as this lasts."""
    config = uvicorn.Config(
        application(current, gate), port=0, http=Patience, log_level="error", access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join()


def tab_to(page: Any, name: str) -> None:
    """Press Tab until the field of that name has the focus."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name || ''") == name:
            return
    raise AssertionError(f"the keyboard does not reach {name}")


def fill(page: Any, answers: dict[str, str]) -> None:
    """Answer questions by name, whatever kind of field they are."""
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    for name, value in answers.items():
        field = page.locator(f"[name='{name}']")
        kind = field.first.evaluate("one => one.type")
        if kind == "radio":
            page.locator(f"[name='{name}'][value='{value}']").check()
        elif kind.startswith("select"):
            field.select_option(value)
        else:
            field.fill(value)
