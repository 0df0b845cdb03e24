"""Another disease: how little a registry may say, and that nothing else then speaks of surgery."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from spinecast.cli import commands
from spinecast.errors import UsageRefused
from spinecast.exchange.json_schema import json_schema_text
from spinecast.exchange.redcap_dictionary import dictionary_csv
from spinecast.handbook.catalogue import listing
from spinecast.handbook.dictionary import dictionary
from spinecast.judging.first_table import first_table
from spinecast.judging.suspicion import suspicions
from spinecast.knowledge.loading import load_registry
from spinecast.promotion.gate import read_gate
from spinecast.simulator.synthetic import simulate
from spinecast.site.mapping import map_file
from spinecast.site.reconciling import read_site

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
COHORTS = sorted(path.parent for path in EXPERIMENTS.glob("*/registry"))
A_PAGE = 60  # lines

LEAST = {
    "registry.toml": """
        name = "least"
        version = "1"
        title = "The least"
        condition = "relapse"
        horizon = "within a year"
        """,
    "outcome.toml": """
        columns = [{ name = "relapsed", kind = "yes_no" }]
        [definitions.relapse]
        title = "Relapse"
        failure = "relapsed == 'yes'"
        mark = "assumption"
        """,
    "factors/all_of_them.toml": """
        age = { label = "Age", kind = "continuous", range = [18, 100], reference = 50, \
known_at = "referral", population = { mean = 50, sd = 15 } }
        visits = { label = "Visits", kind = "count", range = [0, 1000], reference = 0, \
known_at = "referral", population = { mean = 40, sd = 60 } }
        stage = { label = "Stage", kind = "ordinal", levels = [1, 2, 3, 4], known_at = "referral" }
        pain = { label = "Pain", kind = "binary", known_at = "referral" }
        """,
}


@pytest.fixture
def folder(tmp_path) -> Path:
    for name, text in LEAST.items():
        path = tmp_path / "least" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(line.strip() for line in text.splitlines()), encoding="utf-8")
    return tmp_path / "least"


@pytest.fixture
def least(folder):
    return load_registry(folder)


def patients(registry, stage: int, visits: float) -> np.ndarray:
    """400 patients of one stage, none of whom has as many visits as a bin's middle says."""
    made = simulate(registry, 400, 1, base_rate=0.3).codes.copy()
    made[:, registry.names.index("stage")] = stage
    made[:, registry.names.index("visits")] = visits
    return made


# --- what need not be said ------------------------------------------------------------------------


def test_what_is_left_out_follows_from_what_is_said(least):
    stage, pain = least.by_name["stage"], least.by_name["pain"]
    assert (least.condition_short, least.base_rate) == ("relapse", None)
    assert least.domains == {"all_of_them": "All of them"}
    assert (least.outcome.default, least.outcome.horizon) == ("relapse", "within a year")
    assert least.outcome.columns[0].label == "relapsed"
    assert (pain.levels, pain.reference, pain.direction) == (("no", "yes"), "no", "none")
    assert (stage.reference, stage.question) == ("1", "Stage?")
    assert stage.population.shares == (0.25,) * 4
    assert [factor.is_described for factor in least.factors] == [True, True, False, False]


@pytest.mark.parametrize(
    ("key", "where", "given"),
    [
        ("reference = 50, ", "reference", "missing"),
        (", population = { mean = 50, sd = 15 }", "population", "no shares and no mean with sd"),
        (', known_at = "referral"', "known_at", "missing"),
    ],
)
def test_what_nothing_follows_from_is_asked_for(folder, key, where, given):
    path = folder / "factors" / "all_of_them.toml"
    text = path.read_text(encoding="utf-8")
    assert key in text
    path.write_text(text.replace(key, "", 1), encoding="utf-8")
    with pytest.raises(UsageRefused) as refused:
        load_registry(folder)
    (problem,) = refused.value.problems
    assert (problem.where, problem.given) == (
        f"factors/all_of_them.toml [age] {where}",
        given,
    )


def test_a_folder_can_be_laid_over_the_least_registry(folder, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    said = 'name = "own"\nversion = "1"\nover = "../least"\nleave_out = ["pain"]\n'
    (own / "registry.toml").write_text(said, encoding="utf-8")
    laid = load_registry(own)
    assert laid.names == ("age", "visits", "stage")
    assert laid.outcome.default == "relapse"


def test_patients_are_simulated_at_a_rate_that_somebody_names(least):
    with pytest.raises(UsageRefused, match="--base-rate"):
        simulate(least, 100, 1)
    assert simulate(least, 4000, 1, base_rate=0.6).outcome.mean() == pytest.approx(0.6, abs=0.06)


# --- nothing is compared with what nobody said ----------------------------------------------------


def test_only_what_a_registry_says_is_compared_with_a_cohort(least, folder):
    codes = patients(least, stage=0, visits=np.nan)
    codes[0, least.names.index("stage")] = 1  # nearly, not quite constant
    assert not any(one.columns == ("stage",) for one in _suspicions(least, codes))
    path = folder / "factors" / "all_of_them.toml"
    told = "levels = [1, 2, 3, 4], population = { shares = [0.25, 0.25, 0.25, 0.25] }"
    text = path.read_text(encoding="utf-8").replace("levels = [1, 2, 3, 4]", told, 1)
    path.write_text(text, encoding="utf-8")
    described = load_registry(folder)
    (one,) = (one for one in _suspicions(described, codes) if one.columns == ("stage",))
    assert "assumed: 25%" in one.seen


def test_a_number_between_the_middles_of_bins_is_no_unused_level(least):
    codes = patients(least, stage=1, visits=np.nan)
    codes[:, 1] = 30.0 + 2 * np.arange(400) % 60
    assert not any(one.rule == "level_unused" for one in _suspicions(least, codes))


def test_table_one_shows_no_distribution_that_nobody_declared(least):
    made = simulate(least, 200, 1, base_rate=0.3)
    site = np.full(200, "", dtype=object)
    table = first_table(
        least, made.codes, made.outcome.astype(float), site, keep_back=False, in_brief=True
    )
    last = {row[0].strip(): row[-1] for row in table.rows}
    assert last["Age"]
    assert not last["2"]


def _suspicions(registry, codes):
    site = np.full(len(codes), "", dtype=object)
    return suspicions(registry, codes, site, {}, np.full(len(codes), np.nan))


# --- its own words --------------------------------------------------------------------------------


def test_a_registry_that_is_not_about_surgery_is_never_told_of_it(least):
    said = "\n".join(
        (listing(least, 90), dictionary(least), json_schema_text(least), dictionary_csv(least))
    )
    assert "before the prediction" in said
    told = said.replace("before_surgery", "")  # the name of a form, by which an export is known
    assert not re.search(r"surg|operat|spin(e|al)\b|lumbar", told, re.IGNORECASE)


# --- the cohorts that were tried ------------------------------------------------------------------


@pytest.mark.parametrize("cohort", COHORTS, ids=lambda path: path.name)
def test_a_cohort_that_was_tried_can_still_be_read(cohort):
    registry = load_registry(cohort / "registry")
    site = read_site(cohort / "site.toml", registry)
    assert set(registry.names) <= set(site.columns)
    assert read_gate(cohort / "gate.toml").gate.calibration_slope is not None


@pytest.mark.parametrize("cohort", COHORTS, ids=lambda path: path.name)
def test_a_registry_and_a_mapping_are_less_than_a_page_each(cohort):
    files = [*(cohort / "registry").rglob("*.toml")]
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in files]
    assert sum(lines) <= A_PAGE
    assert len((cohort / "site.toml").read_text(encoding="utf-8").splitlines()) < A_PAGE


def test_a_unit_that_nothing_is_converted_from_may_be_said_if_it_is_ours(tmp_path):
    cohort = EXPERIMENTS / "duke_cath"
    registry = load_registry(cohort / "registry")
    text = (cohort / "site.toml").read_text(encoding="utf-8")
    assert 'unit = "mg/dl"' in text
    (tmp_path / "file.csv").write_text("sex,age,cad_dur,choleste,sigdz\n0,50,10,212,1\n")
    read = map_file(tmp_path / "file.csv", read_site(cohort / "site.toml", registry), registry)
    assert list(read.table["cholesterol"]) == ["212"]
    (tmp_path / "site.toml").write_text(text.replace("mg/dl", "mmol/l"), encoding="utf-8")
    with pytest.raises(UsageRefused, match="no unit is needed"):
        read_site(tmp_path / "site.toml", registry)


def test_who_a_row_is_about_may_be_its_number_and_the_refusal_says_so(tmp_path, least):
    (tmp_path / "site.toml").write_text('[columns.age]\ncolumn = "a"\n', encoding="utf-8")
    with pytest.raises(UsageRefused, match='by = "row number"'):
        read_site(tmp_path / "site.toml", least)


def test_the_draft_of_a_mapping_leads_on_with_the_same_registry(folder, tmp_path):
    cohort, out = tmp_path / "file.csv", tmp_path / "site.toml"
    cohort.write_text("Age,Pain\n50,1\n61,0\n", encoding="utf-8")
    told = CliRunner().invoke(
        commands, ["map", str(cohort), "--out", str(out), "--registry", str(folder)]
    )
    assert told.output.rstrip().endswith(f"--site {out} --registry {folder}")
