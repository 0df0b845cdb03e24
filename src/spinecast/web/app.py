"""The application: which address is answered by what, with the guard around it."""

from __future__ import annotations

import asyncio
import mimetypes
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from importlib import resources

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from spinecast.web.audit import Audit
from spinecast.web.contract import API_VERSION
from spinecast.web.current import Current
from spinecast.web.gate import Gate
from spinecast.web.guard import Guard
from spinecast.web.interface import Interface
from spinecast.web.pages import Pages
from spinecast.web.problems import TITLES, Problem

# Seconds between two looks at the model's folder.
LOOK_EVERY = 2.0
# FastAPI would hand what an exception says, which may quote a patient, to OpenTelemetry.
NO_TELEMETRY = TelemetryConfig(
    tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False
)
STATIC = ("spinecast.css", "spinecast.js", "icon.svg")


def application(current: Current, gate: Gate, audit: Audit | None = None) -> Guard:
    """The screen and the interface of the model in use, as ASGI.

    Args:
        current: the model in use.
        gate: who may ask.
        audit: where each use is noted; nowhere when None.
    """
    audit = audit or Audit()
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry=NO_TELEMETRY,
        lifespan=_watching(current),
    )
    _add_pages(app, Pages(current, gate, audit))
    _add_interface(app, Interface(current, audit))
    app.add_exception_handler(HTTPException, _nothing_here)
    return Guard(app, gate)


def _add_pages(app: FastAPI, pages: Pages) -> None:
    app.add_route("/", pages.form, methods=["GET", "POST"])
    for path, page in (
        ("/result", pages.result),
        ("/what-if", pages.what_if),
        ("/sheet", pages.sheet),
        ("/sheet.pdf", pages.sheet_pdf),
        ("/asked", pages.asked),
    ):
        # With GET the empty form: a reload of an address never shows a patient.
        app.add_route(path, page, methods=["GET", "POST"])
    app.add_route("/model", pages.model, methods=["GET"])
    app.add_route("/login", pages.login, methods=["GET", "POST"])
    app.add_route("/logout", pages.logout, methods=["POST"])
    app.add_route("/static/{name}", _static, methods=["GET"])


def _add_interface(app: FastAPI, interface: Interface) -> None:
    for prefix in ("/api", f"/api/v{API_VERSION}"):
        app.add_route(f"{prefix}/assess", interface.assess, methods=["POST"])
        app.add_route(f"{prefix}/assess-batch", interface.assess_batch, methods=["POST"])
        app.add_route(f"{prefix}/factors", interface.factors, methods=["GET"])
        app.add_route(f"{prefix}/model", interface.model, methods=["GET"])
        app.add_route(f"{prefix}/openapi.json", interface.schema, methods=["GET"])
    app.add_route("/healthz", interface.health, methods=["GET"])


def _watching(current: Current) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(_watch(current))
        yield
        watch.cancel()

    return lifespan


async def _watch(current: Current) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY)
        await asyncio.to_thread(look, current)


def look(current: Current) -> None:
    """Look at the model's folder; whoever runs the server is told, once, why it is not used."""
    before = current.refused
    current.look()
    if current.refused not in ("", before):
        print(f"spinecast: {current.refused}", file=sys.stderr)


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        raise HTTPException(404)
    headers = {"cache-control": "public, max-age=3600"}
    return Response(_file(name), media_type=mimetypes.guess_type(name)[0], headers=headers)


@cache
def _file(name: str) -> bytes:
    return resources.files("spinecast.web").joinpath("static", name).read_bytes()


async def _nothing_here(request: Request, error: Exception) -> Response:  # noqa: ARG001
    status = error.status_code if isinstance(error, HTTPException) else 500
    kind = next((kind for kind, (code, _) in TITLES.items() if code == status), "bug")
    headers = error.headers if isinstance(error, HTTPException) else None
    return Problem(kind).response((headers or {}).items())
