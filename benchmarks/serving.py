"""Serving: the screen's interface beside `mlflow models serve` of the same model, in one run.

Run with `make bench-serving`. It trains a small model, starts both servers, and asks them for the
same patient over connections that are kept open. Ours answers with explanation, interval, cautions
and actions; MLflow's with risk, interval and contributions.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS, THEIRS = 8731, 8732
PATIENT = ROOT / "data" / "example_patient.json"


@dataclass(frozen=True)
class Load:
    """What some clients got: sorted latencies in seconds, errors, how long it took.

    `processor` is what the server's processes worked meanwhile, in seconds; unlike the others it
    hardly depends on what else the machine does.
    """

    latencies: list[float]
    errors: int
    seconds: float
    processor: float

    @property
    def median(self) -> float:
        """The middle latency."""
        return statistics.median(self.latencies)

    @property
    def p99(self) -> float:
        """What all but one in a hundred waited less than."""
        return self.latencies[int(0.99 * (len(self.latencies) - 1))]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5.0, help="Of each measurement.")
    options.add_argument("--long", type=float, default=60.0, help="With fifty clients.")
    given = options.parse_args()
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        uri = _train(folder)
        patients = _patients(folder / "model")
        with _screen(folder / "model") as ours, _mlflow(folder, uri) as theirs:
            for what, patient in patients.items():
                _compare(what, patient, given.seconds, ours, theirs)
            _endure(ours, patients["example patient"], given.long)
            _first_paint()


def _train(folder: Path) -> str:
    """A model of the synthetic cohort, recorded; its URI for MLflow."""
    cohort, recipe = ROOT / "data/synthetic/cohort.csv", ROOT / "experiments/001-evidence.toml"
    command = [sys.executable, "-m", "spinecast", "train", str(cohort), "--experiment", str(recipe)]
    command += ["--out", str(folder / "model"), "--runs", str(folder / "runs")]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    return next(word for word in told.split() if word.startswith("models:/")).rstrip(".")


def _patients(model: Path) -> dict[str, dict[str, object]]:
    from spinecast.explaining.scoring import Scorer

    registry = Scorer.load(model).registry
    example = {k: v for k, v in json.loads(PATIENT.read_text()).items() if v is not None}
    known = {factor.name: factor.value_of(factor.reference_code) for factor in registry.factors}
    return {"everything known": known | example, "example patient": example}


@contextmanager
def _screen(model: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "spinecast", "serve", "--model", str(model)]
    with _running(
        [*command, "--port", str(OURS)], os.environ, f"http://127.0.0.1:{OURS}/healthz"
    ) as pid:
        yield pid


@contextmanager
def _mlflow(folder: Path, uri: str) -> Iterator[int]:
    mlflow = Path(sys.executable).with_name("mlflow")
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/runs/mlflow.db",
        "PATH": f"{mlflow.parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [str(mlflow), "models", "serve", "-m", uri, "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(THEIRS)]
    with _running(command, environment, f"http://127.0.0.1:{THEIRS}/ping") as pid:
        yield pid


@contextmanager
def _running(command: list[str], environment: object, ready: str) -> Iterator[int]:
    """A server in a process group of its own, until it is no longer needed."""
    process = subprocess.Popen(  # noqa: S603 - our own commands
        command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        _wait(ready)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _wait(address: str) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(address, timeout=1):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError(address)


def _request(port: int, path: str, body: object) -> bytes:
    sent = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent


async def _ask(port: int, request: bytes, until: float, seen: list[float]) -> int:
    """One client: asks, reads the whole answer, asks again. Returns its errors."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    errors = 0
    try:
        while time.perf_counter() < until:
            start = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            errors += b" 200 " not in head[:16]
            seen.append(time.perf_counter() - start)
    finally:
        writer.close()
    return errors


def _load(port: int, request: bytes, clients: int, seconds: float, pid: int = 0) -> Load:
    async def all_of_them(seconds: float) -> Load:
        start = time.perf_counter()
        seen: list[float] = []
        spent = _processor(pid)
        asking = [_ask(port, request, start + seconds, seen) for _ in range(clients)]
        errors = sum(await asyncio.gather(*asking))
        took = time.perf_counter() - start
        return Load(sorted(seen), errors, took, _processor(pid) - spent)

    asyncio.run(all_of_them(1.0))
    return asyncio.run(all_of_them(seconds))


def _compare(what: str, patient: dict[str, object], seconds: float, ours: int, theirs: int) -> None:
    our = _request(OURS, "/api/assess", patient)
    their = _request(THEIRS, "/invocations", {"dataframe_records": [patient]})
    one, other = _load(OURS, our, 1, seconds), _load(THEIRS, their, 1, seconds)
    print(f"{what}, 1 client: median {_ms(one.median)} ours, {_ms(other.median)} mlflow", end="; ")
    print(f"{other.median / one.median:.1f} times as fast (goal 5)")
    one, other = _load(OURS, our, 16, seconds, ours), _load(THEIRS, their, 16, seconds, theirs)
    print(f"{what}, 16 clients: {one.rate:,.0f} a second ours, {other.rate:,.0f} mlflow", end="; ")
    print(f"{one.rate / other.rate:.1f} times (goal 20); p99 {_ms(one.p99)} (goal under 50 ms)")
    cost, price = (told.processor / len(told.latencies) for told in (one, other))
    print(f"{what}, processor time of an answer: {_ms(cost)} ours, {_ms(price)} mlflow", end="; ")
    print(f"{price / cost:.1f} times; errors {one.errors}, {other.errors}", flush=True)


def _endure(pid: int, patient: dict[str, object], seconds: float) -> None:
    request = _request(OURS, "/api/assess", patient)
    _load(OURS, request, 50, min(seconds, 5.0))
    before = _memory(pid)
    told = _load(OURS, request, 50, seconds)
    grown = _memory(pid) / before - 1
    print(f"{seconds:.0f} s, 50 clients: {told.rate:,.0f} a second, {told.errors} errors", end="; ")
    print(f"memory {100 * grown:+.1f}% (goal no error, under 5%)", flush=True)


def _processor(group: int) -> float:
    """Seconds the processes of a group have worked; 0 without a group. Linux only."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat") if group else ():
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    """Resident memory in kB; Linux only."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def _first_paint() -> None:
    """How soon the form is seen, and what it weighs; only where there is a browser."""
    chromium = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium")
    if chromium is None:
        print("first paint: no chromium")
        return
    from playwright.sync_api import sync_playwright

    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    seen, weight = [], 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(5):
            page = browser.new_page()
            weights: list[int] = []
            page.on("response", lambda answer, into=weights: into.append(len(answer.body())))
            page.goto(f"http://127.0.0.1:{OURS}/", wait_until="networkidle")
            seen.append(page.evaluate(paint))
            weight = sum(weights)
            page.close()
        browser.close()
    print(f"first paint of the form: {statistics.median(seen):.0f} ms (goal under 300)", end="; ")
    print(f"page weight {weight / 1000:.0f} kB (goal under 150)")


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


if __name__ == "__main__":
    main()
