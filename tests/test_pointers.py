from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.reports.pointers import Pointer, ReportFolder

# The document and the values of RFC 6901, section 5; those that say nothing left out.
RFC = {
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6,
    " ": 7, "m~n": 8,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rfc.json").write_text(json.dumps(RFC))
    empties = {"null": None, "text": " ", "list": [], "table": {}, "zero": 0, "no": False}
    (tmp_path / "empty.json").write_text(json.dumps(empties))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "page.html").write_text(
        """<!doctype html><h2 id="heading">Words</h2>
        <section id="said"><h2>Said</h2><p>Something<br>more &amp; more<p>unclosed</section>
        <section id="announced"><h2>Announced only</h2><style>p {}</style></section>
        <section id="blank"></section><section id="gone" data-missing><p>missing</p></section>
        <figure id="drawn"><svg><title>Calibration</title></svg></figure>
        <figure id="photo"><img src="x" alt=""></figure><!-- <p id="comment">x</p> -->
        <script>"<p id='scripted'>x</p>"</script><div id="outer"><p id="inner">in"""
    )
    (tmp_path / "plot.svg").write_text("<svg/>")
    (tmp_path / "nothing.svg").write_text("")
    (tmp_path / "study.toml").write_text('[conduct]\nfunding = "None"\nethics = "TODO"')
    return tmp_path


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("#/foo", ["bar", "baz"]), ("#/foo/0", "bar"), ("#/", 0), ("#/a~1b", 1), ("#/c%25d", 2),
        ("#/e%5Ef", 3), ("#/g%7Ch", 4), ("#/i%5Cj", 5), ("#/k%22l", 6), ("#/%20", 7),
        ("#/m~0n", 8), ("#", RFC),
    ],
)  # fmt: skip
def test_json_pointers_lead_where_rfc_6901_says(folder, pointer, value):
    assert ReportFolder(folder).find(f"rfc.json{pointer}") == value


@pytest.mark.parametrize("place", ["/foo/2", "/foo/00", "/foo/-", "/foo/bar", "/nope", "/m~0n/x"])
def test_json_pointers_that_lead_nowhere_do_not_resolve(folder, place):
    assert not ReportFolder(folder).resolves(f"rfc.json#{place}")


@pytest.mark.parametrize("key", ["null", "text", "list", "table"])
def test_an_empty_answer_is_no_answer(folder, key):
    assert not ReportFolder(folder).resolves(f"empty.json#/{key}")


@pytest.mark.parametrize("key", ["zero", "no"])
def test_none_and_no_are_answers(folder, key):
    assert ReportFolder(folder).resolves(f"empty.json#/{key}")


@pytest.mark.parametrize("name", ["said", "drawn", "photo", "outer", "inner"])
def test_an_element_that_says_or_shows_something_resolves(folder, name):
    assert ReportFolder(folder).resolves(f"page.html#{name}")


@pytest.mark.parametrize(
    "name", ["heading", "announced", "blank", "gone", "comment", "scripted", "absent"]
)
def test_an_element_that_only_announces_does_not_resolve(folder, name):
    assert not ReportFolder(folder).resolves(f"page.html#{name}")


def test_a_study_resolves_where_a_person_wrote_something(folder):
    assert ReportFolder(folder).resolves("study.toml#conduct.funding")
    assert not ReportFolder(folder).resolves("study.toml#conduct.ethics")
    assert not ReportFolder(folder).resolves("study.toml#conduct.consent")


def test_a_file_resolves_when_there_is_something_in_it(folder):
    assert ReportFolder(folder).resolves("plot.svg")
    for name in ("nothing.svg", "absent.svg", "broken.json#/a", "absent.json#/a", "absent.html#a"):
        assert not ReportFolder(folder).resolves(name)


def test_a_damaged_study_answers_nothing(folder):
    (folder / "study.toml").write_text('[conduct]\nfunding = "None"\nfounding = ""')
    assert not ReportFolder(folder).resolves("study.toml#conduct.funding")


@pytest.mark.parametrize(
    "pointer",
    [
        "", "#a", "../secret.json#/a", "/etc/passwd", "a/../b.json#/a", ".hidden", "a//b",
        "a.json#a", "a.json#/~2", "a.html#", "a.html#/a", "a.html#two words", "plot.svg#a",
        "study.toml", "study.toml#", "study.toml#conduct", "study.toml#conduct.founding",
        "http://x.org/a.json#/a", "a.json#/a | b.json#/b",
    ],
)  # fmt: skip
def test_what_is_not_a_pointer_is_refused(pointer, tmp_path):
    with pytest.raises(ValueError, match=r"pointer|place|names"):
        ReportFolder(tmp_path).resolves(pointer)


@given(st.text(max_size=30), st.text(max_size=60))
def test_no_page_and_no_pointer_breaks_the_reader(tmp_path_factory, pointer, page):
    folder = tmp_path_factory.getbasetemp()
    (folder / "any.html").write_text(page, encoding="utf-8", errors="replace")
    ReportFolder(folder).resolves("any.html#a")
    with contextlib.suppress(ValueError):
        assert Pointer.parse(pointer).file.partition("/")[0] not in ("", "..")
