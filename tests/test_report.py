"""A report of a small simulated cohort: whole, self-contained, and honest about what is missing."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from spinecast.cohorts.labelled import read_labelled
from spinecast.errors import UsageRefused
from spinecast.fitting.internal import internal_validation
from spinecast.fitting.recipe import (
    EvidenceRecipe,
    IntervalRecipe,
    ProofRecipe,
    Recipe,
    ResamplingRecipe,
    TreeRecipe,
)
from spinecast.fitting.training import OURS, train
from spinecast.measures.evaluation import compare, evaluate
from spinecast.measures.pooling import pool
from spinecast.patients.tables import write_table
from spinecast.reports import figures
from spinecast.reports import report as reports
from spinecast.reports.checklists import hti1, model_card, probast, tripod
from spinecast.reports.numbers import LICENCE
from spinecast.reports.pointers import Pointer, ReportFolder
from spinecast.reports.report import write_report
from spinecast.reports.sentences import NOT_RUN, simple_in_words
from spinecast.reports.study import Study, read_study
from spinecast.simulator.synthetic import simulate

RECIPE = Recipe(
    question="Is <b>this</b> & that escaped?",
    baselines=("published evidence",),
    evidence=EvidenceRecipe(weights=(1.0,), scales=(1.0,)),
    trees=TreeRecipe(most_rounds=0),
    resampling=ResamplingRecipe(
        inner_folds=2, inner_repeats=1, outer_folds=2, outer_repeats=1, bootstraps=2
    ),
    interval=IntervalRecipe(refits=5),
    proof=ProofRecipe(learning_from=200, learning_repeats=2, unknown_share=0.2),
)
STUDY = """
[report]
objective = "both"
title = "Risks <script>alert(1)</script> & more"
[data]
eligibility = "Adults."
[use]
thresholds = [0.1, 0.4]
clinical_action = "offer <i>rehabilitation</i> first"
"""
NAME = "<img src=x>.csv"
SECTIONS = [
    "agreement",
    "calculation",
    "calibration",
    "comparison",
    "decisions",
    "effects",
    "eligibility",
    "encoding",
    "flow",
    "in-short",
    "in-use",
    "internal-validation",
    "learning",
    "limitations",
    "measures",
    "methods",
    "model",
    "outcome",
    "output",
    "participants",
    "performance",
    "period",
    "predictors",
    "sample-size",
    "sites",
    "stability",
    "steadiness",
    "subgroups",
    "updating",
]
STANDARDS = (tripod, probast, hti1, model_card)


class Page(HTMLParser):
    """What a page has: ids, addresses, and what stands with each table and figure."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.addresses, self.scripts = [], [], 0
        self.pointers, self.tables, self.figures, self.heads = [], 0, [], []
        self.captions = 0
        self.methods = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.addresses += [given[key] for key in ("href", "src", "xlink:href") if key in given]
        self.scripts += tag in ("script", "img", "iframe", "link")
        self.pointers += [given["data-pointer"]] if "data-pointer" in given else []
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.methods += given.get("class") == "method"
        self.figures += [given["id"]] if tag == "figure" else []
        self.heads += [given] if tag == "th" else []


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def labelled(registry, place):
    cohort = simulate(registry, 500, 1)
    write_table(cohort.frame(), place / "cohort.csv")
    return replace(read_labelled(place / "cohort.csv", registry), name=NAME)


@pytest.fixture(scope="module")
def result(registry, labelled):
    y = labelled.labels.failed
    return train(
        registry, labelled.cohort.codes, y, RECIPE, trained_on="simulated", outcome="fbss_12m"
    )


@pytest.fixture(scope="module")
def bundle(result, labelled, place):
    from spinecast.explaining.bundle import write_bundle
    from spinecast.retraining.keeping import story

    story = story(result, labelled)
    folder = place / "model"
    write_bundle(folder, result.model, result.facts, result.booster, story)
    return folder


@pytest.fixture(scope="module")
def found(result, labelled):
    return reports.gather(result, labelled, Study(), None)


@pytest.fixture(scope="module")
def bare(result, labelled, bundle, place):
    return write_report(result, labelled, bundle, place / "bare").parent


@pytest.fixture(scope="module")
def full(result, labelled, bundle, place):
    (place / "mine.toml").write_text(STUDY)
    y = labelled.labels.failed
    found = internal_validation(labelled.cohort, y, RECIPE, pool=pool)
    study = place / "mine.toml"
    page = write_report(result, labelled, bundle, place / "full", study=study, internal=found)
    return page.parent


@pytest.fixture(params=["bare", "full"])
def folder(request):
    return request.getfixturevalue(request.param)


def refuse(word):
    raise AssertionError(f"{word} is no JSON")


def test_every_number_is_a_number(folder):
    names = {path.name for path in folder.glob("*.json")}
    wanted = "performance data subgroups sample_size missing sites updating shift effects"
    assert names >= {f"{name}.json" for name in wanted.split()}
    assert names >= {"internal_validation.json", "model.json", "training.json"}
    for name in names:
        json.loads((folder / name).read_text(), parse_constant=refuse)


def test_a_page_stands_alone_and_names_each_place_once(folder):
    for path in folder.glob("*.html"):
        text = path.read_text()
        page = Page(text)
        assert len(page.ids) == len(set(page.ids))
        assert page.scripts == 0
        assert not [one for one in page.addresses if re.match(r"(https?:)?//", one)]
        assert not re.search(r"url\((?!#)|@import", text)
        assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(page.ids)
        for one in page.addresses:
            file, _, mark = one.partition("#")
            assert not mark or file or mark in page.ids
    assert set(SECTIONS) <= set(Page((folder / "report.html").read_text()).ids)


def test_every_figure_and_table_says_how_it_was_made_and_where_its_numbers_are(folder):
    text = (folder / "report.html").read_text()
    page, place = Page(text[: text.index('class="spinecast checklist')]), ReportFolder(folder)
    assert len(page.figures) == len(list(folder.glob("*.svg"))) > 40
    shown = len(page.figures) + page.tables
    assert page.methods == len(page.pointers) == shown
    assert "Method: ." not in text
    for pointer in page.pointers:
        assert Pointer.parse(pointer).has_place, pointer
        assert place.resolves(pointer), pointer


def test_tables_have_captions_and_heads_a_scope_and_drawings_words(folder):
    page = Page((folder / "report.html").read_text())
    assert page.captions == page.tables
    assert all(head.get("scope") in ("col", "row") for head in page.heads)
    for path in folder.glob("*.svg"):
        start = path.read_text()[:20_000]
        assert re.search(r"<title [^>]*>[^<]+</title>\s*<desc [^>]*>[^<]+</desc>", start), path


def test_the_first_screen_gives_the_verdict(folder):
    text = (folder / "report.html").read_text()
    first = text[text.index("<h1>") : text.index("<nav")]
    for asked in ("What is it?", "On whom does it rest?", "How good is it?", "What is missing?"):
        assert asked in first
    assert re.search(r"AUROC 0\.\d{3} \(0\.\d{3} to 0\.\d{3}\)", first)
    assert "Is a simple model as good?" in first
    assert "are too few to learn from (110 parameters)" in first


def test_too_few_patients_make_a_model_exploratory_everywhere(folder):
    text = (folder / "report.html").read_text()
    assert "(exploratory)</title>" in text
    assert '<p class="banner">Exploratory: ' in text
    told = json.loads((folder / "performance.json").read_text())
    assert told["standing"]["exploratory"] is True
    assert any("Exploratory." in one for one in told["limitations"])
    assert len(set(told["limitations"])) == len(told["limitations"])
    assert "Exploratory. " in (folder / "model_card.xml").read_text()
    assert "`performance.json#/limitations`" in (folder / "hti1.md").read_text()


def test_groups_are_judged_by_ranking_calibration_and_benefit(full, bare):
    """Net benefit only where thresholds were declared."""
    told = json.loads((full / "subgroups.json").read_text())
    judged = [one for one in told["groups"] if not one["suppressed"]]
    assert judged
    for one in judged:
        names = [measure["measure"] for measure in one["measures"]]
        assert {"auroc", "observed_expected", "calibration_slope"} <= set(names)
        assert [part["threshold"] for part in one["net_benefit"]] == [0.1, 0.25, 0.4]
    assert all(not one["net_benefit"] for one in told["groups"] if one["suppressed"])
    text = (full / "report.html").read_text()
    for table in ("table-groups", "table-groups-apart", "table-groups-benefit", "table-in-use"):
        assert f'id="{table}"' in text
    assert 'id="table-groups-benefit"' not in (bare / "report.html").read_text()


def test_what_counts_as_reported_is_there(folder):
    study = read_study(folder / "study.toml") if (folder / "study.toml").exists() else None
    place = ReportFolder(folder)
    for standard in STANDARDS:
        held = standard(study or Study(), folder)
        assert held.counts["reported"]
        for item in held.items:
            if item.status == "reported":
                assert item.where
                assert all(place.resolves(pointer) for pointer in item.where)
        assert (folder / f"{held.name}.md").exists()
        assert (folder / f"{held.name}.html").exists()


def test_whatever_a_run_can_answer_is_answered(full):
    """Only what a person must write, or another cohort would show, is lacking."""
    study = read_study(full / "study.toml")
    for standard in STANDARDS:
        for item in standard(study, full).items:
            if item.note.startswith("Lacking: "):
                for place in item.note.removeprefix("Lacking: ").rstrip(".").split("; "):
                    files = {Pointer.parse(one).file for one in place.split(" or ")}
                    assert files & {"study.toml", "validation.json"}, (item.number, place)


def test_names_are_shown_and_never_obeyed(full):
    text = (full / "report.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;img src=x&gt;.csv" in text
    assert "offer &lt;i&gt;rehabilitation&lt;/i&gt; first" in text
    assert "Is &lt;b&gt;this&lt;/b&gt; &amp; that escaped?" in text


def test_what_is_missing_is_shown_as_missing(bare, full):
    text = (bare / "report.html").read_text()
    assert NOT_RUN in text
    assert "Not stated in study.toml: data.eligibility, data.setting." in text
    assert "Not stated in study.toml: data.setting." in (full / "report.html").read_text()
    assert json.loads((bare / "internal_validation.json").read_text())["optimism"] is None
    assert not (bare / "decision_curve.json").exists()
    assert (full / "decision_curve.json").exists()
    assert NOT_RUN not in (full / "report.html").read_text()


def test_simulated_patients_are_said_to_be_simulated_first(bare):
    text = (bare / "report.html").read_text()
    assert 0 < text.index("Simulated patients: ") < text.index("In short") < text.index("<nav")


def test_the_same_training_gives_the_same_report(bare, result, labelled, bundle, tmp_path):
    again = write_report(result, labelled, bundle, tmp_path / "again").parent
    for path in bare.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_failure_half_way_leaves_no_folder_or_the_former_one(
    error, found, result, labelled, bundle, tmp_path, monkeypatch
):
    def fail(*_):
        raise error

    monkeypatch.setattr(reports, "gather", lambda *_: found)
    monkeypatch.setattr(reports, "figures", lambda *_: ())
    (tmp_path / "former").mkdir()
    (tmp_path / "former" / "report.html").write_text("precious")
    monkeypatch.setattr(reports, "as_markdown", fail)
    for name in ("new", "former"):
        with pytest.raises((KeyboardInterrupt, UsageRefused)):
            write_report(result, labelled, bundle, tmp_path / name)
    assert [path.name for path in tmp_path.rglob("*")] == ["former", "report.html"]
    assert (tmp_path / "former" / "report.html").read_text() == "precious"


def test_a_folder_of_something_else_is_never_replaced(result, labelled, bundle, tmp_path):
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(UsageRefused, match="it is not a report"):
        write_report(result, labelled, bundle, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "precious"


@pytest.mark.usefixtures("undrawn")
def test_patients_without_sites_and_dates_are_reported_too(result, labelled, bundle, tmp_path):
    many = len(labelled.cohort)
    nowhere = replace(labelled.cohort, site=np.full(many, "", dtype=object))
    alike = replace(labelled, cohort=nowhere)
    folder = write_report(result, alike, bundle, tmp_path / "r").parent
    assert "no site is known" in json.loads((folder / "sites.json").read_text())["not_applicable"]


# --- bad input: said plainly, and the rest still comes out ----------------------------------------


def judged_anew(result, y, risk):
    """The same training, had it given these risks."""
    unseen = {**result.unseen, OURS: np.broadcast_to(risk, result.unseen[OURS].shape)}
    return replace(
        result,
        y=y,
        unseen=unseen,
        performance={name: evaluate(y, one) for name, one in unseen.items()},
        comparison=compare(y, unseen, OURS),
    )


@pytest.fixture
def undrawn(monkeypatch):
    """Without the figure of each factor, which takes longest and has tests of its own."""
    monkeypatch.setattr(figures, "effect_plot", lambda *_, **__: "<svg></svg>")


def written(result, labelled, bundle, folder):
    page = write_report(result, labelled, bundle, folder).read_text()
    for path in folder.glob("*.json"):
        json.loads(path.read_text(), parse_constant=refuse)
    assert set(SECTIONS) <= set(Page(page).ids)
    return " ".join(page.split())


@pytest.mark.usefixtures("undrawn")
def test_constant_risks_rank_nobody_and_size_cannot_be_said(result, labelled, bundle, tmp_path):
    constant = judged_anew(result, result.y, np.full(len(result.y), 0.2))
    page = written(constant, labelled, bundle, tmp_path / "r")
    assert "Every patient was given the same risk; the predictions cannot rank anyone." in page
    assert "cannot be said: it ranks no better than chance" in page
    assert "(exploratory)</title>" in page


@pytest.mark.usefixtures("undrawn")
def test_certain_risks_are_named_with_what_they_cost(result, labelled, bundle, tmp_path):
    risk = result.unseen[OURS][0].copy()
    risk[np.flatnonzero(result.y == 0)[0]] = 1.0
    risk[np.flatnonzero(result.y == 1)[0]] = 0.0
    page = written(judged_anew(result, result.y, risk), labelled, bundle, tmp_path / "r")
    assert "were given a risk of exactly 0 or 1; 2 of these turned out otherwise" in page


@pytest.mark.usefixtures("undrawn")
def test_one_kind_of_patient_at_a_site_is_not_judged_there(result, labelled, bundle, tmp_path):
    known = labelled.labels.is_known
    cohort = labelled.cohort
    place = np.where(known & (labelled.labels.failed == 0), "calm", "mixed").astype(object)
    lone = np.flatnonzero(place == "calm")[60:]
    place[lone] = "mixed"
    alike = replace(labelled, cohort=replace(cohort, site=place))
    page = written(result, alike, bundle, tmp_path / "r")
    row = page[page.index('<th scope="row">Site: calm</th>') :][:400]
    assert "Not judged: fewer than 10 patients with the outcome" in row


@pytest.mark.usefixtures("undrawn")
def test_ten_events_are_called_anecdotes_or_too_few(result, labelled, bundle, tmp_path):
    y = np.zeros_like(result.y)
    y[np.argsort(-result.unseen[OURS][0], kind="stable")[:20:2]] = 1
    few = judged_anew(result, y, result.unseen[OURS][0])
    page = written(few, labelled, bundle, tmp_path / "r")
    assert f"10 of {len(y)} patients had the outcome" in page
    assert "(exploratory)</title>" in page


def test_unknown_outcomes_are_counted_and_left_out(labelled, bare):
    told = json.loads((bare / "performance.json").read_text())
    lost = len(labelled.cohort) - labelled.labels.known
    assert lost > 0
    assert any(f"The outcome of {lost:,} of" in one for one in told["limitations"])


@pytest.mark.usefixtures("undrawn")
def test_one_site_and_no_dates_are_said(result, labelled, bundle, tmp_path):
    many, cohort = len(labelled.cohort), labelled.cohort
    one = replace(
        cohort,
        site=np.full(many, "here", dtype=object),
        index_date=np.full(many, np.datetime64("NaT"), dtype=cohort.index_date.dtype),
    )
    alike = replace(labelled, cohort=one)
    page = written(result, alike, bundle, tmp_path / "r")
    assert "Not applicable. All patients come from one site." in page
    assert "Not by period: the dates are not known, or all the same." in page


# --- what the words say ---------------------------------------------------------------------------


def test_a_simple_model_that_is_better_is_called_better(found, result):
    risks = {**result.unseen, "published evidence": (0.1 + result.y * 0.8)[None]}
    told = replace(result, comparison=compare(result.y, risks, OURS))
    words = simple_in_words(replace(found, result=told))
    assert words.startswith("A simple model is better: published evidence")


def test_a_simple_model_that_is_worse_is_not_called_as_good(found, result):
    risks = {**result.unseen, "published evidence": (0.9 - result.y * 0.8)[None]}
    told = replace(result, comparison=compare(result.y, risks, OURS))
    words = simple_in_words(replace(found, result=told))
    assert words == "No, every simple model is less good: published evidence."


def test_the_licence_is_that_of_the_project():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["license"] == LICENCE
