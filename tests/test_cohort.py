from __future__ import annotations

import csv
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spinecast.cohorts.cohort import Cohort, check, check_table, template, write_table
from spinecast.cohorts.outcome import labels
from spinecast.errors import DataRefused
from spinecast.patients.answers import as_text, shown
from spinecast.patients.patient import read_patient
from spinecast.patients.tables import read_table
from strategies import corrupted, patients

shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
junk = st.one_of(
    st.text(max_size=6),
    st.integers(-5, 120),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from(
        ["1_0", "1e2", " NA", "inf", "2020-01-01", "yes", "٣", "1,5", "0x1", "+3", "3."]
    ),
)


def table_of(answers: list[dict], registry) -> pd.DataFrame:
    """A file's table with these patients, P0, P1, ... in rows 2, 3, ..."""
    names = ["index_date", *(e.name for e in registry.exclusions), *registry.names]
    names += [column.name for column in registry.outcome.columns]
    cells = {
        name: ["" if a.get(name) is None else as_text(a[name]) for a in answers] for name in names
    }
    cells["patient_id"] = [str(a.get("patient_id", f"P{at}")) for at, a in enumerate(answers)]
    index = pd.RangeIndex(2, len(answers) + 2)
    return pd.DataFrame(cells, index=index, dtype="str")


def check_all(answers: list[dict], registry):
    return check_table(table_of(answers, registry), registry)


def reasons(checked) -> list[tuple[int, str, str]]:
    frame = checked.rejected.to_frame()
    return list(zip(frame["row"], frame["column"], frame["rule"], strict=True))


def same(left: Cohort, right: Cohort) -> bool:
    mine, theirs = left.columns(), right.columns()
    return (
        left.patient_id.tolist() == right.patient_id.tolist()
        and left.site.tolist() == right.site.tolist()
        and mine.keys() == theirs.keys()
        and all(np.array_equal(mine[name], theirs[name], equal_nan=True) for name in mine)
    )


# --- laws ----------------------------------------------------------------------------------------


@given(st.data())
def test_a_cohort_and_a_patient_are_read_alike(registry, data):
    """The same answers get the same codes from both, or break the same rules in both."""
    answers = data.draw(st.lists(patients(registry), min_size=1, max_size=3))
    for one in answers:
        names = st.sampled_from([*registry.names, "index_date", "followup_date", "satisfaction"])
        one |= data.draw(st.dictionaries(names, junk, max_size=3))
    checked = check_all(answers, registry)
    accepted = dict(zip(checked.accepted.patient_id, checked.accepted.codes, strict=True))
    for at, one in enumerate(answers):
        row, faults = read_patient(one, registry)
        assert sorted((f.column, f.rule) for f in faults) == sorted(
            (column, rule) for number, column, rule in reasons(checked) if number == at + 2
        )
        if not faults:
            np.testing.assert_array_equal(accepted[f"P{at}"], row)


@given(st.data())
def test_a_valid_patient_is_accepted(registry, data):
    answers = data.draw(st.lists(patients(registry), max_size=4))
    assert len(check_all(answers, registry).accepted) == len(answers)


@given(st.data())
def test_one_spoilt_cell_rejects_its_row_alone_and_says_so(registry, data):
    spoilt = data.draw(corrupted(registry))
    good = data.draw(patients(registry))
    checked = check_all([good, spoilt.answers, good], registry)
    assert reasons(checked) == [(3, spoilt.column, spoilt.rule)]
    assert checked.rejected.counts == {spoilt.rule: 1}
    assert checked.accepted.patient_id.tolist() == ["P0", "P2"]


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "", "NA"]), junk, junk), max_size=8))
def test_every_row_is_accepted_or_rejected(tiny, rows):
    answers = [{"patient_id": p, "pain": x, "smoking": y} for p, x, y in rows]
    checked = check_all(answers, tiny)
    assert checked.rows_read == len(checked.accepted) + len(checked.rejected) == len(rows)
    frame = checked.rejected.to_frame()
    assert sorted(set(frame["row"])) == checked.rejected.rows.tolist()
    for rule, count in checked.rejected.counts.items():
        assert frame.loc[frame["rule"] == rule, "row"].nunique() == count


@given(st.data())
def test_the_order_of_the_rows_changes_no_answer(tiny, data):
    answers = data.draw(st.lists(patients(tiny), min_size=1, max_size=6))
    named = [{**one, "patient_id": f"P{at}"} for at, one in enumerate(answers)]
    order = data.draw(st.permutations(range(len(named))))
    first = check_all(named, tiny).accepted
    again = check_all([named[at] for at in order], tiny).accepted
    assert same(first.take(np.array(order)), again)


@shared_folder
@given(st.data())
def test_a_cohort_written_down_and_checked_again_is_the_same(registry, tmp_path, data):
    cohort = check_all(data.draw(st.lists(patients(registry), min_size=1, max_size=3)), registry)
    for name in ("cohort.csv", "cohort.parquet"):
        write_table(cohort.accepted.to_table(), tmp_path / name)
        again = check(tmp_path / name, registry)
        assert len(again.rejected) == 0
        assert same(again.accepted, cohort.accepted)


# --- rows ----------------------------------------------------------------------------------------


def test_every_reason_of_a_row_is_told(tiny):
    bad = {"pain": 72, "smoking": "yes", "tumour": "yes", "pack_years": "ten", "patient_id": ""}
    checked = check_all([{"pain": 3}, bad], tiny)
    assert reasons(checked) == [
        (3, "patient_id", "missing_id"),
        (3, "smoking", "unknown_level"),
        (3, "pack_years", "not_a_number"),
        (3, "pain", "out_of_range"),
        (3, "tumour", "excluded"),
    ]
    said = [str(problem) for problem in checked.rejected.problems()]
    assert (
        "row 3, pain: given '72'; a number from 0 to 10 of 10. "
        "If this is a 0-100 VAS, divide it by 10." in said
    )


def test_every_row_after_the_first_of_a_patient_is_rejected(tiny):
    checked = check_all([{"patient_id": p} for p in ("a", "b", " a", "a ", "A")], tiny)
    assert reasons(checked) == [(n, "patient_id", "duplicate_patient") for n in (4, 5)]
    assert set(checked.rejected.to_frame()["allowed"]) == {
        "a patient may stand in one row, and stands in row 2"
    }
    assert checked.accepted.patient_id.tolist() == ["a", "b", "A"]


def test_a_patient_stands_once_even_when_the_first_row_is_wrong(tiny):
    checked = check_all([{"patient_id": "a", "pain": 99}, {"patient_id": "a"}], tiny)
    assert len(checked.accepted) == 0


def test_contradictions_and_dates_name_what_was_given(tiny):
    never = {"smoking": "never", "pack_years": 20}
    early = {"index_date": "2023-05-01", "followup_date": "2022-05-01"}
    frame = check_all([never, early, {"smoking": "never"}], tiny).rejected.to_frame()
    assert frame["given"].tolist() == [
        "smoking = never, pack_years = 20",
        "2022-05-01 with index_date 2023-05-01",
    ]


def test_free_text_is_cut_before_it_is_shown(tiny):
    frame = check_all([{"pain": "Mrs Smith says " * 50}], tiny).rejected.to_frame()
    assert len(frame["given"][0]) == len(shown("x" * 99)) == 43


def test_problems_are_shown_by_the_dozen_and_the_rest_are_counted(tiny):
    rejected = check_all([{"pain": 11}] * 50, tiny).rejected
    said = [str(problem) for problem in rejected.problems(12)]
    assert len(said) == 13
    assert "38 more reasons" in said[-1]
    assert len(rejected.faults) == 1


# --- columns -------------------------------------------------------------------------------------


def test_missing_columns_are_told_at_once_with_what_was_meant(tiny):
    with pytest.raises(DataRefused) as refused:
        check_table(pd.DataFrame({"Pain": ["3"], "Patient_ID": ["a"]}, dtype="str"), tiny)
    assert [problem.where for problem in refused.value.problems] == ["patient_id", "pain"]
    assert [problem.remedy for problem in refused.value.problems] == [
        "Did you mean Patient_ID?",
        "Did you mean Pain?",
    ]


def test_a_thousand_other_columns_are_ignored_and_reported(tiny):
    table = table_of([{"pain": 3}], tiny)
    others = pd.DataFrame({f"x{i}": ["?"] for i in range(1000)}, index=table.index, dtype="str")
    checked = check_table(pd.concat([table, others], axis=1), tiny)
    assert checked.ignored_columns == tuple(others.columns)
    assert len(checked.accepted) == 1


def test_absent_factors_are_unknown_for_everyone_and_reported(tiny):
    table = pd.DataFrame({"patient_id": ["a"], "pain": ["3"], "Smoking ": ["never"]}, dtype="str")
    checked = check_table(table, tiny)
    assert checked.absent_columns == ("tumour", "smoking", "pack_years", "diabetes", "lesion")
    assert checked.suggestions == {"Smoking ": "smoking"}
    assert checked.unknown_share == {
        "smoking": 1.0,
        "pack_years": 1.0,
        "pain": 0.0,
        "diabetes": 1.0,
        "lesion": 1.0,
    }
    assert np.isnan(checked.accepted.outcome["revision"]).all()
    assert np.isnat(checked.accepted.index_date).all()
    assert checked.accepted.site.tolist() == [""]


def test_cells_another_program_left_empty_are_unknown(tiny):
    table = pd.DataFrame({"patient_id": ["a", None], "pain": [None, "3"], "site": [None, "x"]})
    checked = check_table(table, tiny)
    assert reasons(checked) == [(1, "patient_id", "missing_id")]
    assert math.isnan(checked.accepted.codes[0, 2])


# --- cohorts -------------------------------------------------------------------------------------


def test_a_cohort_cannot_be_changed_in_place(tiny):
    cohort = check_all([{"pain": 3}], tiny).accepted
    with pytest.raises(ValueError, match="read-only"):
        cohort.codes[0, 0] = 1
    with pytest.raises(TypeError):
        cohort.outcome["pain"] = 3


def test_a_cohort_of_uneven_columns_is_a_bug(tiny):
    cohort = check_all([{"pain": 3}], tiny).accepted
    with pytest.raises(ValueError, match="2 rows and the cohort 1"):
        Cohort(tiny, cohort.patient_id, np.zeros((2, 5)), cohort.site, cohort.index_date, {})


def test_taking_rows_takes_all_of_a_patient(tiny):
    answers = [{"pain": at, "revision": at % 2, "index_date": f"2023-01-0{at}"} for at in (1, 2, 3)]
    cohort = check_all(answers, tiny).accepted
    by_place, by_truth = cohort.take(np.array([2, 0])), cohort.take(cohort.codes[:, 2] > 1)
    assert by_place.patient_id.tolist() == ["P2", "P0"]
    assert by_place.columns()["pain"].tolist() == [3, 1]
    assert by_place.outcome["revision"].tolist() == [1, 1]
    assert by_place.index_date.astype(str).tolist() == ["2023-01-03", "2023-01-01"]
    assert len(by_truth) == 2


def test_an_outcome_is_judged_on_a_checked_cohort(tiny):
    seen = {"index_date": "2023-01-01", "followup_date": "2024-01-01", "revision": "no"}
    failed, well = {"pain": 8, "pain_followup": 8}, {"pain": 8, "pain_followup": 1}
    cohort = check_all([{**seen, **failed}, {**seen, **well}, {"pain": 8}], tiny).accepted
    np.testing.assert_array_equal(labels(tiny, cohort.columns()).failed, [1, 0, np.nan])


def test_the_template_is_a_cohort_and_a_patient_nobody_has_filled_in(registry, tmp_path):
    header, patient = template(registry)
    columns = next(csv.reader([header]))
    (tmp_path / "cohort.csv").write_text(header + "P1" + "," * (len(columns) - 1) + "\n")
    checked = check(tmp_path / "cohort.csv", registry)
    assert (len(checked.accepted), checked.ignored_columns, checked.absent_columns) == (1, (), ())
    row, faults = read_patient(patient, registry)
    assert faults == ()
    assert np.isnan(row).all()
    assert set(registry.names) < set(patient)


def test_a_checked_file_is_known_by_its_fingerprint(tiny, tmp_path):
    path = tmp_path / "cohort.csv"
    path.write_text("patient_id,pain\na,3\n")
    first = check(path, tiny).accepted.fingerprint
    path.write_text("patient_id,pain\na,4\n")
    assert len(first) == 64
    assert check(path, tiny).accepted.fingerprint != first
    assert read_table(path).index.tolist() == [2]


@pytest.mark.parametrize(
    ("cells", "refused"),
    [
        (["1", "2", "1"], [True, True, True]),
        (["1", "2", "yes"], [True, True, False]),
        (["1", "0", "2"], [False, False, True]),
        (["1", "0", ""], [False, False, False]),
        (["1", "9", ""], [False, True, False]),
    ],
)
def test_ones_and_twos_are_no_yes_and_no(tiny, cells, refused):
    binary = next(factor.name for factor in tiny.factors if factor.kind == "binary")
    table = pd.DataFrame({"patient_id": ["a", "b", "c"], binary: cells}, dtype="str")
    rejected = check_table(table, tiny, to_learn=False).rejected
    assert set(rejected.rows) == {row for row, wrong in enumerate(refused) if wrong}
