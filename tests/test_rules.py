from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.errors import UsageRefused
from spinecast.knowledge.rules import DEEPEST, LONGEST, parse
from spinecast.logic import YES_NO

NAN = math.nan
LEVELS = {
    "age": {},
    "pain": {},
    "smoking": {"never": 0.0, "former": 1.0, "current": 2.0},
    "asa": {"1": 0.0, "2": 1.0, "3": 2.0},
    "revision": YES_NO,
    "diabetes": YES_NO,
}
NUMBERS = ("age", "pain")


def holds(text: str, **answers: float) -> float:
    """Ask about one row, both ways; they have to agree."""
    rule = parse(text, LEVELS)
    columns = {name: np.array([answers.get(name, NAN)]) for name in LEVELS}
    over_columns, one = rule.holds(columns)[0], rule.value(answers)
    assert over_columns == one or (math.isnan(over_columns) and math.isnan(one))
    return one


def same(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))


# --- rules drawn at random ----------------------------------------------------------------------

numbers = st.one_of(
    st.sampled_from(NUMBERS), st.integers(-3, 12).map(str), st.sampled_from(["0.5", "2.5"])
)
arithmetic = st.recursive(
    numbers,
    lambda part: st.one_of(
        st.builds("({} {} {})".format, part, st.sampled_from("+-*/"), part),
        st.builds("(-{})".format, part),
    ),
    max_leaves=4,
)
comparisons = st.one_of(
    st.builds(
        "{} {} {}".format,
        st.sampled_from(NUMBERS),
        st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
        arithmetic,
    ),
    st.builds("smoking {} '{}'".format, st.sampled_from(["==", "!=", ">="]), st.just("former")),
    st.builds("smoking {} ('never', 'current')".format, st.sampled_from(["in", "not in"])),
    st.builds("asa >= {}".format, st.sampled_from("123")),
    st.just("revision"),
)
rules = st.recursive(
    comparisons,
    lambda part: st.one_of(
        st.builds("({} {} {})".format, part, st.sampled_from(["and", "or"]), part),
        st.builds("(not {})".format, part),
    ),
    max_leaves=6,
)
answered = st.fixed_dictionaries(
    {
        "age": st.sampled_from([NAN, 0.0, 1.0, 2.5, 7.0, 12.0]),
        "pain": st.sampled_from([NAN, 0.0, 1.0, 2.5, 7.0, 12.0]),
        "smoking": st.sampled_from([NAN, 0.0, 1.0, 2.0]),
        "asa": st.sampled_from([NAN, 0.0, 1.0, 2.0]),
        "revision": st.sampled_from([NAN, 0.0, 1.0]),
    }
)


@given(rules, st.lists(answered, min_size=1, max_size=5))
def test_columns_and_one_patient_are_judged_alike(text, patients):
    rule = parse(text, LEVELS)
    columns = {name: np.array([patient[name] for patient in patients]) for name in patients[0]}
    for over_columns, patient in zip(rule.holds(columns), patients, strict=True):
        assert same(over_columns, rule.value(patient))
        assert over_columns in (0, 1) or math.isnan(over_columns)


@given(rules, answered, answered)
def test_learning_more_never_changes_what_was_settled(text, patient, rest):
    rule = parse(text, LEVELS)
    settled = rule.value(patient)
    learned = {name: rest[name] if math.isnan(v) else v for name, v in patient.items()}
    assert math.isnan(settled) or rule.value(learned) == settled


@given(rules, rules, answered)
def test_not_and_is_or_not(first, second, patient):
    together = parse(f"not ({first} and {second})", LEVELS).value(patient)
    apart = parse(f"not ({first}) or not ({second})", LEVELS).value(patient)
    assert same(together, apart)


@given(rules, answered)
def test_a_rule_about_known_numbers_means_what_python_means(text, patient):
    words = {"smoking": ["never", "former", "current"], "asa": ["1", "2", "3"]}
    if any(map(math.isnan, patient.values())) or "/" in text or ">= 'former'" in text:
        return
    names = {n: words[n][int(v)] if n in words else v for n, v in patient.items()}
    names["asa"] = int(names["asa"])
    assert parse(text, LEVELS).value(patient) == eval(text, {}, names)


# --- truth tables and examples --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "both", "either"),
    [
        (1, 1, 1, 1),
        (1, 0, 0, 1),
        (0, 0, 0, 0),
        (1, NAN, NAN, 1),
        (0, NAN, 0, NAN),
        (NAN, NAN, NAN, NAN),
    ],
)
def test_unknown_is_settled_by_the_known_part_or_stays_unknown(left, right, both, either):
    for first, second in ((left, right), (right, left)):
        known = {"revision": first, "diabetes": second}
        assert same(holds("revision and diabetes", **known), both)
        assert same(holds("revision or diabetes", **known), either)


def test_one_sufficient_score_makes_the_rule_known():
    assert holds("age >= 4 or pain >= 4", age=6) == 1
    assert math.isnan(holds("age >= 4 or pain >= 4", age=3))


@pytest.mark.parametrize("text", ["pain / age > 1", "(pain - pain) / (age - age) == 0"])
def test_a_share_of_nothing_is_unknown(text):
    assert math.isnan(holds(text, pain=3, age=0))


def test_levels_are_compared_by_their_place_and_bare_numbers_may_name_them():
    assert holds("smoking >= 'former'", smoking=2) == 1
    assert holds("'former' > smoking", smoking=0) == 1
    assert holds("asa >= 3", asa=2) == 1
    assert holds("asa >= '3'", asa=1) == 0
    assert holds("asa in (1, 3)", asa=1) == 0


def test_a_chain_is_every_comparison_in_it():
    assert [holds("0 < pain <= 5", pain=p) for p in (0, 5, 6)] == [0, 1, 0]


def test_unknown_is_not_another_level():
    assert math.isnan(holds("smoking != 'never'"))
    assert math.isnan(holds("smoking not in ('never', 'former')"))


def test_arithmetic_gives_numbers_where_it_is_asked_for():
    rule = parse("(age - pain) / age", LEVELS, arithmetic=True)
    values = rule.values({"age": np.array([4.0, 0.0, NAN]), "pain": np.array([1.0, 1.0, 1.0])})
    np.testing.assert_array_equal(values, [0.75, NAN, NAN])
    assert not rule.is_truth
    assert rule.names == ("age", "pain")


def test_a_rule_may_be_broken_over_lines():
    assert holds("\n  age > 1\n    and pain > 1\n", age=2, pain=2) == 1


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ag > 3", "Did you mean `age`?"),
        ("smoking == 'sometimes'", "allowed: 'never', 'former', 'current'"),
        ("asa >= 4", "allowed: '1', '2', '3'"),
        ("revision == 1", "allowed: 'no', 'yes'"),
        ("age and pain > 1", "uses `age` as a yes or no"),
        ("age - pain", "uses `age - pain` as a yes or no"),
        ("revision + 1 > 0", "calculates with `revision`"),
        ("smoking > age", "levels with one of their levels"),
        ("age == 'old'", "contains `'old'`"),
        ("'a' == 'b'", "contains `'a'`"),
        ("1 < 2", "names no factor or column"),
        ("age is 3", "compares with `is`"),
        ("age in pain", "has no list of values"),
        ("age in ()", "has no list of values"),
        ("age ** 2 > 3", "contains `age ** 2`"),
        ("age == 1e999", "contains"),
        ("age == 1j", "contains `1j`"),
        ("age == True", "contains `True`"),
        ("age = 3", "is not a rule"),
        ("age >", "is not a rule"),
        ("", "is not a rule"),
        ("age > 1\0", "is not a rule"),
        ("__import__('os').system('true') > 1", "contains `__import__"),
        ("age.real > 1", "contains `age.real`"),
        ("[age for age in (1,)] == age", "contains"),
        ("(lambda: age)() > 1", "contains"),
        ("age if pain else age", "contains"),
        ("f'{age}' == 1", "contains"),
        ("(" * 900, "is not a rule"),
        ("-" * 500 + "age > 1", f"at most {LONGEST} characters and {DEEPEST} steps"),
        ("age > 1 or " * 200 + "age > 2", f"at most {LONGEST} characters"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_text(text, says):
    with pytest.raises(UsageRefused) as refused:
        parse(text, LEVELS, "registry.toml, rule 7")
    assert says in str(refused.value)
    assert "registry.toml, rule 7: `" in str(refused.value)
    assert refused.value.__cause__ is None


def test_every_problem_of_a_rule_is_named_at_once():
    with pytest.raises(UsageRefused) as refused:
        parse("ag > 3 and smoking == 'often' and pain ** 2 > age", LEVELS)
    assert len(refused.value.problems) == 3
