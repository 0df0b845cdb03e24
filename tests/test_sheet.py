"""Rounding and wording: what is shown adds up, and nothing unknown is said to be known."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records import SOURCES, assessments, example, refused
from spinecast.explaining.assessment import Caution
from spinecast.showing.phrases import banner
from spinecast.showing.sheet import apportion, of_hundred, risk_tenths, signed
from spinecast.showing.wording import sheet_of

PARTS = st.lists(st.one_of(st.just(0.0), st.floats(-500, 500)), min_size=1, max_size=40)


# --- rounding ------------------------------------------------------------------------------------


@given(PARTS, st.sampled_from([math.floor, math.ceil]))
def test_rounded_parts_add_up_stay_near_keep_their_sign_and_leave_nothing_at_nothing(parts, whole):
    parts = [round(part, 6) for part in parts]
    total = whole(round(math.fsum(parts), 6))
    rounded = apportion(parts, total)
    assert sum(rounded) == total
    for part, shown in zip(parts, rounded, strict=True):
        assert abs(shown - part) < 1 + 1e-5
        assert shown * part >= 0
        assert shown == 0 or part != 0


@given(PARTS, st.integers(-3, 3))
def test_a_total_that_is_far_off_is_met_all_the_same(parts, off):
    total = round(math.fsum(parts)) + off
    assert sum(apportion(parts, total)) == total


@given(st.floats(0, 1))
def test_a_risk_is_never_none_and_never_all(risk):
    assert of_hundred(risk) not in {"0", "100"}
    assert 1 <= risk_tenths(risk) <= 999


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_higher_risk_is_never_shown_as_a_lower_one(one, other):
    low, high = sorted([one, other])
    assert risk_tenths(low) <= risk_tenths(high)
    if of_hundred(low).isdigit() and of_hundred(high).isdigit():
        assert int(of_hundred(low)) <= int(of_hundred(high))


@pytest.mark.parametrize(
    ("risk", "shown"),
    [
        (0.0099, "fewer than 1"),
        (0.01, "1"),
        (0.0149, "1"),
        (0.015, "2"),
        (0.285, "29"),
        (0.99, "99"),
        (0.9901, "more than 99"),
    ],
)
def test_risks_at_the_edges(risk, shown):
    assert of_hundred(risk) == shown


# --- laws of any record --------------------------------------------------------------------------


@given(assessments())
def test_the_shown_points_add_up_from_the_reference_patient_to_this_one(record):
    bars = sheet_of(record).bars
    steps = [bar for bar in bars if bar.kind != "total"]
    assert bars[0].end == risk_tenths(record.reference_risk)
    assert bars[-1].end == risk_tenths(record.risk)
    assert bars[0].end + sum(bar.end - bar.start for bar in steps) == bars[-1].end
    assert all(bar.shown == signed(bar.end - bar.start) for bar in steps)


@given(assessments())
def test_every_factor_is_in_a_bar_of_its_own_or_counted_in_a_fold(record):
    bars = sheet_of(record).bars[1:-1]
    folded = [bar.words for bar in bars if "smaller factor" in bar.words]
    folded += [b.words for b in bars if b.words.startswith(tuple("123456789")) and not b.value]
    counted = sum(int(words.split()[0]) for words in set(folded))
    own = [bar for bar in bars if bar.value]
    assert len(own) + counted == len(record.contributions)


@given(assessments())
def test_a_bar_is_within_a_tenth_of_its_factor_and_never_points_the_other_way(record):
    if not (0.001 <= record.risk <= 0.999 and 0.001 <= record.reference_risk <= 0.999):
        return  # the ends were moved away from 0 and 100 of 100
    own = [bar for bar in sheet_of(record).bars[1:-1] if bar.value]
    largest = sorted(record.contributions, key=lambda c: -abs(c.risk_points))[: len(own)]
    for bar, contribution in zip(own, largest, strict=True):
        step = bar.end - bar.start
        assert abs(step - 1000 * contribution.risk_points) < 1 + 1e-4
        assert step * contribution.risk_points >= 0


@given(assessments())
def test_a_reason_and_its_bar_show_the_same_points(record):
    sheet = sheet_of(record)
    bars = {(bar.words, bar.shown) for bar in sheet.bars}
    for why in sheet.whys:
        assert (why.words, why.shown.removesuffix(" points")) in bars


@given(assessments())
def test_what_came_from_the_literature_and_the_cohort_adds_up_to_the_shown_points(record):
    def number(words):
        return round(10 * float(words.split()[0].replace("−", "-")))  # noqa: RUF001 (as above)

    for why in sheet_of(record).whys:
        if record.model.trained_on == "literature":
            assert "All of it from the literature" in why.origin
        else:
            literature, cohort, *_ = why.origin.split(", ")
            assert number(literature) + number(cohort) == number(why.shown)


@given(assessments())
def test_unknown_is_said_to_be_not_known_wherever_it_is_shown(record):
    sheet = sheet_of(record)
    unknown = [c for c in record.contributions if c.value is None]
    own = [bar for bar in sheet.bars if bar.value == "not known"]
    folded = [bar for bar in sheet.bars if "not known" in bar.label and not bar.value]
    assert len(own) + sum(int(bar.label.split()[0]) for bar in folded) == len(unknown)
    assert len(sheet.asks) == min(len(unknown), 6)


@given(assessments())
def test_unknown_answers_do_not_speak_for_a_lower_risk(record):
    assert "not known" not in sheet_of(record).lowering


@given(assessments())
def test_in_full_every_factor_has_its_own_bar_and_every_unknown_one_its_line(record):
    sheet = sheet_of(record, full=True)
    own = [bar for bar in sheet.bars if bar.value]
    assert len(own) == len(sheet.bars) - 2 == len(record.contributions)
    assert len(sheet.asks) == len(record.unknown)
    assert not sheet.also_unknown


# --- single cases --------------------------------------------------------------------------------


def test_the_answer_is_a_risk_of_the_outcome_in_words():
    answer = "31% risk of failed back surgery syndrome 12 months after surgery"
    assert sheet_of(example()).answer == answer


def test_the_next_sentence_is_in_natural_frequencies_beside_cohort_and_reference():
    assert sheet_of(example()).headline == (
        "About 31 of 100 patients like this one have it (90% interval 24 to 39); 69 do not. In the "
        "cohort: 20 of 100. Reference patient: 6 of 100. A higher risk than 83 of 100 in the "
        "cohort."
    )


def test_a_tiny_risk_is_fewer_than_one_and_the_lowest_are_the_lowest():
    record = replace(example(), contributions=(), risk=0.002, reference_risk=0.002, centile=0.2)
    said = sheet_of(record).headline
    assert sheet_of(record).answer.startswith("Less than 1% risk of failed back")
    assert said.startswith("Fewer than 1 of 100 patients like this one have it")
    assert "; more than 99 do not." in said
    assert said.endswith("Among the lowest 1 of 100 in the cohort.")


def test_a_value_is_shown_with_its_unit_and_its_sentence_does_not_repeat_it():
    why = sheet_of(example()).whys[0]
    assert why.words == "Previous lumbar operations: 2 operations"
    assert why.sentence.startswith("Raises the estimate")


@pytest.mark.parametrize("sentence", ["", "Something else.", "Age: 48.5 years. Text.", "Age: . x"])
def test_a_sentence_that_opens_otherwise_is_kept_whole(sentence):
    record = example()
    age = replace(record.contributions[0], label="Age", value=48, sentence=sentence)
    sheet = sheet_of(replace(record, contributions=(age, *record.contributions[1:])))
    assert sheet.whys[0].words == "Age: 48"
    assert sheet.whys[0].sentence == sentence


def test_sources_are_numbered_once_each_in_the_order_of_reading():
    sheet = sheet_of(example(), source_names=SOURCES)
    assert sheet.sources == (SOURCES["qod"], SOURCES["sanden2011"])
    assert [why.sources for why in sheet.whys[:4]] == [(1,), (1,), (), (2,)]
    assert [action.sources for action in sheet.actions] == [(1,), (2,)]


def test_a_source_without_a_name_keeps_its_key():
    assert sheet_of(example()).sources == ("qod", "sanden2011")


def test_unknown_factors_keep_the_records_order_and_say_how_far_the_answer_could_move():
    asks = sheet_of(example()).asks
    assert [ask.label for ask in asks] == ["Depression", "Walking distance", "Anxiety or distress"]
    assert asks[0].could_be == "the risk would be between 29 and 39 of 100"
    assert asks[2].could_be == "the risk would stay at about 31 of 100"


def test_a_caution_names_its_factors_where_its_message_does_not():
    assert "(About: Pain catastrophizing; Leg pain, 0 to 10.)" in sheet_of(example()).rely[0]


@pytest.mark.parametrize("trained_on", ["simulated", "literature"])
def test_what_the_banner_says_is_not_said_again(trained_on):
    for record in (example(trained_on), refused(trained_on)):
        assert not [line for line in sheet_of(record).rely if line.startswith("This model")]
    alone = replace(example(trained_on), cautions=example(trained_on).cautions[:1])
    assert "The checks raised no caution about this patient." in sheet_of(alone).rely


def test_factors_listed_as_not_known_are_not_listed_again_in_a_caution():
    unknown = tuple(u.factor for u in example().unknown)
    caution = Caution("many_unknown", "Many factors are not known.", unknown)
    rely = sheet_of(replace(example(), cautions=(caution,))).rely
    assert [line for line in rely if "not known" in line] == [caution.message]


@pytest.mark.parametrize(
    ("agreement", "times"), [("agrees", 1), ("disagrees", 1), ("not established", 1)]
)
def test_whether_cohort_and_literature_agree_is_said_once(agreement, times):
    words = re.compile("agrees with|contradicts|whether they agree")
    record = example()
    for why, contribution in zip(sheet_of(record).whys, record.contributions, strict=False):
        if contribution.agreement == agreement:
            assert len(words.findall(f"{why.sentence} {why.origin}")) == times


def test_no_caution_is_said_and_so_is_nothing_to_do():
    sheet = sheet_of(replace(example(), cautions=(), actions=()))
    assert "The checks raised no caution about this patient." in sheet.rely
    assert "nothing to act on" in sheet.actions_note


@pytest.mark.parametrize("trained_on", ["simulated", "literature", "patients"])
def test_every_record_of_a_model_without_patients_says_so(trained_on):
    for record in (example(trained_on), refused(trained_on)):
        assert sheet_of(record).banner == banner(trained_on)
    assert bool(banner(trained_on)) == (trained_on != "patients")


def test_a_refusal_gives_every_reason_and_what_to_do_and_no_number():
    sheet = sheet_of(refused())
    assert sheet.is_refused
    assert [refusal.words for refusal in sheet.refusals] == [r.message for r in refused().reasons]
    assert [refusal.about for refusal in sheet.refusals] == ["", ""]
    assert [refusal.message for refusal in sheet.refusals] == [r.message for r in refused().reasons]
    assert "score again" in sheet.remedy
    assert (sheet.risk, sheet.bars, sheet.measures) == ("", (), ())


def test_a_record_that_does_not_add_up_is_not_shown():
    with pytest.raises(ValueError, match="must not be shown"):
        sheet_of(replace(example(), risk=0.5))


def test_a_scored_record_without_a_risk_is_not_shown():
    with pytest.raises(ValueError, match="has no risk"):
        sheet_of(replace(example(), risk=None))
