from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.knowledge.evidence import Source
from spinecast.knowledge.factors import UNKNOWN
from strategies import known_codes


@given(st.data())
def test_a_code_and_the_value_a_person_writes_say_the_same(registry, data):
    factor = data.draw(st.sampled_from(registry.factors))
    code = data.draw(known_codes(factor))
    value = factor.value_of(code)
    back = factor.level_codes[value] if isinstance(value, str) else value
    assert back == code
    assert factor.in_plain_words(code)


def test_the_reference_is_a_value_the_factor_can_take(registry, tiny):
    for factor in (*registry.factors, *tiny.factors):
        low, high = factor.bounds
        assert low <= factor.reference_code <= high
        assert str(factor.value_of(factor.reference_code)) in (
            str(factor.reference),
            f"{factor.reference_code:g}",
        )


def test_unknown_is_a_value_of_its_own(tiny):
    for factor in tiny.factors:
        assert factor.value_of(UNKNOWN) is None
        assert factor.in_plain_words(UNKNOWN) == "not known"


def test_levels_are_counted_in_their_declared_order(tiny):
    assert dict(tiny.by_name["smoking"].level_codes) == {"never": 0, "former": 1, "current": 2}
    assert tiny.by_name["smoking"].bounds == (0.0, 2.0)
    assert tiny.by_name["pain"].bounds == (0.0, 10.0)
    assert not tiny.by_name["pain"].level_codes


def test_what_is_allowed_is_said_in_words(tiny):
    assert tiny.by_name["smoking"].allowed == "allowed: never, former, current"
    assert tiny.by_name["pack_years"].allowed == "a whole number from 0 to 100"
    assert tiny.by_name["pain"].allowed == "a number from 0 to 10 of 10"


def test_a_value_is_said_with_its_unit_and_its_label(tiny):
    pain = tiny.by_name["pain"]
    assert pain.in_plain_words(7.0) == "7 of 10"
    assert pain.in_plain_words(7.5) == "7.5 of 10"
    assert pain.model_copy(update={"unit": "%"}).in_plain_words(7.0) == "7%"
    smoking = tiny.by_name["smoking"]
    named = smoking.model_copy(update={"level_labels": {"former": "stopped"}})
    assert named.in_plain_words(1.0) == "stopped"
    assert smoking.in_plain_words(1.0) == "former"


@pytest.mark.parametrize(
    ("direction", "sign"), [("increasing", 1), ("decreasing", -1), ("none", 0)]
)
def test_the_sign_follows_the_direction(tiny, direction, sign):
    assert tiny.by_name["pain"].model_copy(update={"direction": direction}).sign == sign


def test_a_number_that_is_whole_is_written_whole(tiny):
    assert str(tiny.by_name["pain"].value_of(3.0)) == "3"
    assert math.isclose(tiny.by_name["pain"].value_of(3.5), 3.5)


def test_a_registry_is_named_by_its_content(tiny):
    assert tiny.id == f"tiny-1+{tiny.sha256[:12]}"
    assert tiny.model_copy(update={"sha256": "0" * 64}).id != tiny.id


def test_a_rule_may_use_every_factor_by_its_levels(tiny):
    assert list(tiny.levels) == list(tiny.names)
    assert tiny.levels["diabetes"] == {"no": 0.0, "yes": 1.0}


def test_a_factor_cannot_be_changed(tiny):
    with pytest.raises(ValueError, match="frozen"):
        tiny.factors[0].label = "other"
    with pytest.raises(TypeError):
        tiny.factors[0].level_codes["never"] = 9.0


@pytest.mark.parametrize(
    ("given", "link"),
    [
        ({"doi": "10.1/x", "pmid": 3}, "https://doi.org/10.1/x"),
        ({"pmid": 3, "pmcid": "PMC1"}, "https://pubmed.ncbi.nlm.nih.gov/3/"),
        ({"pmcid": "PMC1", "url": "https://a"}, "https://pmc.ncbi.nlm.nih.gov/articles/PMC1/"),
        ({"url": "https://a"}, "https://a"),
        ({}, ""),
    ],
)
def test_a_paper_is_read_at_its_most_lasting_address(given, link):
    assert Source(name="a", cite="A", **given).link == link
