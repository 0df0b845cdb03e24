from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.errors import UsageRefused
from spinecast.knowledge.factors import Impossible
from spinecast.patients.answers import LevelField
from spinecast.patients.patient import Reader, read_patient, reader_for
from strategies import codes, corruptions, patients, written


def rules(answers, registry) -> list[str]:
    return [fault.rule for fault in read_patient(answers, registry)[1]]


# --- laws, for every factor of the packaged registry ----------------------------------------------


@given(st.data())
def test_every_way_of_writing_an_answer_gives_its_code(registry, data):
    row = data.draw(codes(registry))
    answers = {
        factor.name: data.draw(written(factor, code))
        for factor, code in zip(registry.factors, row.tolist(), strict=True)
    }
    read, faults = read_patient(answers, registry)
    assert faults == ()
    np.testing.assert_array_equal(read, row)


@given(st.data())
def test_the_order_of_the_answers_does_not_matter(registry, data):
    answers = data.draw(patients(registry))
    shuffled = dict(data.draw(st.permutations(list(answers.items()))))
    read, again = read_patient(answers, registry), read_patient(shuffled, registry)
    np.testing.assert_array_equal(read[0], again[0])


def test_nothing_known_is_a_patient_and_every_code_is_unknown(registry):
    for answers in ({}, dict.fromkeys(registry.names), dict.fromkeys(registry.names, "unknown")):
        row, faults = read_patient(answers, registry)
        assert faults == ()
        assert np.isnan(row).all()


def test_one_spoilt_answer_is_one_fault_in_its_column_by_its_rule(registry):
    for column, rule, value in corruptions(registry):
        (fault,) = read_patient({column: value}, registry)[1]
        assert (fault.column, fault.rule) == (column, rule), value
        assert fault.allowed
        assert len(fault.given) < 50


def test_every_spoilt_answer_is_told_at_once(registry):
    spoilt = {column: value for column, _, value in corruptions(registry)}
    faults = read_patient(spoilt, registry)[1]
    assert sorted(fault.column for fault in faults) == sorted(spoilt)


def test_numbers_are_allowed_on_their_bounds_and_refused_beyond_them(registry):
    for factor in (factor for factor in registry.factors if factor.is_numeric):
        low, high = factor.bounds
        beyond = (low - factor.precision, high + factor.precision, low - 1e-9, high + 1e-9)
        for value in (low, high, int(low), int(high), f"{low}", f"{high}"):
            row, faults = read_patient({factor.name: value}, registry)
            assert faults == ()
            assert row[registry.names.index(factor.name)] == float(value)
        for value in (*beyond, *map(repr, beyond)):
            assert rules({factor.name: value}, registry) == ["out_of_range"], factor.name
        for value in (None, "", "unknown", "NA"):
            assert rules({factor.name: value}, registry) == []


# --- single lessons, on the tiny registry --------------------------------------------------------


def test_unknown_smoking_is_not_the_same_as_never(tiny):
    unknown, never = (read_patient({"smoking": s}, tiny)[0][0] for s in ("unknown", "never"))
    assert math.isnan(unknown)
    assert never == 0


def test_smoking_yes_is_refused_and_the_levels_are_named(tiny):
    (fault,) = read_patient({"smoking": "yes"}, tiny)[1]
    problem = fault.problem("row 14")
    assert str(problem).startswith("row 14, smoking: given 'yes'; allowed: never, former, current.")


@pytest.mark.parametrize(
    ("answers", "hint"),
    [
        ({"pain": 72}, "divide it by 10"),
        ({"pain": "7,5"}, "decimal point, not a comma"),
        ({"pack_years": 900}, "decimal point in the right place"),
        ({"pack_years": 2.5}, "whole number"),
        ({"smoking": "curent"}, "Did you mean current?"),
        ({"smokin": "current"}, "Did you mean smoking?"),
        ({"Diabetes ": "no"}, "Did you mean diabetes?"),
        ({"pain": "NaN"}, "empty when it is not known"),
        ({"index_date": "2023-02-30"}, "no such day"),
        ({"index_date": "30.01.2023"}, "Write 2024-05-31"),
    ],
)
def test_a_fault_says_what_to_do(tiny, answers, hint):
    (fault,) = read_patient(answers, tiny)[1]
    assert hint in fault.remedy


@pytest.mark.parametrize("value", [True, "TRUE", "yes", " Yes ", 1, 1.0, "1", "1.0", np.True_])
def test_yes_has_many_spellings_for_a_yes_no_question(tiny, value):
    assert read_patient({"diabetes": value}, tiny)[0][3] == 1


def test_a_level_called_by_a_decimal_is_itself():
    field = LevelField("grade", "1.0 or 1", {"1.0": 0.0, "1": 1.0})
    assert [field.code(text) for text in ("1.0", "1", "1.00")] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("value", [2, "ja", "1.5", "1.", [], {}, 0.5, "yes and no " * 50])
def test_what_is_not_yes_or_no_is_refused(tiny, value):
    assert rules({"diabetes": value}, tiny) == ["unknown_level"]


@pytest.mark.parametrize("value", [True, [7], {"value": 7}, "7 of 10", "0x7", "1_0", b"7"])
def test_what_is_not_a_number_is_refused(tiny, value):
    assert rules({"pain": value}, tiny) == ["not_a_number"]


@pytest.mark.parametrize("value", [7, 7.0, "7", "+7", "7.", "0.7e1", np.int64(7), np.float32(7)])
def test_a_number_has_many_spellings(tiny, value):
    assert read_patient({"pain": value}, tiny)[0][2] == 7


def test_a_huge_number_is_no_bug(tiny):
    for value in (10**5000, "9" * 5000, 1e308, "1e999", -(10**400)):
        assert len(rules({"pain": value, "pack_years": value}, tiny)) == 2


def test_minus_zero_is_zero(tiny):
    for value in (-0.0, "-0"):
        assert math.copysign(1, read_patient({"pain": value}, tiny)[0][2]) == 1


def test_answers_that_contradict_each_other_are_both_shown(tiny):
    (fault,) = read_patient({"smoking": "never", "pack_years": 20}, tiny)[1]
    assert (fault.rule, fault.column) == ("pack_years_without_smoking", "smoking, pack_years")
    assert fault.given == "smoking = never, pack_years = 20"
    assert fault.remedy == "Correct one of the two."
    assert rules({"smoking": "unknown", "pack_years": 20}, tiny) == []


def test_a_patient_out_of_scope_is_refused_with_the_reason(tiny):
    (fault,) = read_patient({"tumour": True}, tiny)[1]
    assert (fault.rule, fault.allowed) == ("excluded", "out of scope: Another disease")
    assert rules({"tumour": "no"}, tiny) == rules({"tumour": None}, tiny) == []


def test_a_followup_before_the_operation_is_refused(tiny):
    def judged(followup: str) -> list[str]:
        return rules({"index_date": "2023-01-02", "followup_date": followup}, tiny)

    assert judged("2023-01-01") == ["date_order"]
    assert judged("2023-01-02") == judged("2024-01-02") == []


def test_names_and_places_are_free_text(tiny):
    assert rules({"patient_id": 17, "site": ["north"], "pain_followup": 3}, tiny) == []


@pytest.mark.parametrize("answers", [[], "patient", 3, None])
def test_what_is_not_a_patient_is_refused(tiny, answers):
    assert rules(answers, tiny) == ["not_a_patient"]


def test_a_name_that_is_not_text_is_refused(tiny):
    assert rules({3: 4}, tiny) == ["unknown_name"]


def test_a_reader_is_prepared_once_for_a_registry(tiny):
    assert reader_for(tiny) is reader_for(tiny)
    other = tiny.model_copy()
    assert reader_for(other).registry is other


def test_all_rules_that_cannot_be_understood_are_told(tiny):
    bad = [Impossible(name=n, rule=f"{n} > 1", says="-", remedy="-") for n in ("pian", "smokin")]
    with pytest.raises(UsageRefused) as refused:
        Reader(tiny.model_copy(update={"impossible": tuple(bad)}))
    assert len(refused.value.problems) == 2
