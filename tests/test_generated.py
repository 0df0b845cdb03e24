"""The committed files are what the program writes, and it is noticed when one is not."""

from __future__ import annotations

import sys

import pytest

from spinecast import generated
from spinecast.patients.tables import read_table


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    generated.write_all(folder)
    return folder


@pytest.fixture
def spoilt(data):
    """Every generated file, put back after it was spoilt."""
    before = {name: (data / name).read_bytes() for name in generated.FILES}
    yield data
    for name, content in before.items():
        (data / name).write_bytes(content)


@pytest.fixture
def at(data, monkeypatch):
    """Run the command beside these files."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["generated", *words])
        monkeypatch.setattr(generated, "DATA", data)
        generated.main()

    return run


def test_what_was_just_written_is_not_stale(data):
    assert generated.stale(data) == []


def test_one_byte_or_a_missing_file_makes_it_stale(spoilt):
    table = spoilt / "synthetic/cohort.csv"
    table.write_bytes(table.read_bytes()[:-2] + b"!\n")
    (spoilt / "dictionary.md").unlink()
    assert generated.stale(spoilt) == ["dictionary.md", "synthetic/cohort.csv"]


def test_the_check_says_what_to_do_and_repairs_nothing(at, spoilt):
    at("--check")
    (spoilt / "dictionary.md").write_text("")
    with pytest.raises(SystemExit, match=r"dictionary\.md. Run `make generate`") as stopped:
        at("--check")
    assert stopped.value.code != 0
    assert (spoilt / "dictionary.md").read_text() == ""
    at()
    assert generated.stale(spoilt) == []


def test_cohort_and_truth_are_of_the_same_patients(data, registry):
    cohort, truth = (read_table(data / f"synthetic/{name}.csv") for name in ("cohort", "truth"))
    assert len(cohort) == generated.PATIENTS
    assert cohort["patient_id"].tolist() == truth["patient_id"].tolist()
    assert set(registry.names) < set(cohort.columns)
    assert truth["true_risk"].astype(float).between(0, 1).all()
    # The truth is hidden from the cohort.
    assert set(truth.columns) & set(cohort.columns) == {"patient_id"}


def test_the_dictionary_has_every_factor(data, registry):
    text = (data / "dictionary.md").read_text()
    assert [name for name in registry.names if name not in text] == []
