"""The form: everything is asked, nothing is filled in, and nothing typed is lost or guessed."""

from __future__ import annotations

import html
import re
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from hypothesis import given

from asking import Asker
from spinecast import web
from spinecast.knowledge.loading import load_registry
from spinecast.language import Words, languages
from spinecast.patients.patient import PATIENT_ID, read_patient
from spinecast.web.answering import NOT_KNOWN, UNKNOWN, read_form, told_of
from spinecast.web.current import Current
from spinecast.web.printing import HEADINGS
from spinecast.web.questions import SHOWN, form_of, shown_first
from spinecast.web.words import PACKAGE, wanted, words
from strategies import corruptions, patients

REGISTRY = load_registry()
SUPPORT2 = load_registry(Path(__file__).parents[1] / "experiments" / "support2" / "registry")


@pytest.fixture(scope="module")
def current(bundle_folder) -> Current:
    return Current.start(bundle_folder)


@pytest.fixture(scope="module")
def asker(current) -> Asker:
    return Asker.of(current)


# --- what is asked ------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [REGISTRY, SUPPORT2, "tiny"], ids=["lumbar", "support2", "tiny"])
def test_any_registry_is_asked_for_whole_and_each_question_once(which, tiny):
    registry = tiny if which == "tiny" else which
    asked = [question.name for question in form_of(registry).questions]
    assert sorted(asked) == sorted([*(e.name for e in registry.exclusions), *registry.names])


def test_about_fifteen_questions_are_shown_and_those_every_cohort_needs_are_among_them():
    shown = shown_first(REGISTRY)
    assert len(shown) == SHOWN
    assert {factor.name for factor in REGISTRY.factors if factor.required} <= shown


def test_a_factor_with_a_larger_published_effect_is_shown_before_a_smaller_one():
    shown = shown_first(REGISTRY)
    assert "workers_compensation" in shown  # published odds ratio 2.0
    assert "hypertension" not in shown  # 1.1


def test_nothing_is_filled_in_beforehand(asker):
    page = asker.get("/").text
    assert not re.search(r"\s(checked|selected)[\s>]", page)
    boxes = re.findall(r'<input type="text"[^>]*>', page) + re.findall(r'class="wide"[^>]*>', page)
    assert boxes
    assert all('value=""' in box for box in boxes)


def test_not_known_is_an_answer_to_every_question(asker):
    page = asker.get("/").text
    for question in form_of(REGISTRY).questions:
        name = NOT_KNOWN.format(question.name) if question.kind == "number" else question.name
        offered = (f'name="{name}" value="yes"', f'name="{name}" value="{UNKNOWN}"')
        in_list = re.search(rf'<select id="{name}".*?value="{UNKNOWN}".*?</select>', page, re.S)
        assert in_list or any(one in page for one in offered), name


def test_the_unit_stands_beside_the_box_and_the_definition_can_be_unfolded(asker):
    page = html.unescape(asker.get("/").text)
    for factor in REGISTRY.factors:
        assert factor.question in page
        assert factor.definition in page
        assert factor.example in page
        if factor.unit:
            assert f'<span class="unit">{factor.unit}</span>' in page


def test_a_question_that_depends_on_another_says_when_it_is_asked(asker):
    depending = [factor for factor in REGISTRY.factors if factor.asked_when]
    assert depending
    page = html.unescape(asker.get("/").text)
    assert page.count("data-asked-when") == len(depending)
    assert "Asked when planned operation is not microdiscectomy." in page
    without = asker.post("/asked", data={"planned_procedure": "microdiscectomy"}).text.split()
    assert without == ["pi_ll_mismatch"]
    assert asker.post("/asked", data={"planned_procedure": "decompression"}).text == ""
    assert asker.post("/asked", data={"planned_procedure": UNKNOWN}).text == ""


# --- what is read -------------------------------------------------------------------------------


def body(answers: dict[str, object]) -> bytes:
    sent = {name: str(value) for name, value in answers.items() if value is not None}
    return urlencode(sent).encode()


@given(patients(REGISTRY))
def test_a_form_is_read_as_the_same_answers_in_json_are(scorer, answers):
    answers = {name: value for name, value in answers.items() if not isinstance(value, bool)}
    sent = read_form(scorer, form_of(REGISTRY).questions, body(answers))
    codes, faults = read_patient(answers, REGISTRY)
    assert not sent.wrong
    assert not faults
    np.testing.assert_array_equal(sent.codes, codes)


def test_every_wrong_answer_is_said_at_its_field(scorer):
    tried = 0
    for name, rule, value in corruptions(REGISTRY):
        if name not in REGISTRY.by_name or isinstance(value, bool) or value in (10**400, "1,5"):
            continue  # what a box cannot hold, and a decimal comma, which it reads
        sent = read_form(scorer, form_of(REGISTRY).questions, body({name: value}))
        assert [(wrong.fields, wrong.code) for wrong in sent.wrong] == [((name,), rule)]
        assert sent.said_of(name)
        assert not sent.can_be_scored
        tried += 1
    assert tried > len(REGISTRY.factors)


def test_all_errors_come_at_once_and_everything_typed_is_kept(asker):
    typed = {
        "age": "17", "bmi": "31,2,0", "nrs_back": "62", "smoking_status": "current",
        "lesion_type": "foraminal_stenosis", "own_estimate": "lots", "odi_baseline": "<b>40</b>",
        PATIENT_ID: "K-0042",
    }  # fmt: skip
    response = asker.post("/result", data=typed)
    page = response.text
    assert response.status_code == 422
    for name in ("age", "bmi", "nrs_back", "own_estimate", "odi_baseline"):
        assert f'id="{name}-wrong"' in page
        assert f'href="#q-{name}"' in page
    for name in ("age", "bmi", "nrs_back", "odi_baseline", PATIENT_ID):
        box = re.search(rf'<input [^>]*id="{name}"[^>]*>', page).group()
        assert f'value="{html.escape(typed[name])}"' in box
    # Told first, as it is asked first, and by what it is called.
    assert f'<ul>\n<li><a href="#q-own_estimate">{words("en")("form.own_title")}</a>' in page
    assert 'value="current" checked' in page
    assert 'value="foraminal_stenosis" selected' in page
    assert "<b>40</b>" not in page


def test_two_answers_to_one_question_are_refused(asker):
    both = asker.post("/result", data={"nrs_back": "5", NOT_KNOWN.format("nrs_back"): "yes"})
    assert both.status_code == 422
    assert "Keep one of them" in both.text
    twice = asker.post(
        "/result", content=b"sex=male&sex=female",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    assert twice.status_code == 422
    assert 'id="sex-wrong"' in twice.text


def test_answers_that_contradict_each_other_are_said_at_both_questions(asker):
    sent = {"lesion_type": "recurrent_disc_herniation", "prior_lumbar_surgeries": "0"}
    page = asker.post("/result", data=sent).text
    assert 'id="lesion_type-wrong"' in page
    assert 'id="prior_lumbar_surgeries-wrong"' in page


def test_a_question_nobody_asked_is_said_and_not_repeated_as_a_field(asker):
    page = asker.post("/result", data={"<script>": "1", "age": "54"})
    assert page.status_code == 422
    assert "There is no such question." in page.text
    assert "<script>" not in page.text.replace('<script src="/static/spinecast.js" defer>', "")


@pytest.mark.parametrize("exclusion", REGISTRY.exclusions, ids=lambda e: e.name)
def test_a_patient_out_of_scope_is_refused_with_the_reason_and_no_number(asker, exclusion):
    response = asker.post("/result", data={exclusion.name: "yes", "age": "54"})
    page = html.unescape(response.text)
    assert response.status_code == 422
    assert exclusion.reason.rstrip(".") in page
    assert " of 100" not in page


def test_whoever_is_under_eighteen_is_refused(asker):
    response = asker.post("/result", data={"age": "17"})
    assert response.status_code == 422
    assert "18 to 95" in response.text


def test_going_back_shows_the_form_as_it_was(asker):
    typed = {"age": "54", "sex": "female", "opioid_use_preop": "none", "own_estimate": "30"}
    page = asker.post("/", data=typed).text
    assert re.search(r'id="age" name="age" value="54"', page)
    assert 'value="female" checked' in page
    # A folded question that was answered is unfolded.
    folded = re.search(r"<details class=\"more\" open>(.*?)</details>\s*</section>", page, re.S)
    assert 'name="opioid_use_preop" value="none" checked' in folded.group(1)


def test_a_body_that_is_no_form_is_refused(asker):
    assert asker.post("/result", json={"age": 54}).status_code == 415
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert asker.post("/result", content=b"age=%ff%fe\xff", headers=form).status_code == 400
    many = "&".join(f"a{n}=1" for n in range(2_000)).encode()
    assert asker.post("/result", content=many, headers=form).status_code == 400


def test_no_message_of_a_fault_repeats_the_value(scorer):
    for column, _, value in corruptions(REGISTRY):
        if column not in REGISTRY.by_name or not isinstance(value, str) or len(value) < 5:
            continue
        _, faults = scorer.read({column: value})
        assert all(value not in told_of(fault) for fault in faults)


# --- languages ----------------------------------------------------------------------------------


def test_a_string_a_language_lacks_is_seen_to_be_lacking():
    lacking = Words("xx", {"form.title": "Titel"}, PACKAGE)
    assert lacking("form.title") == "Titel"
    assert lacking("form.submit") == f"⟦{words('en')('form.submit')}⟧"


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        ("", "", "en"),
        ("en", "xx", "en"),
        ("xx", "yy;q=0.5, en-GB;q=0.9", "en"),
        ("", ";q=x,,", "en"),
        ("de", "en", "de"),
        ("", "fr, de-AT;q=0.8, en;q=0.5", "de"),
    ],
)
def test_the_language_is_one_there_is(asked, accepted, language):
    assert wanted(asked, accepted, ("en", "de")) == language


@pytest.mark.parametrize("language", languages())
def test_every_language_says_everything_with_the_same_blanks(language):
    base, other = words("en").strings, words(language).strings
    assert other.keys() == base.keys()
    for name, text in base.items():
        assert set(re.findall(r"{\w+}", other[name])) == set(re.findall(r"{\w+}", text)), name


def test_every_string_a_page_asks_for_is_there_and_none_is_left_over():
    folder = Path(web.__file__).parent
    text = "".join(p.read_text("utf-8") for p in folder.rglob("*") if p.suffix in (".py", ".html"))
    asked = set(re.findall(r'\b(?:t|words|said)\(\s*"([\w.]+\w)"[,)]', text))
    asked |= {f"sheet.{name}" for name in HEADINGS}
    asked |= {
        name
        for name in words("en").strings
        if re.match(
            r"plain\.ask_\d|page\.language|model\.(limit|trained_on|measure)_|rely\.rests_", name
        )
        or re.match(r"wrong\.not_changeable|problem\.(not-json|media-type|too-many)", name)
    }
    assert asked == words("en").strings.keys()
