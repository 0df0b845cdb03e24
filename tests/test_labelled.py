"""A cohort with outcomes: its patients, its counts, and a refusal where nothing can be learned."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import pytest

from spinecast.cohorts.labelled import read_labelled
from spinecast.errors import DataRefused, UsageRefused

HEADER = "patient_id,index_date,pain,followup_date,pain_followup,revision\n"
FAILED = "{name},2023-01-01,8,2024-01-01,9,no\n"
WELL = "{name},2023-01-01,8,2024-01-01,2,no\n"
PAINFUL = "{name},2023-01-01,8,2024-01-01,4,no\n"
LOST = "{name},2023-01-01,8,,,\n"
WRONG = "{name},2023-01-01,80,2024-01-01,2,no\n"


@pytest.fixture
def written(tmp_path):
    def write(*rows):
        path = tmp_path / "cohort.csv"
        lines = [row.format(name=f"Q{number}") for number, row in enumerate(rows)]
        path.write_text(HEADER + "".join(lines))
        return path

    return write


def test_every_row_is_counted_once(tiny, written):
    path = written(FAILED, WELL, LOST, WRONG, WELL)
    found = read_labelled(path, tiny)
    assert asdict(found.facts) == {
        "name": "cohort.csv",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "rows_read": 5,
        "accepted": 4,
        "rejected": 1,
        "labelled": 3,
        "mapping_sha256": "",
        "files": (),
    }
    assert found.cohort.patient_id.tolist() == ["Q0", "Q1", "Q2", "Q4"]
    assert found.labels.failed[[0, 1, 3]].tolist() == [1, 0, 0]
    assert found.labels.failures == 1


def test_what_is_remembered_of_a_file_names_no_patient(tiny, written):
    assert "Q0" not in str(read_labelled(written(FAILED, WELL), tiny).facts)


def test_the_outcome_is_the_one_asked_for_or_the_registrys_own(tiny, written):
    path = written(PAINFUL, PAINFUL, WELL)
    own, other = read_labelled(path, tiny), read_labelled(path, tiny, "painful")
    assert (own.labels.definition, own.labels.failures) == ("failed", 0)
    assert (other.labels.definition, other.labels.failures) == ("painful", 2)


@pytest.mark.parametrize(("patients", "is_refused"), [(29, False), (30, True), (31, True)])
def test_a_followup_that_repeats_a_factor_is_refused(tiny, written, patients, is_refused):
    rows = [
        f"{{name}},2023-01-01,{number % 11},2024-01-01,{number % 11},no\n"
        for number in range(patients)
    ]
    path = written(*rows)
    if is_refused:
        with pytest.raises(DataRefused, match="pain_followup: it says of every patient what pain"):
            read_labelled(path, tiny)
    else:
        assert len(read_labelled(path, tiny).cohort) == patients


def test_one_patient_who_differs_makes_a_followup_one(tiny, written):
    rows = [f"{{name}},2023-01-01,{n % 11},2024-01-01,{n % 11},no\n" for n in range(40)]
    assert len(read_labelled(written(*rows, FAILED), tiny).cohort) == 41


def test_a_rare_answer_may_agree_by_chance(tiny, written):
    same = "{name},2023-01-01,2,2024-01-01,2,no\n"
    other = "{name},2023-01-01,8,2024-01-01,8,no\n"
    assert read_labelled(written(*[same] * 40, *[other] * 9), tiny)
    with pytest.raises(DataRefused, match="no follow-up"):
        read_labelled(written(*[same] * 40, *[other] * 10), tiny)


def test_an_outcome_nobody_defined_is_refused_with_those_there_are(tiny, written):
    with pytest.raises(UsageRefused, match="painful"):
        read_labelled(written(WELL), tiny, "cured")


def test_without_any_outcome_the_columns_it_needs_are_named(tiny, written):
    with pytest.raises(DataRefused) as refused:
        read_labelled(written(LOST, LOST), tiny)
    [problem] = refused.value.problems
    assert problem.given == "it is known for none of 2 accepted patients"
    assert problem.allowed == "it is derived from followup_date, pain_followup, revision"
    assert "Add the follow-up" in problem.remedy


def test_without_any_outcome_the_rejected_rows_say_why(tiny, written):
    with pytest.raises(DataRefused) as refused:
        read_labelled(written(WRONG, LOST, WRONG), tiny)
    assert [problem.where for problem in refused.value.problems] == [
        "row 2, pain",
        "row 4, pain",
        "outcome",
    ]
