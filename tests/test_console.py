"""Results go to standard output, everything else to standard error, and nothing is rounded away."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast import console
from spinecast.cohorts.cohort import check_table
from spinecast.cohorts.definitions import DefinitionCount
from spinecast.cohorts.outcome import Labels
from spinecast.measures.evaluation import evaluate
from spinecast.patients.reasons import FIRST

CELLS = st.text(st.characters(codec="ascii", exclude_categories=("C", "Z")), max_size=12)
LINES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=5)
)


def checked(registry, *rows, **columns):
    table = pd.DataFrame(rows, dtype="str").fillna("").assign(**columns)
    table.index = range(2, len(table) + 2)
    return check_table(table, registry)


# --- tables ---------------------------------------------------------------------------------------


@given(LINES)
def test_every_cell_of_a_table_stands_in_its_column(lines):
    shown = list(console.table(lines))
    assert len(shown) == len(lines)
    for line, text in zip(lines, shown, strict=True):
        assert text.split() == [cell for cell in line if cell]
        assert text == text.rstrip()


def test_numbers_stand_to_the_right_and_words_to_the_left():
    shown = list(console.table([["9", "a"], ["-1,000", "bcd"], ["x", "e"]]))
    assert shown == ["       9  a", "  -1,000  bcd", "  x       e"]


def test_a_table_without_lines_is_nothing():
    assert list(console.table([])) == []


# --- progress -------------------------------------------------------------------------------------


def test_progress_is_a_line_for_each_tenth_where_nobody_watches(capsys):
    tell = console.Teller()
    for done in range(1001):
        tell("scoring", done, 1000)
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0] == "scoring 0/1,000"
    assert lines[-1] == "scoring 1,000/1,000"
    assert len(lines) == 11


def test_progress_rewrites_one_line_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    tell = console.Teller()
    for stage in ("a long stage's name", "b"):
        for done in range(3):
            tell(stage, done, 2)
    said = capsys.readouterr().err
    assert said.count("\n") == 2
    # A shorter line covers the longer one that stood there.
    assert len({len(line) for line in said.replace("\n", "").split("\r")[1:]}) == 1


def test_a_stage_without_anything_to_do_is_told_too(capsys):
    console.Teller()("nothing", 0, 0)
    assert capsys.readouterr().err == "nothing 0/0\n"


def test_notes_do_not_mix_with_results(capsys):
    console.note("beside")
    assert capsys.readouterr() == ("", "beside\n")


# --- cohorts --------------------------------------------------------------------------------------


def test_all_rows_are_accounted_for_and_the_most_broken_rule_comes_first(tiny):
    wrong = [{"patient_id": f"{n}", "pain": "11"} for n in range(2)]
    rows = [*wrong, {"patient_id": "a", "pain": "3"}, {"patient_id": "a", "pain": "3"}]
    said = list(console.checked(checked(tiny, *rows)))
    assert said[0] == "4 rows: 1 accepted, 3 rejected."
    assert said.index("  2  out_of_range") < said.index("  1  duplicate_patient")
    assert sum(line.startswith("  - row ") for line in said) == 3


def test_twenty_reasons_are_spelled_out_and_more_are_told_by_column_and_rule(tiny):
    rows = [{"patient_id": f"{n}", "pain": "11"} for n in range(FIRST)]
    said = list(console.checked(checked(tiny, *rows)))
    assert sum(line.startswith("  - row ") for line in said) == FIRST
    rows += [{"patient_id": f"more {n}", "pain": f"{12 + n % 4}"} for n in range(1_230)]
    rows += [{"patient_id": "more 0", "pain": "3"}]
    said = list(console.checked(checked(tiny, *rows)))
    assert said[0] == "1,251 rows: 0 accepted, 1,251 rejected."
    told = [line for line in said if line.startswith("  - row ")]
    assert len(told) == 2
    assert told[0].startswith("  - row 22 and 1,249 more, pain: given '12'; a number from 0 to 10")
    assert "Also given: '13', '14'." in told[0]
    assert told[1].startswith("  - row 1252, patient_id: given 'more 0'; ")


def test_rows_without_any_entry_are_counted(tiny):
    found = replace(checked(tiny, {"patient_id": "a", "pain": "3"}), empty_rows=2)
    assert "Rows without any entry, which are no patients: 2." in list(console.checked(found))


def test_columns_that_were_not_used_are_named_with_what_was_meant(tiny):
    row = {"patient_id": "a", "pain": "3", "smokin": "never", "x" * 99: "1"}
    said = "\n".join(console.checked(checked(tiny, row)))
    assert (
        "Column 'smokin' is not in the registry and was not used; did you mean 'smoking'?" in said
    )
    assert f"Column {'x' * 40!r} is not" in said
    assert "No column for (unknown for everyone): tumour, smoking, pack_years" in said


def test_what_is_least_known_comes_first_and_what_is_known_does_not_come(tiny):
    rows = [
        {"patient_id": "a", "pain": "3", "smoking": "never", "diabetes": ""},
        {"patient_id": "b", "pain": "3", "smoking": "", "diabetes": ""},
    ]
    said = list(console.unknown(checked(tiny, *rows)))
    assert said[2].split() == ["100%", "pack_years"]
    assert said[-1].split() == ["50%", "smoking"]
    assert "pain" not in "".join(said)
    rows = [dict.fromkeys(tiny.names, "0") | {"patient_id": "a"}]
    rows[0] |= {"smoking": "never", "lesion": "stenosis"}
    assert list(console.unknown(checked(tiny, *rows))) == []


def test_outcomes_are_counted_without_dividing_by_nobody():
    nobody = Labels("failed", np.full(3, math.nan), 0)
    assert (
        console.followed(nobody.followed) == "Outcome failed: known for 0 of 3 patients, 0 failed."
    )
    some = Labels("failed", np.array([1, 0, 0, 0, math.nan]), 2)
    assert console.followed(some.followed) == (
        "Outcome failed: known for 4 of 5 patients, 1 failed (25.0%); 2 seen outside the window."
    )


def test_definitions_nobody_can_be_judged_by_are_not_listed():
    known = DefinitionCount("strict", "Strictly", 1_200, 300, 0.25)
    none = DefinitionCount("other", "Otherwise", 0, 0, None)
    assert list(console.definitions([none])) == []
    said = list(console.definitions([none, known]))
    words = said[-2].split()
    assert "other" not in "".join(said)
    assert words == ["300", "of", "1,200", "25%", "-", "-", "0", "strict", "Strictly"]


def test_agreement_and_the_reason_for_the_unknown_stand_beside_a_definition():
    told = DefinitionCount("strict", "Strictly", 90, 30, 1 / 3, 10, {"odi": 8, "pain": 3}, 90, 0.8)
    nobody = DefinitionCount("other", "Otherwise", 0, 0, None, 100, {"satisfaction": 100})
    text = "\n".join(console.definitions([told, nobody]))
    assert "80%" in text
    assert "10 (odi)" in text
    assert "other: known for nobody; lacking satisfaction" in text


# --- performances ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def performance():
    rng = np.random.default_rng(1)
    risk = rng.random(200)
    return evaluate((rng.random(200) < risk).astype(float), risk)


def test_models_stand_under_each_other_with_their_intervals(performance):
    head, first, second, foot = console.performances({"ours": performance, "theirs": performance})
    auroc = performance["auroc"]
    assert f"{auroc.value:.3f} ({auroc.low:.3f} to {auroc.high:.3f})" in first
    assert first.split()[1:] == second.split()[1:]
    assert head.index("AUROC") == first.index(f"{auroc.value:.3f}")
    assert foot.startswith(f"  200 patients, {performance.events} failed; 95%")


def test_what_does_not_exist_is_a_dash():
    one_kind = evaluate(np.zeros(20), np.full(20, 0.2))
    _, line, _ = console.performances({"ours": one_kind})
    assert line.split()[1] == "-"
    assert "nan" not in line
