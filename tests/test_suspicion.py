"""What looks like an error of coding: found where it is one, silent where patients only differ."""

from __future__ import annotations

import numpy as np
import pytest

from spinecast import console
from spinecast.judging.published import published
from spinecast.judging.suspicion import suspicions
from spinecast.simulator.synthetic import simulate


@pytest.fixture(scope="module")
def made(registry):
    return simulate(registry, 800, 11)


class Patients:
    """A cohort's columns that a test may spoil."""

    def __init__(self, made):
        self.registry = made.registry
        self.codes = made.codes.copy()
        self.site = made.site_name.copy()
        self.followup = {name: column.copy() for name, column in made.followup.items()}
        self.failed = made.outcome.astype(float)

    def column(self, name: str) -> np.ndarray:
        return self.codes[:, self.registry.names.index(name)]

    def code(self, name: str, level: str) -> float:
        return self.registry.by_name[name].level_codes[level]

    def found(self, **options):
        return suspicions(
            self.registry, self.codes, self.site, self.followup, self.failed, **options
        )

    def only(self, *columns: str):
        """The one suspicion there is, which has to be about these columns."""
        (one,) = self.found()
        assert one.columns == columns
        return one


@pytest.fixture
def patients(made) -> Patients:
    return Patients(made)


# --- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_patients_as_published_raise_no_suspicion(registry, seed):
    assert Patients(simulate(registry, 400, seed, truth_seed=seed)).found() == ()


@pytest.mark.parametrize(
    "lesion",
    [
        "lumbar_stenosis_no_slip",
        "ldh_extruded_sequestered",
        "degenerative_disc_disease_axial",
    ],
)
def test_a_specialised_hospital_is_suspected_of_its_speciality_at_most(registry, lesion):
    stratum = registry.names.index(registry.stratum)
    levels = registry.by_name[registry.stratum].level_codes
    many = Patients(simulate(registry, 6_000, 5))
    own = many.codes[:, stratum] == levels[lesion]
    many.codes, many.site, many.failed = many.codes[own], many.site[own], many.failed[own]
    many.followup = {name: column[own] for name, column in many.followup.items()}
    assert {one.columns for one in many.found()} <= {(registry.stratum,)}


def test_the_order_of_patients_does_not_matter(patients):
    patients.column("odi_baseline")[:] /= 10
    before = patients.found()
    order = np.random.default_rng(1).permutation(len(patients.codes))
    patients.codes, patients.site = patients.codes[order], patients.site[order]
    patients.failed = patients.failed[order]
    patients.followup = {name: column[order] for name, column in patients.followup.items()}
    assert patients.found() == before


def test_too_few_patients_are_not_judged(registry, made):
    few = Patients(made)
    few.column("smoking_status")[:] = 2.0
    few.codes, few.site, few.failed = few.codes[:20], few.site[:20], few.failed[:20]
    few.followup = {name: column[:20] for name, column in few.followup.items()}
    assert few.found() == ()


def test_published_shares_add_up_and_follow_the_cohorts_lesions(registry, made):
    for told in published(registry, made.codes):
        assert told.shares.sum() == pytest.approx(1)
    only = made.codes.copy()
    only[:, registry.names.index(registry.stratum)] = 0.0
    age = registry.names.index("age")
    lesion = registry.by_name[registry.stratum].levels[0]
    given = registry.by_name["age"].population.given[lesion]
    assert published(registry, only)[age].mean == pytest.approx(given.mean, abs=0.5)


# --- errors that hospitals make ------------------------------------------------------------------


def test_a_disability_score_of_six_is_a_scale(patients):
    patients.column("odi_baseline")[:] = np.round(patients.column("odi_baseline") / 8)
    one = patients.only("odi_baseline")
    assert one.rule == "scale"
    assert one.seen.startswith("mean 5")


@pytest.mark.parametrize(("by", "said"), [(10, "about 0.1 times"), (100, "about 0.01 times")])
def test_a_shifted_point_is_named(patients, by, said):
    patients.column("odi_baseline")[:] /= by
    assert said in patients.only("odi_baseline").cause


def test_raw_points_instead_of_percent_are_a_shorter_scale(patients):
    patients.column("odi_baseline")[:] /= 2
    assert patients.only("odi_baseline").rule == "cut"


def test_everyone_a_smoker_is_a_constant(patients):
    patients.column("smoking_status")[:] = patients.code("smoking_status", "current")
    one = patients.only("smoking_status")
    assert one.rule == "constant"
    assert "'smokes now'" in one.seen


def test_almost_everyone_a_smoker_is_said_too(patients):
    patients.column("smoking_status")[5:] = patients.code("smoking_status", "current")
    assert patients.only("smoking_status").rule == "share_far"


def test_swapped_codes_are_called_swapped(patients):
    column = patients.column("diabetes")
    column[:] = 1 - column
    one = patients.only("diabetes")
    assert one.rule == "share_far"
    assert "swapped" in one.cause


def test_a_level_that_nobody_has_is_said(patients):
    column = patients.column("smoking_status")
    column[column == patients.code("smoking_status", "former")] = np.nan
    one = patients.only("smoking_status")
    assert one.rule == "level_unused"
    assert "'stopped smoking'" in one.seen


def test_an_empty_column_is_said_and_an_absent_one_is_not(patients):
    patients.column("bmi")[10:] = np.nan
    assert patients.only("bmi").rule == "mostly_unknown"
    assert patients.found(absent=frozenset({"bmi"})) == ()


def test_a_default_entered_for_the_unknown_is_said(patients):
    patients.column("bmi")[: len(patients.codes) * 6 // 10] = 20.0
    assert patients.only("bmi").rule == "heaped"


def test_values_at_the_end_of_a_scale_may_be_true_and_that_is_said(patients):
    patients.column("pain_catastrophizing")[: len(patients.codes) * 8 // 10] = 0.0
    one = patients.only("pain_catastrophizing")
    assert (one.rule, "a true end of the scale" in one.cause) == ("heaped", True)


def test_an_error_at_one_site_is_said_of_that_site(patients):
    own = patients.site == "hospital_2"
    column = patients.column("diabetes")
    column[own] = 1 - column[own]
    one = patients.only("diabetes")
    assert one.site == "hospital_2"


def test_two_columns_that_are_one_are_said(patients):
    patients.column("nrs_leg")[:] = patients.column("nrs_back")
    assert patients.only("nrs_back", "nrs_leg").rule == "identical"


def test_a_followup_that_is_the_baseline_is_said(patients):
    patients.followup["odi_followup"] = patients.column("odi_baseline").copy()
    assert patients.only("odi_baseline", "odi_followup").rule == "identical"


def test_a_factor_that_is_the_outcome_is_said(patients):
    patients.column("depression")[:] = patients.failed
    assert patients.only("depression").rule == "tells_outcome"


def test_swapped_outcomes_are_called_swapped_and_another_definition_is_not_judged(patients):
    patients.failed = 1 - patients.failed
    one = patients.only("fbss_12m")
    assert "swapped" in one.cause
    assert patients.found(is_default=False) == ()


def test_a_large_file_is_looked_at_in_part_and_says_the_same(patients, monkeypatch):
    patients.column("odi_baseline")[:] /= 10
    monkeypatch.setattr("spinecast.judging.suspicion.MOST", 400)
    assert patients.only("odi_baseline").rule == "scale"


def test_what_is_printed_says_what_was_seen_why_and_what_to_do(patients):
    patients.column("odi_baseline")[:] /= 10
    text = "\n".join(console.suspicious(patients.found()))
    assert "odi_baseline: mean 4" in text
    assert "Likely: about 0.1 times the published values" in text
    assert "never rescaled" in text
    assert "nothing looks like an error" in "\n".join(console.suspicious(()))
