"""The answer: one record behind page, sheet, interface and command line; what if; the PDF."""

from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asking import THEN, Asker
from conftest import any_rows
from spinecast.errors import ModelRefused
from spinecast.explaining.current import CURRENT
from spinecast.explaining.current import Current as InUse
from spinecast.explaining.scoring import Scorer
from spinecast.promotion.answering import manifest_hash
from spinecast.showing.display import as_text
from spinecast.showing.phrases import banner
from spinecast.showing.wording import sheet_of
from spinecast.web.answering import fingerprint
from spinecast.web.app import look
from spinecast.web.audit import Audit
from spinecast.web.current import UNUSABLE, Current, Installed
from spinecast.web.interface import answer
from spinecast.web.printing import handout, pdf
from spinecast.web.result import answer_of, standing_of
from spinecast.web.words import words

EN = words("en")
EXAMPLE = {
    "age": "54", "sex": "female", "bmi": "31.2", "smoking_status": "current", "nrs_back": "7",
    "lesion_type": "recurrent_disc_herniation", "prior_lumbar_surgeries": "1",
}  # fmt: skip


@pytest.fixture(scope="module")
def current(bundle_folder) -> Current:
    return Current.start(bundle_folder)


@pytest.fixture(scope="module")
def asker(current) -> Asker:
    return Asker.of(current)


def answers_of(registry, row) -> dict[str, object]:
    named = zip(registry.factors, row.tolist(), strict=True)
    return {f.name: f.value_of(code) for f, code in named if not np.isnan(code)}


def told(page: str) -> str:
    """A page as it reads: without its marks, spaces as they fall."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


# --- one record ---------------------------------------------------------------------------------


def test_page_sheet_interface_and_command_line_say_the_same_of_200_patients(asker, scorer):
    registry = scorer.registry
    for row in any_rows(registry, 200, 11):
        answers = answers_of(registry, row)
        record = scorer.assess(answers)
        sent = asker.post("/api/assess", json=answers)
        assert sent.json() == json.loads(record.to_json())
        sheet = sheet_of(record)
        text = " ".join(as_text(record, width=2_000).split())
        form = {name: str(value) for name, value in answers.items()}
        for path in ("/result", "/sheet"):
            page = told(asker.post(path, data=form).text)
            for said in (sheet.answer, sheet.headline, sheet.lowering):
                assert said in page
                assert said in text
            for bar in sheet.bars:
                assert f"{bar.words} {bar.shown}" in page
                assert f"{bar.words} {bar.shown}" in text


def test_the_record_for_programs_is_the_contract_to_the_last_digit(scorer, candidates):
    scores = scorer.explainer.score(candidates[:50])
    for row in range(50):
        record = scorer.explainer.explain(scores, row)
        for one in (record, replace(record, patient_id="K-1", language="de")):
            sent = json.loads(answer(one).body)
            assert json.dumps(sent) == json.dumps(json.loads(one.to_json()))


def test_every_factor_and_the_short_list_add_up_alike(scorer, candidates):
    scores = scorer.explainer.score(candidates[:200])
    for row in range(200):
        record = scorer.explainer.explain(scores, row)
        short, full = sheet_of(record), sheet_of(record, full=True)
        alone = {bar.label: bar.shown for bar in short.bars if bar.value}
        every = {bar.label: bar for bar in full.bars if bar.value}
        assert {label: every[label].shown for label in alone} == alone
        assert short.bars[-1].shown == full.bars[-1].shown
        folded = sum(b.end - b.start for label, b in every.items() if label not in alone)
        own = [bar for bar in short.bars if not bar.value and bar.kind != "total"]
        assert folded == sum(bar.end - bar.start for bar in own)


def test_as_many_icons_are_filled_as_the_sentence_says(asker, scorer):
    record = scorer.assess(EXAMPLE)
    page = asker.post("/result", data=EXAMPLE).text
    assert page.count('<circle class="dark"') == int(sheet_of(record).risk)
    assert page.count("<circle") == 100


def test_the_chart_is_drawn_from_the_numbers_beside_it(asker, scorer):
    sheet = sheet_of(scorer.assess(EXAMPLE))
    page = asker.post("/result", data=EXAMPLE).text
    rects = r'<rect class="(?:raises|lowers|neither|total)" x="([\d.]+)" y="1" width="([\d.]+)"'
    drawn = re.findall(rects, page)
    low, high = sheet.span
    for bar, (x, _) in zip(sheet.bars, drawn[len(sheet.measures) :], strict=False):
        left = (min(bar.start, bar.end) - low) * 100 / (high - low)
        assert abs(float(x) - min(left, 99.4)) < 0.01


def test_everything_unknown_is_answered_and_says_so(asker, scorer):
    page = told(asker.post("/result", data={}).text)
    assert f"{len(scorer.registry.factors)} of {len(scorer.registry.factors)} factors" in page


def test_what_was_not_asked_about_scope_is_said_once_on_page_and_sheet_and_to_programs(
    asker, scorer
):
    tumour, *others = scorer.registry.exclusions
    asked = EXAMPLE | {tumour.name: "no"}
    (caution,) = (
        one["message"]
        for one in asker.post("/api/assess", json=asked).json()["cautions"]
        if one["code"] == "scope_unchecked"
    )
    for path in ("/result", "/sheet"):
        without = told(asker.post(path, data=asked).text)
        assert without.count(caution) == 1
        assert tumour.question not in without
        assert all(without.count(other.question) == 1 for other in others)
        everyone = {one.name: "no" for one in scorer.registry.exclusions}
        assert "not checked:" not in told(asker.post(path, data=EXAMPLE | everyone).text)


def test_nothing_known_is_an_average_patient_and_says_so(asker):
    assert EN("result.nothing_known") in told(asker.post("/result", data={}).text)
    assert EN("result.nothing_known") not in told(asker.post("/result", data={"age": "54"}).text)


def test_the_surgeons_own_estimate_stands_beside_the_answer_and_changes_nothing(asker):
    without = told(asker.post("/result", data=EXAMPLE).text)
    beside = told(asker.post("/result", data=EXAMPLE | {"own_estimate": "25"}).text)
    said = " Your own estimate was 25 of 100."
    assert said in beside
    assert beside.replace(said, "") == without


def test_the_answer_says_how_well_the_model_ranks_patients_and_that_it_was_not_checked_here(scorer):
    line = {"measure": "auroc", "label": "AUROC", "value": 0.67, "low": 0.59, "high": 0.74}
    training = {**scorer.bundle.training, "performance": {"spinecast": [line]}}
    answer = answer_of(scorer.assess(EXAMPLE), replace(scorer.bundle, training=training), EN)
    assert any("67 of 100 times (95% interval 59 to 74)" in said for said in answer.rely)
    assert answer.rely[-1] == EN("rely.not_checked_here")
    assert standing_of({}) is None


def test_what_speaks_against_the_estimate_names_where_the_cohort_contradicts(scorer):
    record = scorer.assess(EXAMPLE)
    first = record.contributions[0]
    contrary = replace(first, agreement="disagrees")
    changed = replace(record, contributions=(contrary, *record.contributions[1:]))
    against = answer_of(changed, scorer.bundle, EN).against
    assert any(first.label in said and "contradicts" in said for said in against)


@pytest.mark.parametrize(
    ("method", "path", "data"),
    [
        ("GET", "/", None), ("GET", "/model", None), ("POST", "/result", EXAMPLE),
        ("POST", "/result", {"age": "17"}), ("POST", "/result", {"spinal_tumour": "yes"}),
        ("POST", "/what-if", EXAMPLE), ("POST", "/sheet", EXAMPLE), ("POST", "/", EXAMPLE),
    ],
)  # fmt: skip
def test_every_page_of_a_model_of_simulated_patients_says_so(asker, method, path, data):
    page = told(asker.ask(method, path, **({"data": data} if data else {})).text)
    assert banner("simulated") in page


def test_every_answer_to_a_program_says_what_the_model_was_trained_on(asker):
    assert asker.post("/api/assess", json={}).json()["model"]["trained_on"] == "simulated"
    assert asker.post("/api/assess", json={"age": 3}).json()["trained_on"] == "simulated"
    assert asker.get("/api/model").json()["model"]["trained_on"] == "simulated"
    assert asker.get("/healthz").json()["trained_on"] == "simulated"


# --- what if ------------------------------------------------------------------------------------


def test_what_if_sets_both_records_side_by_side_as_other_patients(asker, scorer):
    page = told(asker.post("/what-if", data=EXAMPLE | {"if.smoking_status": "never"}).text)
    for smoking in ("current", "never"):
        risk = sheet_of(scorer.assess(EXAMPLE | {"smoking_status": smoking})).risk
        assert f"{risk} of 100" in page
    assert EN("what_if.guard") in page
    assert "Smoking : this patient smokes now; the other patients never smoked." in page


def test_only_known_and_changeable_factors_may_differ(asker, scorer):
    page = asker.post("/what-if", data=EXAMPLE).text
    offered = set(re.findall(r'name="if\.(\w+)"', page))
    changeable = {
        factor.name for factor in scorer.registry.factors if factor.modifiable.is_possible
    }
    assert offered == changeable & EXAMPLE.keys()
    for name, value in (("age", "30"), ("depression", "no"), ("sex", "male")):
        refused = asker.post("/what-if", data=EXAMPLE | {f"if.{name}": value})
        assert refused.status_code == 422
        assert "may be changed here" in refused.text


def test_a_wrong_alternative_is_said_at_its_field(asker):
    refused = asker.post("/what-if", data=EXAMPLE | {"if.bmi": "310"})
    assert refused.status_code == 422
    assert 'id="if.bmi-wrong"' in refused.text
    assert 'value="310"' in refused.text


def test_no_estimate_is_shown_for_patients_the_cohort_hardly_had(asker, monkeypatch):
    from spinecast.web import pages

    seen = iter([True, False])  # the others are unusual, this patient is not
    monkeypatch.setattr(pages, "_is_unusual", lambda _: next(seen))
    page = told(asker.post("/what-if", data=EXAMPLE | {"if.smoking_status": "never"}).text)
    assert EN("what_if.unusual") in page
    assert EN("what_if.other") not in page


def test_no_page_promises_a_reduction(asker):
    for path in ("/result", "/what-if", "/sheet"):
        page = told(asker.post(path, data=EXAMPLE | {"if.smoking_status": "never"}).text).lower()
        assert "reduce your" not in page
        assert "would lower" not in page
        assert "lowers your risk" not in page


# --- the sheet ----------------------------------------------------------------------------------


def printed(scorer, answers, **more) -> bytes:
    made = more.pop("made", THEN)
    codes, faults = scorer.read(answers)
    assert not faults
    record = replace(scorer.assess(answers), **more)
    return pdf(handout(record, scorer, codes, made, 25, EN))


def test_the_pdf_of_a_record_and_a_time_is_the_same_to_the_byte(asker):
    sent = EXAMPLE | {"made_at": "2026-11-21T09:00:00+00:00"}
    first, again = (asker.post("/sheet.pdf", data=sent).content for _ in range(2))
    assert first.startswith(b"%PDF-")
    assert first == again
    later = asker.post("/sheet.pdf", data=sent | {"made_at": "2026-11-21T09:00:01+00:00"}).content
    assert later != first


def test_the_pdf_has_two_pages_however_much_is_to_be_said(scorer, candidates):
    full = candidates[~np.isnan(candidates).any(axis=1)][0]
    for answers in ({}, answers_of(scorer.registry, full)):
        assert b"/Type/Pages/Count 2/" in printed(scorer, answers)


def test_a_name_is_printed_and_not_run(scorer):
    body = printed(scorer, {"age": 54}, patient_id='#panic("x") *b* $1/0$ <a> \\ "')
    assert body.startswith(b"%PDF-")


def test_the_sheet_bears_time_model_and_a_name_of_the_answers(asker, scorer):
    page = told(asker.post("/sheet", data=EXAMPLE).text)
    codes, _ = scorer.read(EXAMPLE)
    assert "2026-11-21 09:00:00 UTC" in page
    assert scorer.explainer.identity.id in page
    assert f"input {fingerprint(scorer, codes)}" in page


def test_equal_answers_have_one_name_and_other_answers_another(scorer):
    def name(answers):
        return fingerprint(scorer, scorer.read(answers)[0])

    assert name({"age": 54, "sex": "male"}) == name({"sex": "MALE", "age": "54.0", "bmi": None})
    assert name({"age": 54}) != name({"age": 55})
    assert name({}) != name({"diabetes": "no"})


def test_the_patients_page_says_the_same_number_in_short_words(asker, scorer):
    sheet = sheet_of(scorer.assess(EXAMPLE))
    page = told(asker.post("/sheet", data=EXAMPLE).text).partition(EN("plain.title"))[2]
    assert f"about {sheet.risk} of them {scorer.registry.condition_plain}." in page
    assert f"About {100 - int(sheet.risk)} of them did not." in page
    plain = page.partition(sheet.model)[0]
    sentences = [s.split() for s in re.split(r"[.?]\s", plain) if s.split()]
    assert sum(map(len, sentences)) / len(sentences) < 16


@pytest.mark.parametrize(("count", "said"), [(0, ""), (1, "one thing"), (2, "2 things")])
def test_the_patients_page_counts_what_was_not_known(scorer, count, said):
    record = scorer.assess(EXAMPLE)
    record = replace(record, unknown=record.unknown[:count])
    codes = scorer.read(EXAMPLE)[0]
    means = handout(record, scorer, codes, THEN, None, EN).plain[2].lines
    assert len(means) == 1 + bool(count)
    assert said in means[-1]


def test_a_time_that_is_none_is_not_believed(asker):
    page = asker.post("/sheet", data=EXAMPLE | {"made_at": "<b>now</b>"}).text
    assert "2026-11-21 09:00:00 UTC" in page
    assert "<b>now" not in page


# --- the model ----------------------------------------------------------------------------------


def test_the_page_about_the_model_says_what_it_rests_on(asker, scorer):
    page = told(asker.get("/model").text)
    identity = scorer.explainer.identity
    for said in (identity.id, identity.registry, str(identity.patients), identity.outcome):
        assert said in page


def test_a_model_that_is_swapped_serves_and_a_broken_one_does_not(tmp_path, bundle_folder):
    folder = tmp_path / "model"
    assert Current.start(folder).installed is None
    current = Current.start(folder)
    asker = Asker.of(current)
    none = asker.get("/")
    assert none.status_code == 503
    assert "make demo" in none.text
    assert asker.post("/api/assess", json={}).status_code == 503
    shutil.copytree(bundle_folder, folder)
    current.look()
    first = current.installed
    assert isinstance(first, Installed)
    assert asker.get("/healthz").json()["refused"] is None
    (folder / "facts.json").write_text("{}")
    current.look()
    assert current.installed is first
    told_ = asker.get("/healthz")
    assert told_.status_code == 200
    assert "facts.json" in current.refused
    assert told_.json()["refused"] == UNUSABLE
    assert "/" not in told_.text, "whoever asks has not logged in"
    assert asker.post("/api/assess", json={}).status_code == 200
    shutil.rmtree(folder)
    current.look()
    assert current.installed is first
    assert "gone" in asker.get("/healthz").json()["refused"]
    shutil.copytree(bundle_folder, folder)
    current.look()
    assert current.refused == ""
    assert current.installed is not first


def test_whoever_runs_the_server_is_told_once_why_a_new_model_is_not_used(
    tmp_path, bundle_folder, capfd
):
    folder = tmp_path / "model"
    shutil.copytree(bundle_folder, folder)
    current = Current.start(folder)
    (folder / "facts.json").write_text("{}")
    for _ in range(3):
        look(current)
    said = capfd.readouterr().err
    assert said.count("spinecast: ") == 1
    assert "facts.json" in said


def test_files_that_vanish_while_they_are_looked_at_do_not_end_the_watch(
    tmp_path, bundle_folder, monkeypatch
):
    from spinecast.web import current as watched

    folder = tmp_path / "model"
    shutil.copytree(bundle_folder, folder)
    current = Current.start(folder)
    first = current.installed
    with monkeypatch.context() as patched:
        patched.setattr(watched, "_stamp_of", lambda _: (_ for _ in ()).throw(FileNotFoundError))
        current.look()
    assert current.installed is first
    assert current.refused
    current.look()
    assert current.installed is not first
    assert current.refused == ""


def test_the_model_in_use_answers_and_the_next_one_takes_over(tmp_path, bundle_folder):
    assert Current.start(None, models=tmp_path).installed is None
    for name in ("first", "second"):
        shutil.copytree(bundle_folder, tmp_path / name)
    model = Scorer.load(bundle_folder).explainer.identity.id
    put_into_use(tmp_path, "first", model)
    current = Current.start(None, models=tmp_path)
    before = current.installed
    assert before is not None
    put_into_use(tmp_path, "second", model)
    current.look()
    after = current.installed
    assert after is not before
    (tmp_path / "CURRENT").write_text("second\n")
    current.look()
    assert current.installed is after
    assert "edited" in current.refused
    with pytest.raises(ModelRefused):
        Current.start(None, models=tmp_path)


def put_into_use(models: Path, folder: str, model: str) -> None:
    named = InUse(folder, model, manifest_hash(models / folder), 1, "0" * 64)
    (models / CURRENT).write_text(named.text())


def test_nothing_is_noted_without_an_audit_file(scorer):
    Audit().note("page", scorer, scorer.read({})[0], "scored")
