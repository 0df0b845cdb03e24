"""Who may ask, and that nothing a patient answered is ever written anywhere."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from asking import GATE, HOST, OURS, THEN, Asker
from browsing import served
from spinecast.errors import DataRefused, UsageRefused
from spinecast.web import gate, guard, pages, patience
from spinecast.web.audit import Audit, alone, verify
from spinecast.web.current import Current
from spinecast.web.gate import COOKIE, SESSION_SECONDS, Buckets, Gate, Sessions
from spinecast.web.guard import name_of
from spinecast.web.serving import Settings, gate_of, serve

TOKEN = "a-token-of-more-than-thirty-two-characters"
EXAMPLE = {"age": "54", "smoking_status": "current"}


@pytest.fixture(scope="module")
def current(bundle_folder) -> Current:
    return Current.start(bundle_folder)


@pytest.fixture
def asker(current) -> Asker:
    return Asker.of(current)


@pytest.fixture
def locked(current) -> Asker:
    """As it is off loopback: a token is needed."""
    asker = Asker.of(current, Gate(frozenset({"127.0.0.1"}), TOKEN, secure=True))
    return replace(asker, headers={"origin": f"https://{HOST}"})


# --- where a request comes from -----------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost:1"]
)
def test_another_host_name_is_refused(asker, host):
    response = asker.get("/", headers={"host": host})
    assert response.status_code == 400
    assert response.json()["type"].endswith(":host")


@pytest.mark.parametrize(
    ("host", "name"),
    [(b"LOCALHOST:8000", "localhost"), (b"[::1]:8000", "::1"), (b"h", "h"), (b"", "")],
)
def test_the_name_of_a_host_is_without_its_port(host, name):
    assert name_of(host) == name


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": f"http://{HOST}", "sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": f"http://{HOST}", "sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/result", "/api/assess", "/sheet.pdf", "/login", "/logout"])
def test_a_form_from_another_site_is_refused(current, headers, path):
    response = Asker.of(current).post(path, data=EXAMPLE, headers=headers)
    assert response.status_code == 403


def test_a_form_that_does_not_say_where_it_comes_from_is_refused_but_a_program_is_not(current):
    program = Asker(Asker.of(current).app, headers={})
    assert program.post("/result", data=EXAMPLE).status_code == 403
    assert program.post("/api/assess", json=EXAMPLE).status_code == 200
    assert program.post(
        "/result", data=EXAMPLE, headers={"sec-fetch-site": "same-origin"}
    ).is_success


def test_a_page_without_tls_cannot_send_to_one_with(locked):
    sent = {"data": {"token": TOKEN}}
    assert locked.post("/login", **sent, headers={"origin": f"http://{HOST}"}).status_code == 403
    assert locked.post("/login", **sent, headers={"origin": f"https://{HOST}"}).status_code == 303


# --- what every response carries ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("GET", "/", {}), ("POST", "/result", {"data": EXAMPLE}), ("GET", "/healthz", {}),
        ("POST", "/api/assess", {"json": EXAMPLE}), ("GET", "/nothing", {}),
        ("GET", "/static/spinecast.css", {}), ("GET", "/", {"headers": {"host": "evil"}}),
    ],
)  # fmt: skip
def test_no_page_may_run_a_script_of_others_or_be_framed(asker, method, path, more):
    headers = asker.ask(method, path, **more).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert ("no-store" in headers["cache-control"]) == (not path.startswith("/static"))
    assert "set-cookie" not in headers
    assert "strict-transport-security" not in headers


def test_no_page_has_a_script_or_a_style_of_its_own(asker):
    for path in ("/", "/model", "/result", "/what-if", "/sheet"):
        page = asker.get(path).text if path == "/model" else asker.post(path, data=EXAMPLE).text
        assert " style=" not in page
        assert "<style" not in page
        assert page.count("<script") == 1
        assert '<script src="/static/spinecast.js" defer></script>' in page
        assert " onclick=" not in page


# --- how much, how long, how often --------------------------------------------------------------


def test_a_body_that_never_ends_is_given_up(current, monkeypatch):
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.05)

    async def slow():
        yield b'{"age":'
        await asyncio.sleep(5)
        yield b"54}"

    json_ = {"content-type": "application/json"}
    response = Asker.of(current).post("/api/assess", content=slow(), headers=json_)
    assert response.status_code == 408
    assert response.headers["connection"] == "close"


@given(st.lists(st.floats(0, 5), max_size=200))
def test_nobody_asks_more_often_than_a_bucket_and_what_drips_into_it(waits):
    buckets, now, allowed = Buckets(10.0, 2.0), 0.0, 0
    for wait in waits:
        now += wait
        allowed += buckets.take("one", now)
    assert allowed <= 10 + 2 * now + 1e-6
    assert allowed >= min(len(waits), 10)


def test_whoever_asks_too_often_has_to_wait_and_others_do_not():
    buckets = Buckets(2.0, 0.0)
    assert [buckets.take("one", 0.0) for _ in range(3)] == [True, True, False]
    assert buckets.take("another", 0.0)


def test_addresses_are_not_remembered_without_end(monkeypatch):
    monkeypatch.setattr(gate, "MOST_ADDRESSES", 10)
    buckets = Buckets(2.0, 0.0)
    for number in range(100):
        buckets.take(str(number), 0.0)
    assert len(buckets._left) == 10


def test_off_loopback_too_many_requests_are_refused(current):
    asker = Asker.of(current, Gate(frozenset({"127.0.0.1"}), TOKEN, asked=Buckets(1.0, 0.0)))
    assert asker.get("/healthz").status_code == 200
    assert asker.get("/healthz").status_code == 429


# --- the token ----------------------------------------------------------------------------------


def test_without_the_token_nothing_about_a_patient_is_answered(locked):
    for path in ("/", "/model", "/result"):
        response = locked.get(path)
        assert response.status_code == 303
        assert response.headers["location"] == "/login"
    assert locked.post("/api/assess", json=EXAMPLE).status_code == 401
    assert locked.get("/healthz").status_code == 200
    assert locked.get("/login").status_code == 200


def test_a_program_sends_the_token_and_a_wrong_one_is_refused(locked):
    def ask(token: str) -> int:
        headers = {"authorization": f"Bearer {token}"}
        return locked.post("/api/assess", json=EXAMPLE, headers=headers).status_code

    assert [ask(TOKEN) for _ in range(20)] == [200] * 20
    assert ask(TOKEN + "x") == 401
    assert ask("") == 401
    tried = [ask(f"wrong {number}") for number in range(10)]
    assert tried[-1] == 429


def test_a_browser_exchanges_the_token_for_a_session(locked):
    wrong = locked.post("/login", data={"token": "wrong"})
    assert wrong.status_code == 401
    assert "wrong" not in wrong.headers.get("set-cookie", "")
    right = locked.post("/login", data={"token": TOKEN})
    cookie = right.headers["set-cookie"]
    for said in ("HttpOnly", "Secure", "samesite=strict", "Path=/"):
        assert said.lower() in cookie.lower()
    assert TOKEN not in cookie
    assert locked.get("/", headers={"cookie": cookie.partition(";")[0]}).status_code == 200
    assert "strict-transport-security" in right.headers


def test_however_many_log_in_from_one_address_only_wrong_tokens_make_it_wait(locked):
    def log_in(token: str) -> int:
        return locked.post("/login", data={"token": token}).status_code

    assert [log_in(TOKEN) for _ in range(20)] == [303] * 20
    assert [log_in("wrong") for _ in range(6)] == [401] * 5 + [429]
    assert log_in(TOKEN) == 429


@given(st.text(max_size=80))
def test_no_invented_session_is_admitted(text):
    sessions = Sessions()
    sessions.begin(0.0)
    assert not sessions.holds(text, 0.0)


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_a_session_ends_by_itself_or_when_it_is_ended_and_no_other_with_it(leaving):
    sessions = Sessions()
    begun = [sessions.begin(0.0) for _ in leaving]
    assert len(set(begun)) == len(leaving)
    for session, leaves in zip(begun, leaving, strict=True):
        if leaves:
            sessions.end(session)
    assert [sessions.holds(session, 1.0) for session in begun] == [not one for one in leaving]
    assert not any(sessions.holds(session, SESSION_SECONDS) for session in begun)


def test_sessions_are_not_remembered_without_end(monkeypatch):
    monkeypatch.setattr(gate, "MOST_SESSIONS", 3)
    sessions = Sessions()
    begun = [sessions.begin(0.0) for _ in range(5)]
    assert [sessions.holds(session, 1.0) for session in begun] == [False] * 2 + [True] * 3


def test_whoever_logs_out_is_let_in_no_more_and_others_still_are(locked):
    def log_in() -> dict[str, str]:
        cookie = locked.post("/login", data={"token": TOKEN}).headers["set-cookie"]
        return {"cookie": cookie.partition(";")[0]}

    leaving, staying = log_in(), log_in()
    assert locked.get("/logout", headers=leaving).status_code == 405
    assert locked.get("/", headers=leaving).status_code == 200
    left = locked.post("/logout", data={"lang": "de"}, headers=leaving)
    assert left.status_code == 303
    assert left.headers["location"] == "/login?lang=de"
    cookie = left.headers["set-cookie"]
    assert cookie.startswith(f'{COOKIE}="";')
    assert "max-age=0" in cookie.lower()
    # A browser takes no word about a cookie with this prefix that lacks these.
    assert "Secure" in cookie
    assert "Path=/" in cookie
    # Also with the cookie that was copied before.
    assert locked.get("/", headers=leaving).headers["location"] == "/login"
    assert locked.post("/api/assess", json=EXAMPLE, headers=leaving).status_code == 401
    assert locked.get("/", headers=staying).status_code == 200


def test_only_where_one_logs_in_can_one_log_out(asker, locked):
    assert "/logout" not in asker.get("/").text
    cookie = locked.post("/login", data={"token": TOKEN}).headers["set-cookie"].partition(";")[0]
    for path in ("/", "/model", "/result", "/what-if", "/sheet"):
        method, sent = ("GET", {}) if path == "/model" else ("POST", {"data": EXAMPLE})
        page = locked.ask(method, path, headers={"cookie": cookie}, **sent).text
        assert page.count('<form method="post" action="/logout">') == 1
    assert "/logout" not in locked.get("/login").text


def test_a_broken_cookie_is_no_session(locked):
    for cookie in (f"{COOKIE}", f"{COOKIE}=..", "=;=;", "\x80"):
        assert locked.get("/", headers={"cookie": cookie.encode("latin-1")}).status_code == 303


# --- no value anywhere --------------------------------------------------------------------------

MARK = "73195"  # stands in no number of ours


def test_no_value_of_a_patient_is_printed_or_put_into_a_header_or_an_address(
    current, capfd, tmp_path, monkeypatch
):
    audit = Audit.open(tmp_path / "audit.jsonl")
    asker = Asker.of(current, GATE, audit)
    marked = {
        "patient_id": f"K{MARK}", "age": f"54.{MARK}", "bmi": MARK, "nrs_back": f"x{MARK}",
        "sex": f"s{MARK}", "own_estimate": MARK, "made_at": MARK, "if.bmi": MARK,
    }  # fmt: skip
    good = {"patient_id": f"K{MARK}", "age": f"54.{MARK}"}
    answered = [
        asker.post(path, data=sent)
        for path in ("/", "/result", "/what-if", "/sheet", "/sheet.pdf", "/asked")
        for sent in (marked, good)
    ]
    answered += [asker.post("/api/assess", json=sent) for sent in (marked, good)]
    answered += [asker.post("/api/assess-batch", json={"patients": [marked, good]})]
    answered += [asker.post("/api/assess", content=f"{{{MARK}".encode(), headers=OURS)]
    # A bug, and one that quotes what it was given.
    monkeypatch.setattr(pages.Desk, "assess", lambda self, sent: int(f"bug {sent.typed}"))
    answered += [asker.post("/result", data=good)]
    assert answered[-1].status_code == 500
    for response in answered:
        said = response.headers.multi_items()
        assert MARK not in str(said)
        assert MARK not in str(response.url)
        if not response.is_success and "json" in response.headers["content-type"]:
            assert MARK not in response.text
    printed = capfd.readouterr()
    assert "ValueError in" in printed.err
    assert MARK not in printed.out + printed.err
    assert MARK not in (tmp_path / "audit.jsonl").read_text()


def test_what_an_exception_says_is_handed_to_nobody(asker):
    told = asker.app.app._telemetry
    assert not any(told[name] for name in ("tracing", "metrics", "logs", "operation_spans"))


def test_no_form_sends_a_value_in_an_address(asker):
    for path in ("/", "/result", "/what-if", "/sheet"):
        page = asker.post(path, data=EXAMPLE).text
        assert page.count("<form") == page.count('<form method="post"')


# --- the audit file -----------------------------------------------------------------------------


def test_the_audit_notes_each_use_and_goes_on_where_it_stopped(current, tmp_path):
    path = tmp_path / "audit.jsonl"
    for _ in range(2):
        asker = Asker.of(current, GATE, Audit.open(path))
        asker.post("/result", data=EXAMPLE)
        asker.post("/api/assess", json=EXAMPLE)
        asker.post("/api/assess", json={"age": 3})
        asker.post("/result", data={"spinal_tumour": "yes"})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["door"] for line in lines] == ["page", "api", "api", "page"] * 2
    assert [line["status"] for line in lines] == ["scored", "scored", "refused", "refused"] * 2
    assert lines[0]["input"] == lines[1]["input"]
    assert verify(path) == lines[-1]["hash"]


@pytest.mark.parametrize("spoil", ["alter", "remove", "swap", "nonsense"])
def test_an_altered_audit_is_refused_with_the_line(current, tmp_path, spoil):
    path = tmp_path / "audit.jsonl"
    asker = Asker.of(current, GATE, Audit.open(path))
    for age in (50, 51, 52):
        asker.post("/api/assess", json={"age": age})
    one, two, three = path.read_text().splitlines()
    path.write_text("\n".join({
        "alter": [one, two.replace("scored", "refused"), three],
        "remove": [one, three],
        "swap": [two, one, three],
        "nonsense": [one, "[]", three],
    }[spoil]) + "\n")  # fmt: skip
    with pytest.raises(DataRefused, match=f"line {1 if spoil == 'swap' else 2}"):
        Audit.open(path)


def test_an_audit_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(UsageRefused, match="audit"):
        Audit.open(tmp_path / "nowhere" / "audit.jsonl")


def test_a_second_server_on_one_audit_file_is_refused_before_it_listens(current, tmp_path):
    path, link = tmp_path / "audit.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(path)
    told: list[str] = []
    with alone(path):
        for name in (path, link):
            with pytest.raises(UsageRefused, match="another server writes to it") as refused:
                serve(current, Settings(port=free_port(), audit=name), told.append)
            assert "--audit" in str(refused.value)
    assert told == []
    with alone(path) as audit:
        assert audit.path == path


def test_a_server_that_was_killed_locks_nothing(current, tmp_path):
    path = tmp_path / "audit.jsonl"
    holding = (
        "import sys, time; from pathlib import Path; from spinecast.web.audit import alone\n"
        "with alone(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UsageRefused, match="another server"), alone(path):
            pass
        process.kill()
    with alone(path) as audit:
        Asker.of(current, GATE, audit).post("/api/assess", json={})
    assert len(path.read_text().splitlines()) == 1


def test_an_audit_beside_which_no_lock_can_stand_is_refused(tmp_path):
    with pytest.raises(UsageRefused, match="no such file"), alone(tmp_path / "none" / "audit"):
        pass
    assert not (tmp_path / "none").exists()


def test_a_line_that_does_not_fit_on_the_disk_leaves_the_audit_as_it_was(current, tmp_path):
    path = tmp_path / "audit.jsonl"
    asker = Asker.of(current, GATE, Audit.open(path))
    assert asker.post("/api/assess", json={}).status_code == 200
    kept = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) + 10, limits[1]))
    try:
        assert asker.post("/api/assess", json={}).status_code == 500
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == kept
    assert asker.post("/api/assess", json={}).status_code == 200
    assert verify(path)
    assert len(path.read_text().splitlines()) == 2


def test_what_if_is_noted_also_before_anything_differs(current, tmp_path):
    path = tmp_path / "audit.jsonl"
    asker = Asker.of(current, GATE, Audit.open(path))
    asker.post("/what-if", data=EXAMPLE)
    asker.post("/what-if", data=EXAMPLE | {"if.smoking_status": "never"})
    own, other = (json.loads(line) for line in path.read_text().splitlines())
    assert own["door"] == other["door"] == "what-if"
    assert own["input"] != other["input"]


def test_an_audit_line_bears_the_time(current, tmp_path):
    path = tmp_path / "audit.jsonl"
    audit = Audit.open(path)
    audit.clock = lambda: THEN
    Asker.of(current, GATE, audit).post("/api/assess", json={})
    assert json.loads(path.read_text())["time"] == "2026-11-21T09:00:00+00:00"


# --- how it is started --------------------------------------------------------------------------


def token_file(folder: Path, text: str = TOKEN, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "spine.example", "10.0.0.1"])
def test_another_address_than_loopback_needs_tls_and_a_token(host):
    with pytest.raises(UsageRefused) as refused:
        gate_of(Settings(host=host))
    missing = {problem.where for problem in refused.value.problems}
    assert missing - {"--name"} == {"--tls-cert", "--tls-key", "--token-file"}
    assert ("--name" in missing) == (host in ("0.0.0.0", "::"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_needs_no_login_and_answers_to_its_names_alone(host):
    loopback = gate_of(Settings(host=host))
    assert loopback.token == ""
    assert loopback.hosts == {"localhost", "127.0.0.1", "::1", host}


def test_with_tls_and_a_token_another_address_may_be_answered(tmp_path):
    pem = tmp_path / "pem"
    pem.write_text("-----BEGIN")
    settings = Settings("0.0.0.0", 8443, ("spine.example",), pem, pem, token_file(tmp_path))
    locked = gate_of(settings)
    assert locked.token == TOKEN
    assert locked.hosts == {"0.0.0.0", "spine.example"}
    assert settings.address == "https://spine.example:8443/"


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("short", 0o600, "at least 32"), (TOKEN, 0o644, "others may read it"),
        ("two words " * 5, 0o600, "one word"), ("ä" * 40, 0o600, "one word"),
    ],
)  # fmt: skip
def test_a_weak_token_is_refused(tmp_path, text, mode, said):
    path = token_file(tmp_path, text, mode)
    pem = tmp_path / "pem"
    pem.write_text("x")
    with pytest.raises(UsageRefused, match=said) as refused:
        gate_of(Settings("0.0.0.0", tls_cert=pem, tls_key=pem, token_file=path))
    assert text not in str(refused.value)


def test_a_token_is_never_sent_without_tls_and_files_must_be_there(tmp_path):
    with pytest.raises(UsageRefused, match="over TLS"):
        gate_of(Settings(token_file=token_file(tmp_path)))
    with pytest.raises(UsageRefused, match="no such file"):
        gate_of(Settings(tls_cert=tmp_path / "none", tls_key=tmp_path / "none"))


def test_a_certificate_that_is_none_is_said_before_anything_is_answered(current, tmp_path):
    pem = tmp_path / "pem"
    pem.write_text("-----BEGIN CERTIFICATE-----")
    told: list[str] = []
    with pytest.raises(UsageRefused, match="PEM"):
        serve(current, Settings(port=0, tls_cert=pem, tls_key=pem), told.append)
    assert told == []


def test_nobody_waits_while_what_was_there_before_is_searched_for_garbage(current, monkeypatch):
    frozen: list[int] = []

    def run(_: uvicorn.Server, sockets: list[socket.socket]) -> None:
        frozen.append(gc.get_freeze_count())
        sockets[0].close()

    monkeypatch.setattr(uvicorn.Server, "run", run)
    try:
        serve(current, Settings(port=free_port()), lambda _: None)
    finally:
        gc.unfreeze()
    assert frozen[0] > 100_000


def test_a_port_that_is_taken_is_said(current):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageRefused, match="already in use") as refused:
            serve(current, Settings(port=port), lambda _: None)
    assert "--port" in str(refused.value)


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen]:
    """`spinecast serve` as a user starts it, until it is stopped."""
    process = subprocess.Popen(
        [sys.executable, "-m", "spinecast", "serve", *arguments],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        yield process
        process.terminate()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_head_that_does_not_come_in_time_ends_the_connection_and_others_are_answered(
    current, monkeypatch
):
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.2)
    with served(current) as address:
        port = int(address.rpartition(":")[2].strip("/"))
        with socket.create_connection(("127.0.0.1", port), timeout=5) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
            assert httpx.get(address + "healthz").status_code == 200
            assert slow.recv(1) == b""


class Wire:
    """What a connection was given to send, piece by piece."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True


@given(st.lists(st.tuples(st.binary(max_size=3), st.booleans()), max_size=8), st.booleans())
def test_all_that_is_written_is_sent_in_order_and_soon(pieces, closing):
    async def write() -> Wire:
        wire = Wire()
        whole = patience.Whole(wire, asyncio.get_running_loop())
        for piece, waiting in pieces:
            whole.write(piece)
            if waiting:
                await asyncio.sleep(0)
        if closing:
            whole.close()
        else:
            await asyncio.sleep(0)
        return wire

    wire = asyncio.run(write())
    assert b"".join(wire.sent) == b"".join(piece for piece, _ in pieces)
    assert wire.closed == closing


def test_head_and_body_are_sent_as_one_piece(current):
    sent: list[bytes] = []

    class Watched(patience.Whole):
        def __init__(self, transport, loop) -> None:
            write = transport.write
            transport.write = lambda data: (sent.append(bytes(data)), write(data))
            super().__init__(transport, loop)

    with pytest.MonkeyPatch.context() as patched, served(current) as address:
        patched.setattr(patience, "Whole", Watched)
        assert httpx.post(address + "api/assess", json=EXAMPLE).status_code == 200
    assert len(sent) == 1


def test_the_command_says_where_to_look_and_serves_without_a_model(tmp_path):
    port = free_port()
    with running("--model", str(tmp_path / "none"), "--port", str(port)) as process:
        assert process.stderr.readline() == f"Open http://127.0.0.1:{port}/\n"
        assert f"No model in {tmp_path / 'none'} yet" in process.stderr.readline()
        response = ask_until_there(f"http://127.0.0.1:{port}/")
        assert response.status_code == 503
        assert "spinecast train" in response.text
        process.terminate()
        assert process.stderr.read() == ""


def ask_until_there(address: str) -> httpx.Response:
    for _ in range(200):
        try:
            return httpx.get(address)
        except httpx.ConnectError:
            time.sleep(0.05)
    raise AssertionError(address)


def test_a_broken_model_is_refused_at_the_start_with_exit_code_4(tmp_path):
    (tmp_path / "model").mkdir()
    with running("--model", str(tmp_path / "model")) as process:
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 4
    assert "manifest.json" in said
    assert "Traceback" not in said
