"""The history can only grow: whatever else is done to it is found, and said where it was done."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.errors import ModelRefused
from spinecast.explaining.current import CURRENT
from spinecast.promotion import history
from spinecast.promotion.answering import scorer_in_use
from spinecast.promotion.audit import as_current, audit, verify
from spinecast.promotion.history import START, Entry, History, read_chain
from spinecast.promotion.mirror import Head, contradictions

NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@st.composite
def chains(draw: st.DrawFn, least: int = 1) -> list[Entry]:
    """Some promotions and rollbacks, each line linked to the one before."""
    entries: list[Entry] = []
    for line in range(1, draw(st.integers(least, least + 4)) + 1):
        back = History(tuple(entries), ()).before() if draw(st.booleans()) else None
        entries.append(
            Entry(
                line=line,
                previous=entries[-1].hash if entries else START,
                action="rollback" if back else "promote",
                at="2026-01-01T00:00:00+00:00",
                by=draw(NAMES),
                reason=draw(NAMES),
                folder=back.folder if back else f"model{line}",
                model=back.model if back else f"{line:012x}",
                manifest="ab" * 32,
                registry="tiny",
                evidence={"patients": draw(st.integers(0, 9999)), "cohort": draw(NAMES)},
                override=tuple(draw(st.lists(NAMES, max_size=2))),
            )
        )
    return entries


def content(entries) -> bytes:
    return "".join(entry.text() for entry in entries).encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("history")


def kept(place, entries, named=None, *, raw=None):
    """A models folder with this history, and `CURRENT` as it says, or as `named` says."""
    (place / history.FILE).write_bytes(content(entries) if raw is None else raw)
    (place / CURRENT).write_text(as_current(named or entries[-1]).text())
    return place


def said(place) -> str:
    return " ".join(str(problem) for problem in audit(place).problems)


# --- laws -----------------------------------------------------------------------------------------


@given(chains())
def test_what_was_written_is_read_back_and_whole(entries):
    told = read_chain(content(entries))
    assert told.problems == ()
    assert [entry.text() for entry in told.entries] == [entry.text() for entry in entries]


@given(chains(), st.data())
def test_any_single_byte_that_was_changed_is_found(place, entries, data):
    kept(place, entries)
    file = place / data.draw(st.sampled_from([history.FILE, CURRENT]))
    before = file.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != before[at]))
    file.write_bytes(before[:at] + bytes([byte]) + before[at + 1 :])
    assert audit(place).problems


@given(chains(), st.data())
def test_any_byte_that_was_taken_out_or_put_in_is_found(place, entries, data):
    kept(place, entries)
    before = content(entries)
    at = data.draw(st.integers(0, len(before) - 1))
    added = data.draw(st.sampled_from([b"", b" ", b"\n", b"0"]))
    after = before[:at] + added + before[at + (not added) :]
    (place / history.FILE).write_bytes(after)
    assert after == before or audit(place).problems


@given(chains(least=2), st.data())
def test_any_lines_that_were_taken_out_or_reordered_are_found(place, entries, data):
    order = data.draw(st.permutations(entries))[: data.draw(st.integers(1, len(entries)))]
    kept(place, entries, raw=content(order))
    assert order == entries or audit(place).problems


@given(st.integers(1, 5), st.data())
def test_so_many_rollbacks_go_so_many_models_back(promoted, data):
    entries = [
        Entry(n, START, "promote", "", "A", "", f"m{n}", f"{n}", "", "tiny")
        for n in range(1, promoted + 1)
    ]
    back = data.draw(st.integers(0, promoted - 1))
    for _ in range(back):
        target = History(tuple(entries), ()).before()
        entries.append(replace(target, line=len(entries) + 1, action="rollback"))
    assert entries[-1].model == f"{promoted - back}"
    again = History(tuple(entries), ()).before()
    assert again is None if back == promoted - 1 else again.model == f"{promoted - back - 1}"


# --- what is said ---------------------------------------------------------------------------------


@pytest.fixture
def five():
    """Five promotions."""
    entries: list[Entry] = []
    for line in range(1, 6):
        before = entries[-1].hash if entries else START
        told = (line, before, "promote", "2026-01-01T00:00:00+00:00", "A", "", f"m{line}")
        entries.append(Entry(*told, f"{line:012x}", "ab" * 32, "tiny"))
    return entries


def test_an_edited_line_is_named_and_no_other(place, five):
    raw = content(five).replace(b'"folder":"m3"', b'"folder":"m9"')
    told = audit(kept(place, five, raw=raw)).problems
    assert [problem.where for problem in told] == ["HISTORY.jsonl line 3"]
    assert "edited" in told[0].given


def test_an_edited_line_with_a_new_hash_of_its_own_does_not_fit_its_neighbour(place, five):
    forged = [*five[:2], replace(five[2], by="Somebody else"), *five[3:]]
    told = audit(kept(place, five, raw=content(forged))).problems
    assert [problem.where for problem in told] == ["HISTORY.jsonl line 4"]
    assert "does not follow" in told[0].given


def test_the_last_line_forged_with_its_hash_is_found_by_current(place, five):
    forged = [*five[:-1], replace(five[-1], by="Somebody else")]
    assert "CURRENT: it names another line 5" in said(kept(place, five, raw=content(forged)))


def test_spaces_and_another_order_of_keys_are_edits(place, five):
    line = json.loads(five[1].text())
    lines = [entry.text() for entry in five]
    for other in (json.dumps(line) + "\n", json.dumps(line, separators=(",", ":")) + " \n"):
        raw = "".join([lines[0], other, *lines[2:]]).encode()
        assert "line 2: its spelling was edited" in said(kept(place, five, raw=raw))


def test_a_removed_line_a_repeated_one_and_another_order_are_told_apart(place, five):
    one, two, three, four, last = five
    told = {
        "line 3 is missing": [one, two, four, last],
        "line 1 is missing": [two, three, four, last],
        "line 2 stands more than once": [one, two, two, three, four, last],
        "in the order 1, 3, 2, 4, 5": [one, three, two, four, last],
    }
    for words, entries in told.items():
        assert words in said(kept(place, five, raw=content(entries)))


@pytest.mark.parametrize("left", [0, 1, 3, 4])
def test_a_tail_that_was_cut_off_is_seen_by_current(place, five, left):
    """No chain can see that: what is left is a whole chain."""
    assert read_chain(content(five[:left])).problems == () or left == 0
    missing = "5 is missing" if left == 4 else f"{left + 1} to 5 is missing"
    wanted = "it is empty" if left == 0 else missing
    assert wanted in said(kept(place, five, raw=content(five[:left])))


def test_a_history_that_is_gone_is_missed(place, five):
    kept(place, five)
    (place / history.FILE).unlink()
    assert "the history is missing" in said(place)


def test_a_tail_cut_off_together_with_current_is_seen_by_mlflow_or_a_hash_kept_elsewhere(
    place, five
):
    kept(place, five[:3])
    assert audit(place).problems == ()
    told = audit(place).history
    heads = {"tiny": Head(5, five[4].hash)}
    assert "its end is missing" in str(next(contradictions(told, heads)))
    with pytest.raises(ModelRefused, match="no line has the hash"):
        verify(place, place / "no runs", five[4].hash)


def test_mlflow_may_know_less_but_nothing_else(five):
    told = History(tuple(five), ())
    assert not list(contradictions(told, {"tiny": Head(4, five[3].hash)}))
    assert not list(contradictions(told, {}))
    assert not list(contradictions(told, {"another registry": Head(3, "ff")}))
    assert list(contradictions(told, {"tiny": Head(4, five[2].hash)}))
    assert list(contradictions(told, {"tiny": Head(0, "")}))
    assert list(contradictions(History((), ()), {"tiny": Head(1, five[0].hash)}))


def test_current_put_back_to_an_older_line_is_found(place, five):
    assert "it names line 2 of 5" in said(kept(place, five, five[1]))


def test_current_that_is_gone_is_found_and_what_it_should_say_is_told(place, five):
    kept(place, five)
    (place / CURRENT).unlink()
    assert f'"hash": "{five[-1].hash}"' in said(place)


def test_one_line_more_than_current_knows_is_an_unfinished_promotion(place, five):
    told = audit(kept(place, five, five[-2]))
    assert told.problems == ()
    assert told.unfinished == five[-1]
    with pytest.raises(ModelRefused, match="finishes it"):
        verify(place, place / "no runs")


def test_the_first_line_without_current_is_an_unfinished_promotion(place, five):
    kept(place, five[:1])
    (place / CURRENT).unlink()
    assert audit(place).unfinished == five[0]


@pytest.mark.parametrize("text", ["", "demo", "[]", "{}", "null", '{"folder": 1}', "\ud7ff[["])
def test_current_with_something_else_in_it_is_refused(place, five, text):
    kept(place, five)
    (place / CURRENT).write_text(text)
    assert "edited or damaged" in said(place)
    with pytest.raises(ModelRefused, match="history --verify"):
        scorer_in_use(place)


@pytest.mark.parametrize("folder", ["../elsewhere", "/etc", "a/b", "", "."])
def test_current_names_no_folder_outside_the_models(place, five, folder):
    outside = replace(five[-1], folder=folder)
    kept(place, [*five[:-1], outside])
    with pytest.raises(ModelRefused):
        scorer_in_use(place)


@pytest.mark.parametrize("raw", [b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"7\n", b'{"hash":1}\n'])
def test_whatever_stands_in_the_file_is_a_sentence_and_no_bug(place, five, raw):
    assert "cannot be read" in said(kept(place, five, raw=content(five) + raw))
