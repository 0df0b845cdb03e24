"""A report of a small simulated cohort: whole, self-contained, and honest about what is missing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

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
from spinecast.fitting.training import train
from spinecast.measures.pooling import pool
from spinecast.patients.labelled import read_labelled
from spinecast.patients.tables import write_table
from spinecast.reports import report as reports
from spinecast.reports.checklists import hti1, model_card, probast, tripod
from spinecast.reports.pointers import Pointer, resolve
from spinecast.reports.report import write_report
from spinecast.reports.report_numbers import NOT_RUN
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
    "calculation",
    "calibration",
    "eligibility",
    "encoding",
    "flow",
    "internal-validation",
    "measures",
    "methods",
    "model",
    "outcome",
    "output",
    "participants",
    "performance",
    "predictors",
    "sample-size",
    "sites",
    "subgroups",
    "updating",
]
STANDARDS = (tripod, probast, hti1, model_card)


class Page(HTMLParser):
    """What a page has: ids, addresses, and the file each figure names."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.addresses, self.scripts, self.captions = [], [], 0, []
        self.in_caption = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        links = [given[key] for key in ("href", "src", "xlink:href") if key in given]
        self.addresses += links
        self.scripts += tag in ("script", "img", "iframe", "link")
        if tag == "figcaption":
            self.in_caption = True
            self.captions.append(["", []])
        if self.in_caption:
            self.captions[-1][1] += links

    def handle_endtag(self, tag):
        self.in_caption = self.in_caption and tag != "figcaption"

    def handle_data(self, data):
        if self.in_caption:
            self.captions[-1][0] += data


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
    from spinecast.retraining import _story

    story = _story(result, labelled)
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


def test_every_figure_says_how_it_was_made_and_where_its_numbers_are(folder):
    captions = Page((folder / "report.html").read_text()).captions
    assert len(captions) == len(list(folder.glob("*.svg")))
    for words, files in captions:
        assert "Method: " in words
        assert files
        assert all((folder / file).is_file() for file in files)


def test_what_counts_as_reported_is_there(folder):
    study = read_study(folder / "study.toml") if (folder / "study.toml").exists() else None
    for standard in STANDARDS:
        held = standard(study or Study(), folder)
        assert held.counts["reported"]
        for item in held.items:
            if item.status == "reported":
                assert item.where
                assert all(resolve(pointer, folder) for pointer in item.where)
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
    assert 0 < text.index("Simulated patients: ") < text.index("<nav")


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


def test_patients_without_sites_and_dates_are_reported_too(result, labelled, bundle, tmp_path):
    checked, many = labelled.checked, len(labelled.cohort)
    nowhere = replace(labelled.cohort, site=np.full(many, "", dtype=object))
    alike = replace(labelled, checked=replace(checked, accepted=nowhere))
    folder = write_report(result, alike, bundle, tmp_path / "r").parent
    assert "no site is known" in json.loads((folder / "sites.json").read_text())["not_applicable"]
