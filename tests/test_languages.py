"""Another language: every string is there, and no fact is another."""

from __future__ import annotations

import html
import json
import re

import pytest

from asking import THEN, Asker
from conftest import any_rows
from spinecast import language
from spinecast.knowledge import translation
from spinecast.knowledge.loading import PACKAGED, fingerprint, load_registry, write_registry
from spinecast.knowledge.translation import in_language, texts, translations
from spinecast.language import languages, words
from spinecast.showing.display import as_html, as_text
from spinecast.web.answering import with_point
from spinecast.web.current import Current
from spinecast.web.printing import handout, pdf
from spinecast.web.result import performance
from spinecast.web.words import words as page_words

OTHERS = languages()[1:]
MARK = "⟦"
EXAMPLE = {
    "age": "54", "sex": "female", "bmi": "31,2", "smoking_status": "current", "nrs_back": "7",
    "lesion_type": "recurrent_disc_herniation", "prior_lumbar_surgeries": "1",
}  # fmt: skip


@pytest.fixture(scope="module")
def asker(bundle_folder) -> Asker:
    return Asker.of(Current.start(bundle_folder))


@pytest.fixture
def marked(monkeypatch):
    """A registry's string without a translation is seen to lack it."""
    monkeypatch.setattr(translation, "MISSING", language.MISSING)


def blanks(text: str) -> set[str]:
    return set(re.findall(r"{\w+}", text))


# --- everything is there ------------------------------------------------------------------------


@pytest.mark.parametrize("other", OTHERS)
def test_every_sentence_of_the_program_is_there_with_the_same_blanks(other):
    base, said = words("en").strings, words(other).strings
    assert said.keys() == base.keys()
    assert [name for name in base if blanks(base[name]) != blanks(said[name])] == []


@pytest.mark.parametrize("other", OTHERS)
def test_every_string_of_our_registry_is_there_and_none_is_left_over(other):
    assert translations(PACKAGED, other).keys() == texts(load_registry()).keys()


def numbers(text: str) -> list[str]:
    """The numbers of a sentence, however its language writes them."""
    return sorted(
        number.replace(".", "").replace(",", "") for number in re.findall(r"[\d.,]*\d", text)
    )


def test_a_translated_reason_has_the_numbers_of_the_original():
    base, said = texts(load_registry()), translations(PACKAGED, "de")
    spelt = {"one", "two", "three", "four", "five", "twelve", "twice"}
    for path, text in base.items():
        if path.endswith((".reason", ".evidence")) and not spelt & set(text.lower().split()):
            assert numbers(said[path]) == numbers(text), path


# --- the facts are the same ---------------------------------------------------------------------


def test_a_translation_changes_no_fact(scorer):
    registry, other = scorer.registry, scorer.in_language("de").registry
    assert other.id == registry.id == load_registry().id
    assert fingerprint(PACKAGED) == registry.sha256
    assert other.names == registry.names
    for one, said in zip(registry.factors, other.factors, strict=True):
        assert (said.levels, said.bounds, said.prior) == (one.levels, one.bounds, one.prior)
        assert said.label != one.label or one.name in ("diabetes", "depression")


def test_a_record_has_the_same_codes_and_numbers_in_every_language(scorer):
    german = scorer.in_language("de")
    sentences = {"sentence", "label", "mechanisms", "message", "method", "assumed", "outcome"}

    def facts(told):
        if isinstance(told, dict):
            kept = told.keys() - sentences - {"language"}
            return {name: facts(told[name]) for name in kept}
        return [facts(one) for one in told] if isinstance(told, list) else told

    for row in any_rows(scorer.registry, 20, 3):
        one = scorer.explainer.explain(scorer.explainer.score(row[None]), 0)
        other = german.explainer.explain(german.explainer.score(row[None]), 0)
        records = [json.loads(record.to_json()) for record in (one, other)]
        assert facts(records[0]) == facts(records[1])
        assert "language" not in records[0]
        assert records[1]["language"] == "de"


def test_a_changed_string_is_not_shown_in_the_words_of_the_old_one():
    registry = load_registry()
    age = registry.by_name["age"].model_copy(update={"definition": "Age at the first visit."})
    changed = registry.model_copy(update={"factors": (age, *registry.factors[1:])})
    said = in_language(changed, "de").factors[0]
    assert said.definition == "Age at the first visit."
    assert said.label == "Alter"


def test_a_registry_without_translations_stays_english(tiny):
    assert translation.languages(tiny) == ("en",)


def test_a_registry_brings_its_own_translation_and_keeps_it_in_another_folder(tiny, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    write_registry(tiny, here)
    (here / "translations").mkdir()
    told = f'condition = "Leiden"\n[factors.{tiny.names[0]}]\nlabel = "Erstes"\n'
    (here / "translations" / "de.toml").write_text(told, encoding="utf-8")
    write_registry(load_registry(here), there)
    for folder in (here, there):
        registry = load_registry(folder)
        assert registry.id == tiny.id
        assert translation.languages(registry) == ("en", "de")
        german = in_language(registry, "de")
        assert (german.condition, german.factors[0].label) == ("Leiden", "Erstes")
        assert german.factors[1].label == tiny.factors[1].label


# --- every form ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("GET", "/", None), ("GET", "/model", None), ("POST", "/result", EXAMPLE),
        ("POST", "/what-if", {**EXAMPLE, "if.bmi": "24,5"}), ("POST", "/sheet", EXAMPLE),
        ("POST", "/result", {"age": "17", "own_estimate": "x"}),
        ("POST", "/result", {"spinal_tumour": "yes"}), ("POST", "/", EXAMPLE),
    ],
)  # fmt: skip
def test_every_page_is_german_to_the_last_string(marked, asker, method, path, data):
    more = {"data": data} if data else {}
    page = asker.ask(method, f"{path}?lang=de", **more).text
    assert '<html lang="de">' in page
    assert MARK not in page
    told = html.unescape(re.sub(r"<[^>]+>", " ", page))
    assert not re.search(r"\b(the|of the|patients|not known|years|because)\b", told.split("[1]")[0])


@pytest.mark.parametrize("full", [False, True])
def test_text_and_page_of_a_record_are_german(marked, scorer, full):
    german = scorer.in_language("de")
    for answers in ({}, {"age": 54, "bmi": 31.2, "sex": "female"}, {"age": 7}):
        record = german.assess(answers)
        shown = as_text(record, full=full, width=2_000) + as_html([record, record], full=full)
        assert MARK not in shown
        assert '<html lang="de">' in shown
        assert not re.search(r"\d\.\d%|not known| the |of 100", shown)


def test_both_printed_pages_are_german(marked, scorer):
    german = scorer.in_language("de")
    codes, _ = german.read({"age": 54, "bmi": 31.2})
    out = handout(
        german.assess({"age": 54, "bmi": 31.2}), german, codes, THEN, 20, page_words("de")
    )
    assert MARK not in repr(out)
    assert out.language == "de"
    assert {"Alter", "Body-Mass-Index"} == {given.label for given in out.given}
    assert "31,2 kg/m2" in {given.value for given in out.given}
    assert pdf(out) == pdf(out)


def test_the_interface_answers_in_the_language_asked(asker):
    sent = asker.post("/api/assess?lang=de", json={"age": 54}).json()
    assert sent["language"] == "de"
    assert "Alter" in {one["label"] for one in sent["contributions"]}
    assert "language" not in asker.post("/api/assess?lang=xx", json={"age": 54}).json()


# --- the switch, and numbers --------------------------------------------------------------------


def test_the_switch_keeps_what_was_typed(asker):
    page = asker.post("/", data={**EXAMPLE, "lang": "de"}).text
    assert '<html lang="de">' in page
    assert 'value="31,2"' in page
    assert 'name="lang" value="en"' in page


def test_the_switch_that_was_pressed_decides(asker):
    body = b"lang=de&age=54&lang=en"
    form = {"content-type": "application/x-www-form-urlencoded"}
    page = asker.post("/result", content=body, headers=form).text
    assert '<html lang="de">' in page
    assert "aria-invalid" not in page


def test_a_decimal_comma_is_the_same_number(asker):
    pages = [asker.post("/sheet", data={**EXAMPLE, "bmi": bmi}).text for bmi in ("31,2", "31.2")]
    assert len({re.findall(r"input (\w{16})", page)[0] for page in pages}) == 1


@pytest.mark.parametrize(
    ("typed", "read"),
    [("6,2", "6.2"), ("-6,25", "-6.25"), ("6.2", "6.2"), ("1,234", "1,234"), ("1,2,3", "1,2,3")],
)
def test_a_comma_is_read_only_where_it_is_plain_what_it_means(typed, read):
    assert with_point(typed) == read


def test_measures_are_named_and_written_as_the_language_does():
    line = {"measure": "auroc", "label": "AUROC", "value": 0.71, "low": 0.6, "high": 0.8}
    other = {**line, "measure": "calibration_slope", "label": "Calibration slope", "low": -0.5}
    told = performance({"performance": {"spinecast": [line, other]}}, page_words("de"))
    assert [one.label for one in told] == ["AUROC", "Kalibrierungs-Steigung"]
    assert told[0].value == "0,710"
    assert told[1].interval == "\N{MINUS SIGN}0,500 bis 0,800"
