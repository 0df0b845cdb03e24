from __future__ import annotations

import shutil

import pytest

from conftest import TINY
from spinecast.errors import UsageRefused
from spinecast.knowledge.consistency import contradictions
from spinecast.knowledge.endpoint import Definition
from spinecast.knowledge.loading import load_registry

FACTORS = "factors/all.toml"

# The tiny registry with every optional file: whatever one file can say about another is said once.
OPTIONAL = {
    "sources.toml": '[paper]\ncite = "A paper"\ndoi = "10.1/x"\n',
    "mechanisms.toml": """
[scar]
label = "Scar"
phrase = "scar may form"
phase = "after"
drivers = [{ factor = "smoking", finding = "OR 2", sources = ["paper"], mark = "found" }]
documents = [{ document = "page", says = "Scar." }]
""",
    "documents.toml": """
[page]
title = "A page"
causes = [{ cause = "Scar forms", when = "after", mechanisms = ["scar"] }]
""",
    "population.toml": """
stratum = "lesion"
[[correlations]]
pair = ["smoking", "pain"]
value = 0.1
sources = ["paper"]
mark = "found"
[[correlations]]
pair = ["pain", "diabetes"]
value = 0.1
mark = "assumption"
""",
    "simulation.toml": """
[[departures]]
rule = "smoking == 'current' and pain > 5"
odds_ratio = 1.5
sources = ["paper"]
[[lost_more]]
rule = "diabetes"
odds_ratio = 1.5
[[followup]]
column = "pain_followup"
baseline = "pain"
success = [0.4, 0.2]
failure = [0.9, 0.2]
[[followup]]
column = "revision"
success = [0.0]
failure = [0.1]
[missing_share]
pain = 0.1
""",
}
MORE = """
[smoking.prior]
levels = { never = 1.0, former = 1.2, current = 1.5 }
plausible = [1.1, 2.0]
derived_from = ["paper"]
[[smoking.effects]]
contrast = "current"
measure = "OR"
value = 1.5
interval = [1.1, 2.0]
source = "paper"
mark = "found"
[smoking.modifiable]
extent = "yes"
applies_to = ["current"]
sources = ["paper"]
[pack_years.prior]
steps = { 10 = 1.2, 20 = 1.4 }
[pain.prior]
odds_ratio = 1.1
knee = 3
[pain.modifiable]
extent = "yes"
above = 5
"""


@pytest.fixture
def folder(tmp_path):
    folder = shutil.copytree(TINY, tmp_path / "registry")
    for name, text in OPTIONAL.items():
        (folder / name).write_text(text)
    by_lesion = 'sd = 2, given = { stenosis = { mean = 5, sd = 2, sources = ["paper"] } } }'
    change(folder, FACTORS, "sd = 2 }", by_lesion)
    with (folder / FACTORS).open("a") as file:
        file.write(MORE)
    return folder


def change(folder, file, old, new):
    path = folder / file
    text = path.read_text()
    assert old in text, f"{old!r} is not in {file}"
    path.write_text(text.replace(old, new, 1))


def refusal(folder) -> UsageRefused:
    with pytest.raises(UsageRefused) as refused:
        load_registry(folder)
    assert refused.value.exit_code == 2
    return refused.value


def test_the_whole_example_loads(folder):
    assert load_registry(folder).by_name["smoking"].mechanisms == ("scar",)


BROKEN = [
    # values
    (FACTORS, "range = [0, 100]\n", "", "[pack_years] range: given None"),
    (FACTORS, "range = [0, 100]", "range = [100, 0]", "[pack_years] range"),
    (FACTORS, "reference = 5", "reference = 11", "[pain] reference: given 11.0; a number from 0"),
    (FACTORS, "reference = 0", "reference = 0.5", "[pack_years] reference: given 0.5; a whole"),
    (FACTORS, "reference = 5", 'reference = "mild"', "[pain] reference: given 'mild'"),
    (FACTORS, 'reference = "never"', 'reference = "no"', "allowed: never, former, current"),
    (FACTORS, 'reference = "Hernia"', 'reference = "hernia"', "allowed: Hernia, stenosis"),
    (FACTORS, '["no", "yes"]', '["yes", "no"]', "a binary factor has no and yes"),
    (FACTORS, '["Hernia", "stenosis"]', '["Hernia", "Hernia"]', "at least two different levels"),
    (FACTORS, '[smoking.prior]', '[smoking.level_labels]\nx = "X"\n[smoking.prior]', "given ['x']"),
    # order of events
    (FACTORS, 'known_at = "referral"', 'known_at = "operation"', "not known beforehand"),
    (FACTORS, 'known_at = "referral"', 'known_at = "follow-up"', "as a mechanism instead"),
    # priors
    (FACTORS, "current = 1.5 }", "current = 1.1 }", "current has odds ratio 1.1; the declared"),
    (FACTORS, "20 = 1.4", "20 = 1.1", "20 has odds ratio 1.1; the declared direction"),
    (FACTORS, "never = 1.0,", "never = 1.1,", "the reference is not 1"),
    (FACTORS, "former = 1.2,", "", "missing ['former']"),
    (FACTORS, "former = 1.2,", "former = 1.2, often = 1.3,", "given ['often']"),
    (FACTORS, "odds_ratio = 1.1", "odds_ratio = 0", "odds ratios are above 0"),
    (FACTORS, "odds_ratio = 1.1", "odds_ratio = 1.1\nsteps = { 1 = 2 }", "one of levels, steps"),
    (FACTORS, "20 = 1.4", "101 = 1.4", "prior.steps: given '101'"),
    (FACTORS, "knee = 3", "knee = 10", "prior.knee: given 10"),
    (FACTORS, "plausible = [1.1, 2.0]", "plausible = [2.0, 1.1]", "the lower first"),
    (FACTORS, "plausible = [1.1, 2.0]", "plausible = [0.0, 1.1]", "odds ratios above 0"),
    # population
    (FACTORS, "shares = [0.9, 0.1]", "shares = [0.9, 0.2]", "shares add up to 1.1"),
    (FACTORS, "shares = [0.9, 0.1]", "shares = [1.1, -0.1]", "shares add up to 1"),
    (FACTORS, "shares = [0.9, 0.1]", "shares = [0.9, 0.05, 0.05]", "3 shares; one per value, 2"),
    (FACTORS, "shares = [0.9, 0.1]", "mean = 1, sd = 1", "a factor with levels has shares"),
    (FACTORS, "mean = 6, sd = 2,", "shares = [0.5, 0.5],", "[pain] population: 2 shares"),
    (FACTORS, "mean = 6, sd = 2,", "mean = 6,", "no shares and no mean with sd"),
    (FACTORS, "mean = 6, sd = 2,", "mean = 60, sd = 2,", "given a mean of 60"),
    (FACTORS, "stenosis = {", "slip = {", "[pain] population.given: given 'slip'"),
    ("population.toml", 'stratum = "lesion"', "", "population.toml names no stratum"),
    ("population.toml", 'stratum = "lesion"', 'stratum = "pain"', "given 'pain'; a factor with"),
    ("population.toml", 'stratum = "lesion"', 'stratum = "lesions"', "names the factor 'lesions'"),
    ("population.toml", '"diabetes"]', '"gout"]', "names the factor 'gout'; no such factor"),
    ("population.toml", '"diabetes"]', '"smoking"]', "pain and smoking, 2 times"),
    ("population.toml", '"diabetes"]', '"pain"]', "two different factors"),
    ("population.toml", "value = 0.1", "value = 1.0", "correlations.0.value: given '1.0'"),
    # evidence
    (FACTORS, 'source = "paper"', "", "(current): found, without a source"),
    (FACTORS, "value = 1.5", "", "no value and no finding"),
    (FACTORS, "value = 1.5", "value = 3.5", "a value lies within its interval"),
    (FACTORS, "interval = [1.1, 2.0]", "interval = [2.0, 1.1]", "lies within its interval"),
    (FACTORS, 'applies_to = ["current"]', 'applies_to = ["often"]', "modifiable.applies_to: given"),
    (FACTORS, "above = 5", "above = 10", "[pain] modifiable.above: given 10"),
    ("registry.toml", "interval = [0.1, 0.3]", "interval = [0.3, 0.4]", "base_rate: 0.2 with"),
    # names
    (FACTORS, "[diabetes]", "[Gout]", "the name 'Gout'; small letters, digits and _"),
    (FACTORS, "[diabetes]", "[site]", "the name 'site'"),
    ("registry.toml", 'name = "tumour"', 'name = "diabetes"', "'diabetes' is declared 2 times"),
    ("outcome.toml", 'name = "revision"', 'name = "pain"', "'pain' is declared 2 times"),
    ("outcome.toml", "gain = ", "smoking = ", "'smoking' is declared 2 times"),
    # outcome
    ("outcome.toml", 'default = "failed"', 'default = "fail"', "one of: failed, painful"),
    ("outcome.toml", "[9, 15]", "[15, 9]", "window_months: given (15.0, 9.0)"),
    ("outcome.toml", "range = [0, 10]", "range = [10, 0]", "columns.pain_followup range"),
    # simulation
    ("simulation.toml", 'column = "revision"', 'column = "revised"', "names the column 'revised'"),
    ("simulation.toml", 'baseline = "pain"', 'baseline = "pains"', "names the factor 'pains'"),
    ("simulation.toml", "[0.4, 0.2]", "[0.4]", "followup.pain_followup: success (0.4,)"),
    ("simulation.toml", "success = [0.0]", "success = [1.5]", "followup.revision"),
    ("simulation.toml", "pain = 0.1", "pains = 0.1", "missing_share: names the factor 'pains'"),
    ("simulation.toml", "pain = 0.1", "pain = 1.1", "missing_share.pain: given '1.1'"),
    ("simulation.toml", "odds_ratio = 1.5", "odds_ratio = 0", "departures.0.odds_ratio"),
    ("simulation.toml", "[[dep", 'first_index_date = "2030-01-01"\n[[dep', "not after 2023-12-31"),
    # rules
    ("registry.toml", "pack_years > 0", "packs > 0", "Did you mean `pack_years`?"),
    ("registry.toml", "== 'never'", "== 'no'", "allowed: 'never', 'former', 'current'"),
    ("registry.toml", "pack_years > 0", "pain_followup > 0", "names `pain_followup`"),
    ("registry.toml", "pack_years > 0", "pack_years >", "impossible.pack_years_without_smoking"),
    ("outcome.toml", "gain / pain", "gain / pains", "quantities.share: `gain / pains` names"),
    ("outcome.toml", "share < 0.3", "shares < 0.3", "definitions.failed]: `(shares"),
    ("outcome.toml", "revision == 'yes'", "revision == 1", "allowed: 'no', 'yes'"),
    ("simulation.toml", "pain > 5", "pain_followup > 5", "simulation.toml departures, number 1"),
    ("simulation.toml", 'rule = "diabetes"', 'rule = "pain"', "lost_more, number 1"),
    # references
    ("registry.toml", "[base_rate]", 'subgroups = ["packs"]\n[base_rate]', "the factor 'packs'"),
    ("mechanisms.toml", 'factor = "smoking"', 'factor = "smoke"', "[scar]: names the factor 'smo"),
    ("documents.toml", 'mechanisms = ["scar"]', 'mechanisms = ["scars"]', "the mechanism 'scars'"),
    ("documents.toml", 'mechanisms = ["scar"]', 'factors = ["scar"]', "names the factor 'scar'"),
    ("documents.toml", ', mechanisms = ["scar"]', "", "'Scar forms': lives nowhere"),
    ("documents.toml", "mechanisms =", 'factors = ["pain"], mechanisms =', "does not quote 'page'"),
    ("mechanisms.toml", 'document = "page"', 'document = "book"', "quotes 'book'"),
    ("sources.toml", "[paper]", '[other]\ncite = "O"\n[paper]', "[other]: is cited nowhere"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "says"), BROKEN)
def test_one_thing_broken_is_refused_where_it_stands(folder, file, old, new, says):
    change(folder, file, old, new)
    error = refusal(folder)
    assert says in str(error)
    # Two files disagree: it may be said of the other one.
    elsewhere = "population.toml names no stratum" in says or "quote" in says
    assert elsewhere or any(file in problem.where for problem in error.problems)


CITATIONS = [
    (FACTORS, 'derived_from = ["paper"]', "[smoking] prior derived_from"),
    (FACTORS, 'source = "paper"', "[smoking] effects.1 source"),
    (FACTORS, 'applies_to = ["current"]\nsources = ["paper"]', "[smoking] modifiable sources"),
    (FACTORS, 'sd = 2, sources = ["paper"]', "[pain] population given.stenosis sources"),
    ("mechanisms.toml", 'sources = ["paper"]', "mechanisms.toml [scar] drivers.1 sources"),
    ("population.toml", 'sources = ["paper"]', "population.toml smoking and pain sources"),
    ("simulation.toml", 'sources = ["paper"]', "simulation.toml departures.1 sources"),
]


@pytest.mark.parametrize(("file", "citation", "where"), CITATIONS)
def test_a_paper_that_is_not_declared_is_missed_wherever_it_is_cited(folder, file, citation, where):
    change(folder, file, citation, citation.replace('"paper"', '"papr"'))
    (problem,) = refusal(folder).problems
    assert problem.where.endswith(where)
    assert problem.given == "cites 'papr'"
    assert "Declare [papr] in sources.toml" in problem.remedy


@pytest.mark.parametrize(
    ("file", "table"), [("registry.toml", "[base_rate]"), ("outcome.toml", "[definitions.failed]")]
)
def test_the_base_rate_and_the_outcome_cite_too(folder, file, table):
    change(folder, file, table, f'{table}\nsources = ["papr"]')
    (problem,) = refusal(folder).problems
    assert problem.given == "cites 'papr'"
    assert problem.where.startswith(file)


def test_a_factor_declared_in_two_domains_is_named_with_both_files(folder):
    change(folder, "registry.toml", 'all = "All"', 'all = "All"\nmore = "More"')
    factor = (TINY / "factors" / "all.toml").read_text().split("[diabetes]")[1].split("[lesion]")[0]
    (folder / "factors" / "more.toml").write_text(f"[diabetes]{factor}")
    (problem,) = refusal(folder).problems
    assert problem.where == "factors/all.toml, factors/more.toml"
    assert problem.given == "'diabetes' is declared 2 times"


def test_everything_that_contradicts_is_told_at_once(folder):
    change(folder, "registry.toml", "pack_years > 0", "packs > 0")
    change(folder, "outcome.toml", "gain / pain", "gain / pains")
    change(folder, "population.toml", '"diabetes"]', '"gout"]')
    change(folder, "documents.toml", ', mechanisms = ["scar"]', "")
    assert len(refusal(folder).problems) == 5  # the quote beside the homeless cause is one as well


# --- the outcome is what follow-up shows ----------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        "pain > 5",
        "pain_followup > 4 or smoking == 'current'",
        "not (diabetes and pain_followup > 4)",
        "painful and before",
    ],
)
def test_an_outcome_known_before_surgery_is_refused(tiny, failure):
    spec = tiny.outcome
    definition = Definition(title="T", failure=failure, mark="assumption")
    changed = spec.model_copy(
        update={
            "definitions": {**spec.definitions, "own": definition},
            "quantities": {**spec.quantities, "before": "pain >= 4"},
        }
    )
    found = contradictions(tiny.model_copy(update={"outcome": changed}))
    assert [problem.where for problem in found] == ["outcome.toml [definitions.own]"]
    assert "known beforehand" in str(found[0])


@pytest.mark.parametrize(
    "failure", ["pain - pain_followup < 2", "share < 0.3", "pain_followup > pain", "painful"]
)
def test_a_baseline_may_be_where_a_change_starts(tiny, failure):
    definition = Definition(title="T", failure=failure, mark="assumption")
    spec = tiny.outcome.model_copy(update={"definitions": {"failed": definition}})
    assert contradictions(tiny.model_copy(update={"outcome": spec})) == []
