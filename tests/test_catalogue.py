"""The registry for people: nothing is left out, nothing recalled passes for fact, lines fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from spinecast.errors import UsageRefused
from spinecast.handbook.catalogue import entry, listing
from spinecast.handbook.dictionary import dictionary, documents
from spinecast.handbook.telling import NONE_PUBLISHED, measured, rule_in_words
from spinecast.knowledge.evidence import Effect
from spinecast.knowledge.factors import Factor, Registry

COMMITTED = Path(__file__).parent.parent / "data" / "dictionary.md"
WIDTHS = (40, 60, 88, 120)


@pytest.fixture(scope="module", params=["registry", "tiny"])
def any_registry(request: pytest.FixtureRequest) -> Registry:
    return request.getfixturevalue(request.param)


def flat(text: str) -> str:
    """The text as one line, so that wrapping hides nothing."""
    return " ".join(text.split())


def effects(registry: Registry, mark: str) -> list[tuple[Factor, Effect]]:
    return [(f, e) for f in registry.factors for e in f.effects if e.mark == mark]


def changed(registry: Registry, name: str, **values: object) -> Registry:
    """The registry with one factor declared differently."""
    factors = tuple(
        factor.model_copy(update=values) if factor.name == name else factor
        for factor in registry.factors
    )
    told = {name: getattr(registry, name) for name in Registry.model_fields}
    return Registry.model_construct(**{**told, "factors": factors})


# --- laws -----------------------------------------------------------------------------------------


def test_every_factor_and_level_is_listed(any_registry: Registry) -> None:
    said = flat(listing(any_registry))
    for factor in any_registry.factors:
        assert f"{factor.name}{'*' * factor.required} {factor.label}" in said
        assert all(level in said for level in factor.levels)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_asked(any_registry: Registry, width: int) -> None:
    texts = [listing(any_registry, width)]
    texts += [entry(any_registry, name, width) for name in any_registry.names]
    assert max(len(line) for text in texts for line in text.splitlines()) <= width


def test_the_same_registry_is_told_in_the_same_words(any_registry: Registry) -> None:
    again = any_registry.model_copy()
    assert listing(any_registry) == listing(again)
    assert dictionary(any_registry) == dictionary(again)
    for name in any_registry.names:
        assert entry(any_registry, name) == entry(again, name)


def test_texts_end_with_one_line_break_and_no_line_with_a_space(any_registry: Registry) -> None:
    texts = [listing(any_registry), dictionary(any_registry)]
    texts += [entry(any_registry, name) for name in any_registry.names]
    for text in texts:
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert "\n\n\n" not in text
        assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_an_entry_tells_everything_declared(any_registry: Registry) -> None:
    for factor in any_registry.factors:
        said = flat(entry(any_registry, factor.name, 100_000))
        told = [factor.question, factor.definition, factor.reason, factor.conflict]
        told += [factor.known_at, *factor.levels, *factor.level_labels.values()]
        told += [measured(effect) for effect in factor.effects]
        told += [effect.outcome for effect in factor.effects]
        told += [effect.note for effect in factor.effects]
        told += [statement.says for statement in factor.documents]
        told += factor.codes.values()
        told += [any_registry.mechanism_named[m].phrase[1:] for m in factor.mechanisms]
        told += [factor.modifiable.action, factor.modifiable.evidence]
        assert [words for words in told if flat(words) not in said] == []


def test_every_source_of_an_entry_is_cited_with_its_link(any_registry: Registry) -> None:
    for factor in any_registry.factors:
        said = flat(entry(any_registry, factor.name, 100_000))
        named = {effect.source for effect in factor.effects if effect.source}
        named |= set(factor.prior.derived_from if factor.prior else ())
        for name in named:
            source = any_registry.source_named[name]
            assert flat(source.cite) in said
            assert source.link in said


def test_a_recalled_number_is_never_told_as_fact(registry: Registry) -> None:
    recalled = effects(registry, "recalled")
    assert recalled
    for factor, effect in recalled:
        told = measured(effect) or effect.finding.rstrip(".")
        shown = flat(entry(registry, factor.name, 100_000))
        assert f"not verified, from memory: {told} [recalled]" in shown
    assert "[recalled]" not in listing(registry).replace("[recalled] from", "")


def test_every_number_of_the_listing_stands_beside_its_mark(registry: Registry) -> None:
    said = flat(listing(registry, 100_000))
    for factor in registry.factors:
        known = [effect for effect in factor.effects if effect.mark != "recalled"]
        told = [f"{measured(e, short=True) or 'no number'} [{e.mark}] {e.contrast}" for e in known]
        assert not known or any(words in said for words in told)


def test_every_column_and_level_is_in_the_dictionary(any_registry: Registry) -> None:
    said = dictionary(any_registry)
    columns = ["patient_id", "site", "index_date", *any_registry.names]
    columns += [exclusion.name for exclusion in any_registry.exclusions]
    columns += [column.name for column in any_registry.outcome.columns]
    assert [name for name in columns if f"\n| `{name}` |" not in said] == []
    for factor in any_registry.factors:
        row = next(line for line in said.splitlines() if line.startswith(f"| `{factor.name}` |"))
        assert all(f"`{level}`" in row for level in factor.levels)


def test_every_definition_and_refusal_is_in_the_dictionary(any_registry: Registry) -> None:
    said = dictionary(any_registry)
    for name, definition in any_registry.outcome.definitions.items():
        assert f"### `{name}`" in said
        assert f"- Rule: `{flat(definition.failure)}`" in said
    for impossible in any_registry.impossible:
        assert impossible.says.rstrip(".") in said
        assert f"`{flat(impossible.rule)}`" in said


def test_every_row_of_a_table_has_as_many_cells_as_its_head(any_registry: Registry) -> None:
    head = 0
    for line in dictionary(any_registry).splitlines():
        cells = line.replace("\\|", "").count("|")
        if not cells:
            head = 0
        elif head == 0:
            head = cells
        assert cells == head


def test_every_cause_of_the_founding_documents_is_found(registry: Registry) -> None:
    said = documents(registry)
    assert said in dictionary(registry)
    assert len(registry.documents) == 5
    for document in registry.documents:
        assert f"### {document.title}" in said
        for cause in document.causes:
            row = next(line for line in said.splitlines() if line.startswith(f"| {cause.cause} |"))
            assert all(f"`{name}`" in said for name in cause.factors)
            assert all(registry.mechanism_named[name].label in said for name in cause.mechanisms)
            assert cause.factors or cause.mechanisms, row


def test_the_committed_dictionary_is_the_generated_one(registry: Registry) -> None:
    committed = COMMITTED.read_text(encoding="utf-8")
    assert committed == dictionary(registry), "run `make generate`"


# --- examples -------------------------------------------------------------------------------------


def test_the_first_line_says_by_which_command_it_was_made(any_registry: Registry) -> None:
    first = dictionary(any_registry).splitlines()[0]
    assert "Generated by `make generate`" in first


def test_a_factor_without_studies_says_so(tiny: Registry) -> None:
    assert listing(tiny).count(NONE_PUBLISHED) == len(tiny.factors)
    assert "No effect; log-odds ratio 0 with a standard deviation of 0.5" in flat(
        entry(tiny, "pain")
    )


def test_what_is_only_recalled_counts_as_unpublished_in_the_listing(tiny: Registry) -> None:
    remembered = Effect(contrast="yes against no", measure="OR", value=7.0, mark="recalled")
    registry = changed(tiny, "diabetes", effects=(remembered,))
    assert "OR 7" not in listing(registry)
    assert "not verified, from memory: OR 7 [recalled]" in entry(registry, "diabetes")


def test_the_listing_quotes_a_number_before_words_and_a_ratio_before_other_numbers(
    tiny: Registry,
) -> None:
    words = Effect(contrast="yes", measure="direction", finding="Worse.", mark="found")
    share = Effect(contrast="yes", measure="share", value=0.5, mark="found")
    ratio = Effect(contrast="yes", measure="OR", value=2.0, interval=(1.5, 3.0), mark="found")
    registry = changed(tiny, "diabetes", effects=(words, share, ratio))
    assert "OR 2 (1.5 to 3) [found] yes (2 more)" in listing(registry)
    registry = changed(tiny, "diabetes", effects=(words,))
    assert "no number [found] yes. Worse." in listing(registry)


def test_the_interval_of_a_study_is_called_what_it_is(registry: Registry) -> None:
    said = flat(entry(registry, "smoking_status"))
    assert "adjusted OR 1.79 (95% interval 1.51 to 2.12) [found]" in said
    assert "1.5 for smokes now; against never smoked. [assumption]" in said


def test_a_registry_without_founding_documents_has_no_such_section(tiny: Registry) -> None:
    assert documents(tiny) == ""
    assert "founding" not in dictionary(tiny)


def test_a_domain_without_factors_has_no_heading(tiny: Registry) -> None:
    registry = tiny.model_copy(update={"domains": {**tiny.domains, "spare": "Spare"}})
    assert listing(registry) == listing(tiny)
    assert dictionary(registry) == dictionary(tiny)


def test_a_bar_in_a_definition_does_not_break_the_table(tiny: Registry) -> None:
    assert "This \\| that" in dictionary(changed(tiny, "pain", definition="this | that"))


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("smoking", "smoking_status"), ("Body mass", "bmi"), ("diabtes", "diabetes"), ("ODI", "odi_")],
)
def test_an_unknown_factor_is_refused_with_the_closest(
    registry: Registry, asked: str, meant: str
) -> None:
    with pytest.raises(UsageRefused, match="There is no such factor") as refused:
        entry(registry, asked)
    message = str(refused.value)
    assert repr(asked) in message
    assert f"the closest: {meant}" in message
    assert "`spinecast factors` lists them all" in message


@pytest.mark.parametrize("asked", ["", "zzzz", "x" * 10_000])
def test_a_name_like_no_other_is_refused_without_a_guess(registry: Registry, asked: str) -> None:
    with pytest.raises(UsageRefused) as refused:
        entry(registry, asked)
    assert "nothing here is called anything like it" in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("odi > 22", "ODI is above 22"),
        ("a_b < 0.30 and (odi >= 4 or c)", "a b is below 0.3 and (ODI is at least 4 or c)"),
        ("(odi - a) / odi", "(ODI minus a) divided by ODI"),
        ("odi <= -8", "ODI is at most -8"),
        ("not odi == 'much_worse'", "not (ODI is much worse)"),
        ("odi in ('x', 'y_z')", "ODI is one of x, y z"),
        ("1 < odi < 3", "1 is below ODI is below 3"),
    ],
)
def test_a_rule_is_read_out_as_a_person_would(rule: str, words: str) -> None:
    assert rule_in_words(rule, {"odi": "ODI"}) == words
