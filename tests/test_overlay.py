from __future__ import annotations

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from conftest import TINY
from spinecast import console
from spinecast.cohorts.cohort import check, check_table
from spinecast.cohorts.outcome import derive
from spinecast.errors import UsageRefused
from spinecast.explaining.bundle import write_bundle
from spinecast.explaining.scoring import Scorer
from spinecast.fitting.recipe import (
    EvidenceRecipe,
    IntervalRecipe,
    Recipe,
    ResamplingRecipe,
    TreeRecipe,
)
from spinecast.handbook.catalogue import listing
from spinecast.knowledge.leaving_out import names_in
from spinecast.knowledge.loading import load_registry, write_registry
from spinecast.knowledge.toml_text import toml_text
from spinecast.modelling.features import Encoding
from spinecast.patients.tables import write_table
from spinecast.simulator.synthetic import simulate

OWN = """
[heavy_work]
label = "Heavy work"
question = "Does the patient do heavy work?"
kind = "ordinal"
levels = ["none", "some", "much"]
reference = "none"
direction = "increasing"
known_at = "referral"
definition = "By the patient."
population = { shares = [0.5, 0.3, 0.2] }
"""

OURS = 'over = "spinecast"\nname = "own"\nversion = "1"\n'


def head(extra: str = "") -> str:
    return f'over = "{TINY}"\nname = "own"\nversion = "2"\n{extra}\n'


@pytest.fixture
def folder(tmp_path):
    """A folder laid over the tiny registry: one factor more, two less."""
    folder = tmp_path / "own"
    write(folder, "registry", head('leave_out = ["diabetes", "lesion"]\n[domains]\nown = "Own"'))
    write(folder, "factors/own", OWN)
    return folder


def write(folder, name, text):
    path = folder / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def problems(folder) -> list[str]:
    with pytest.raises(UsageRefused) as refused:
        load_registry(folder)
    return [str(problem) for problem in refused.value.problems]


# --- laws ----------------------------------------------------------------------------------------


values = st.recursive(
    st.one_of(
        st.text(),
        st.booleans(),
        st.integers(-(2**60), 2**60),
        st.floats(allow_nan=False),
        st.dates(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_toml_written_and_read_is_the_same(table):
    import tomllib

    assert tomllib.loads(toml_text(table)) == table


def test_nothing_laid_over_a_registry_leaves_its_content(tmp_path, tiny):
    write(tmp_path, "registry", head())
    laid = load_registry(tmp_path)
    assert laid.factors == tiny.factors
    assert laid.outcome == tiny.outcome
    assert (laid.laid.added, laid.laid.changed, laid.laid.left_out) == ((), (), ())


def test_a_registry_written_whole_stands_alone_and_is_the_same(folder, tmp_path):
    laid = load_registry(folder)
    write_registry(laid, tmp_path / "copy")
    copy = load_registry(tmp_path / "copy")
    assert copy.id == laid.id
    assert copy.model_dump(exclude={"folder", "files"}) == laid.model_dump(
        exclude={"folder", "files"}
    )


def test_the_id_shows_both_and_moves_with_either(folder, tmp_path, tiny):
    laid = load_registry(folder)
    assert laid.id.startswith("own-2-over-tiny-1+")
    assert laid.laid.over == tiny.id
    write(folder, "factors/own", OWN.replace("By the patient", "By the employer"))
    assert load_registry(folder).id != laid.id


# --- what it says --------------------------------------------------------------------------------


def test_what_was_added_and_left_out_is_told(folder):
    laid = load_registry(folder)
    assert laid.names == ("smoking", "pack_years", "pain", "heavy_work")
    text = " ".join(listing(laid).split())
    assert "laid over tiny-1+" in text
    assert "Added: factor heavy_work." in text
    assert "Factors left out: diabetes, lesion." in text


def test_everything_that_spoke_of_a_factor_goes_with_it_and_is_told(tmp_path):
    write(tmp_path, "registry", head('leave_out = ["smoking"]'))
    laid = load_registry(tmp_path)
    assert laid.impossible == ()
    assert laid.laid.dropped == ("impossible combination pack_years_without_smoking",)


def test_a_factor_asked_only_after_one_that_goes_is_asked_of_everybody(registry, tmp_path):
    hung = {one.name: names_in(one.asked_when) for one in registry.factors if one.asked_when}
    assert hung
    for name, others in hung.items():
        write(tmp_path, "registry", OURS + f"leave_out = {sorted(others)}")
        laid = load_registry(tmp_path)
        assert laid.by_name[name].asked_when == ""
        assert f"when {name} is asked" in laid.laid.dropped


def test_drivers_and_subgroups_that_go_are_told(registry, tmp_path):
    write(tmp_path, "registry", OURS + 'leave_out = ["sex", "smoking_status"]')
    laid = load_registry(tmp_path)
    driven = [
        m.name for m in registry.mechanisms if "smoking_status" in {d.factor for d in m.drivers}
    ]
    assert driven
    assert "subgroups by sex" in laid.laid.dropped
    for name in driven:
        assert f"smoking_status as a driver of {name}" in laid.laid.dropped
        assert "smoking_status" not in {d.factor for d in laid.mechanism_named[name].drivers}


def test_any_factors_of_ours_but_the_stratum_and_the_baseline_can_be_left_out(registry, tmp_path):
    kept = {registry.stratum, "odi_baseline"}
    for domain in registry.domains:
        own = {factor.name for factor in registry.factors if factor.domain == domain} - kept
        write(tmp_path, "registry", OURS + f"leave_out = {sorted(own)}")
        assert set(load_registry(tmp_path).names) == set(registry.names) - own
    for name in kept:
        write(tmp_path, "registry", OURS + f'leave_out = ["{name}"]')
        (problem,) = problems(tmp_path)
        assert name in problem


def test_another_definition_in_use_lets_a_baseline_go(tmp_path):
    text = head('leave_out = ["pain"]')
    write(tmp_path, "registry", text)
    (problem,) = problems(tmp_path)
    assert "'failed', is derived from pain" in problem
    write(tmp_path, "outcome", 'default = "painful"')
    laid = load_registry(tmp_path)
    assert set(laid.outcome.definitions) == {"painful"}
    assert laid.laid.dropped == ("quantity gain", "quantity share", "definition failed")


def test_a_factor_of_ours_can_be_changed_key_by_key(tmp_path, tiny):
    write(tmp_path, "registry", head('change = ["diabetes"]'))
    write(tmp_path, "factors/all", "[diabetes]\npopulation = { shares = [0.6, 0.4] }")
    laid = load_registry(tmp_path)
    assert laid.by_name["diabetes"].population.shares == (0.6, 0.4)
    assert laid.by_name["diabetes"].label == tiny.by_name["diabetes"].label
    assert laid.laid.changed == ("factor diabetes",)


def test_a_local_finding_is_added_to_ours(registry, tmp_path):
    write(
        tmp_path,
        "registry",
        'over = "spinecast"\nname = "own"\nversion = "1"\nchange = ["diabetes"]',
    )
    effect = 'contrast = "yes"\nmeasure = "OR"\nvalue = 1.2\nmark = "assumption"'
    write(tmp_path, "factors/health", f"[[diabetes.effects]]\n{effect}")
    before = registry.by_name["diabetes"].effects
    assert load_registry(tmp_path).by_name["diabetes"].effects[:-1] == before


def test_a_folder_may_lie_over_a_folder_that_lies_over_another(folder, tmp_path):
    write(
        tmp_path / "upper",
        "registry",
        'over = "../own"\nname = "upper"\nversion = "1"\nleave_out = ["heavy_work"]',
    )
    upper = load_registry(tmp_path / "upper")
    assert upper.names == ("smoking", "pack_years", "pain")
    assert upper.id.startswith("upper-1-over-own-2-over-tiny-1+")


# --- what is refused -----------------------------------------------------------------------------


def test_two_things_of_one_name_are_refused_with_both_ways_out(folder):
    write(folder, "factors/all", OWN.replace("[heavy_work]", "[smoking]"))
    (problem,) = problems(folder)
    assert "declares 'smoking'" in problem
    assert "Rename it, or say `change = ['smoking']`" in problem


def test_a_name_of_ours_in_another_domain_is_refused(folder):
    write(folder, "factors/own", OWN.replace("[heavy_work]", "[pain]"))
    assert any("our factor 'pain' is declared in another domain" in p for p in problems(folder))


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ('leave_out = ["smokin"]', "Did you mean smoking?"),
        ('leave_out = "smoking"', "a list of names"),
        ('change = ["smoking"]', "what both this folder and the registry below declare"),
        ('leave_out = ["smoking", "pack_years", "pain", "diabetes", "lesion"]', "every factor"),
        ('leave_out = ["smoking"]\nchange = ["smoking"]', "left out or changed, not both"),
        ("laid = {}", "written by the program"),
    ],
)
def test_a_head_that_cannot_be_meant_is_refused(tmp_path, extra, says):
    write(tmp_path, "registry", head(extra))
    assert any(says in problem for problem in problems(tmp_path))


def test_all_problems_of_a_folder_are_said_at_once(tmp_path):
    write(tmp_path, "registry", f'over = "{TINY}"\nleave_out = ["pain", "nobody"]')
    said = problems(tmp_path)
    assert len(said) == 4
    for word in ("name", "version", "nobody", "derived from pain"):
        assert any(word in problem for problem in said)


def test_a_registry_over_itself_is_refused(tmp_path):
    write(tmp_path, "registry", 'over = "."\nname = "own"\nversion = "1"')
    assert "cannot lie over itself" in problems(tmp_path)[0]


@pytest.mark.parametrize("over", ["1", '"nowhere"'])
def test_a_registry_over_nothing_is_refused(tmp_path, over):
    write(tmp_path, "registry", f'over = {over}\nname = "own"\nversion = "1"')
    assert problems(tmp_path)


WRONG = [
    "1",
    '"x"',
    "[1]",
    '["x"]',
    "[{}]",
    '[{ name = 1, pair = "x", column = [1] }]',
    "{ x = 1 }",
]
PLACES = [
    ("registry", "leave_out"),
    ("registry", "change"),
    ("registry", "domains"),
    ("registry", "exclusions"),
    ("registry", "impossible"),
    ("registry", "base_rate"),
    ("outcome", "columns"),
    ("outcome", "definitions"),
    ("outcome", "quantities"),
    ("outcome", "default"),
    ("population", "correlations"),
    ("population", "stratum"),
    ("simulation", "followup"),
    ("simulation", "departures"),
    ("simulation", "missing_share"),
    ("mechanisms", "m"),
    ("sources", "s"),
    ("documents", "d"),
    ("factors/all", "smoking"),
    ("factors/all", "own"),
]


@pytest.mark.parametrize(("file", "key"), PLACES)
def test_whatever_is_written_where_something_else_is_meant_is_refused_in_words(tmp_path, file, key):
    # Ours has every file there is, the tiny one only those that have to be.
    for own, values in ((head(), WRONG), (OURS, WRONG[-2:])):
        for value in values:
            write(tmp_path, "registry", own)
            line = f"{key} = {value}\n"
            write(tmp_path, file, own + line if file == "registry" else line)
            assert problems(tmp_path)


# --- the model adapts ----------------------------------------------------------------------------


def test_a_factor_without_published_evidence_starts_at_nothing_and_wide(folder):
    laid = load_registry(folder)
    encoding = Encoding.from_registry(laid)
    own = [column for column in encoding.columns if column.name.startswith("heavy_work")]
    assert [column.published for column in own] == [0.0, 0.0]
    assert {column.prior_sd for column in own} == {laid.evidence.no_evidence_sd}


def test_simulated_trained_written_and_scored_with_an_own_factor(folder, tmp_path):
    from spinecast.fitting.training import train

    write(
        folder,
        "simulation",
        """
[[followup]]
column = "pain_followup"
baseline = "pain"
success = [0.3, 0.2]
failure = [0.9, 0.1]

[[followup]]
column = "revision"
success = [0.0]
failure = [0.1]
""",
    )
    laid = load_registry(folder)
    made = simulate(laid, 200, 3)
    write_table(made.frame(), tmp_path / "cohort.csv")
    checked = check(tmp_path / "cohort.csv", laid)
    assert len(checked.accepted) == 200
    assert "Factors left out: diabetes, lesion." in list(console.checked(checked))
    with_lesion = made.frame().assign(lesion="Hernia").astype("str")
    told = list(console.checked(check_table(with_lesion, laid)))
    assert "Column 'lesion' is a factor this registry leaves out, and was not used" in told
    recipe = Recipe(
        baselines=(),
        evidence=EvidenceRecipe(weights=(1.0,), scales=(1.0,)),
        trees=TreeRecipe(most_rounds=0),
        resampling=ResamplingRecipe(inner_folds=2, inner_repeats=1, outer_folds=2, outer_repeats=1),
        interval=IntervalRecipe(refits=5),
    )
    y = derive(laid, checked.accepted.columns())
    result = train(
        laid, checked.accepted.codes, y, recipe, trained_on="simulated", outcome="failed"
    )
    told = {"outcome": "failed", "data": {}}
    write_bundle(tmp_path / "model", result.model, result.facts, None, told)
    # The model folder holds the registry as a whole: neither of the two is needed any more.
    (folder / "registry.toml").unlink()
    scorer = Scorer.load(tmp_path / "model")
    scored = scorer.assess({"pain": 7, "heavy_work": "much"})
    assert scored.status == "scored"
    assert scored.model.registry == laid.id
    assert "heavy_work" in {one.factor for one in scored.contributions}
    assert scorer.assess({"diabetes": "yes"}).status == "refused"


def test_the_command_tells_what_was_left_out(folder):
    from spinecast.cli import commands

    told = CliRunner().invoke(commands, ["factors", "--registry", str(folder)])
    assert told.exit_code == 0
    assert "Factors left out: diabetes, lesion." in told.output
