from __future__ import annotations

import os
import shutil

import pytest

from conftest import TINY
from spinecast.errors import UsageRefused
from spinecast.knowledge.loading import PACKAGED, fingerprint, load_registry, registry_files


@pytest.fixture
def folder(tmp_path):
    """A copy of the tiny registry, to be broken."""
    return shutil.copytree(TINY, tmp_path / "registry")


def change(folder, file, old, new):
    """Break one thing; a text that is not there would make a test that cannot fail."""
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def refusal(folder) -> UsageRefused:
    with pytest.raises(UsageRefused) as refused:
        load_registry(folder)
    assert refused.value.exit_code == 2
    assert refused.value.problems
    return refused.value


# --- what loads ----------------------------------------------------------------------------------


def test_the_packaged_registry_loads_and_is_the_one_without_a_name():
    assert load_registry().id == load_registry(PACKAGED).id


def test_a_registry_is_read_the_same_wherever_it_lies(folder, tiny):
    copy = load_registry(folder)
    assert copy.id == tiny.id
    assert copy.factors == tiny.factors
    assert copy.folder == folder


def test_factors_keep_the_order_of_domains_and_files(tiny):
    assert tiny.names == ("smoking", "pack_years", "pain", "diabetes", "lesion")


def test_a_factor_leads_to_the_mechanisms_that_name_it_the_first_year_first(folder):
    record = 'label = "M"\nphrase = "m"\nphase = "after"\n'
    driver = 'drivers = [{ factor = "smoking", finding = "f", mark = "assumption" }]\n'
    late = f"[late]\n{record}within_horizon = false\n{driver}"
    (folder / "mechanisms.toml").write_text(f"{late}[soon]\n{record}{driver}")
    by_name = load_registry(folder).by_name
    assert by_name["smoking"].mechanisms == ("soon", "late")
    assert by_name["pain"].mechanisms == ()


# --- what it is called ----------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["registry.toml", "outcome.toml", "factors/all.toml"])
def test_any_byte_of_any_file_changes_the_id(folder, tiny, file):
    path = folder / file
    path.write_bytes(path.read_bytes() + b"\n")
    assert load_registry(folder).id != tiny.id


def test_the_time_of_a_file_does_not_change_the_id(folder, tiny):
    for path in registry_files(folder):
        os.utime(path, (0, 0))
    assert load_registry(folder).id == tiny.id


def test_the_name_of_a_file_counts_and_files_do_not_run_together(tmp_path):
    prints = set()
    for number, files in enumerate(
        [{"a": "x\0", "b": ""}, {"a": "x", "b": ""}, {"a": "", "b": "x"}, {"a": "x\0b.toml\0"}]
    ):
        for name, text in files.items():
            path = tmp_path / str(number) / f"{name}.toml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        prints.add(fingerprint(tmp_path / str(number)))
    assert len(prints) == 4


# --- what is no registry --------------------------------------------------------------------------


def test_a_missing_folder_is_refused_with_what_to_name(tmp_path):
    error = str(refusal(tmp_path / "nowhere"))
    assert "no such folder" in error
    assert "--registry DIR" in error


def test_a_folder_without_a_registry_is_refused(tmp_path):
    assert "no registry.toml in this folder" in str(refusal(tmp_path))


@pytest.mark.parametrize("file", ["outcome.toml", "factors/all.toml"])
def test_a_missing_file_is_named(folder, file):
    (folder / file).unlink()
    assert f"{file}: no such file" in str(refusal(folder))


def test_a_file_nobody_would_read_is_named(folder):
    (folder / "sourcess.toml").write_text("")
    (folder / "factors" / "blood.toml").write_text("")
    error = str(refusal(folder))
    assert "sourcess.toml: is not a file of this registry" in error
    assert "factors/blood.toml: is not a file of this registry" in error
    assert "Add the domain to [domains]" in error


@pytest.mark.parametrize("content", [b"name = ", b'a = "\xff"', b"a = 1\na = 2"])
@pytest.mark.parametrize("file", ["registry.toml", "outcome.toml", "factors/all.toml"])
def test_what_is_not_toml_is_refused_by_file(folder, file, content):
    (folder / file).write_bytes(content)
    error = refusal(folder)
    assert f"{file}: " in str(error)
    assert "must be TOML in UTF-8" in str(error)


def test_an_unreadable_file_hides_no_problem_of_another(folder):
    (folder / "outcome.toml").write_text("=")
    change(folder, "factors/all.toml", 'kind = "ordinal"', 'kind = "ordered"')
    change(folder, "factors/all.toml", "range = [0, 10]", "range = [10, 0]")
    where = [problem.where for problem in refusal(folder).problems]
    assert "outcome.toml" in where
    assert "factors/all.toml [smoking] kind" in where
    assert "factors/all.toml [pain] range" in where
    assert not [place for place in where if place.startswith("outcome.toml ")]


# --- what does not fit ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("factors/all.toml", 'unit = "of 10"', 'units = "of 10"', "[pain] units: given 'of 10'"),
        ("factors/all.toml", 'label = "Pain"\n', "", "[pain] label: missing"),
        ("factors/all.toml", 'kind = "count"', 'kind = "number"', "[pack_years] kind: given"),
        ("factors/all.toml", "precision = 0.5", "precision = 0", "[pain] precision: given '0'"),
        ("factors/all.toml", "mean = 6", "mean = nan", "[pain] population.mean: given 'nan'"),
        ("factors/all.toml", "sd = 2", "sd = inf", "[pain] population.sd: given 'inf'"),
        ("factors/all.toml", "sd = 2", "sd = 0", "greater than 0"),
        ("factors/all.toml", 'label = "Pain"', 'name = "x"\nlabel = "Pain"', "[pain] name"),
        ("factors/all.toml", 'label = "Pain"', 'domain = "x"\nlabel = "P"', "[pain] domain"),
        ("factors/all.toml", 'label = "Pain"', 'label = "P"\nmechanisms = []', "mechanisms.toml"),
        ("factors/all.toml", "[smoking]", "stray = 1\n[smoking]", "[stray]: given 1; a table"),
        ("factors/all.toml", "required = true", 'required = "yes"', "[pain] required"),
        ("registry.toml", 'version = "1"', "", "registry.toml version: missing"),
        ("registry.toml", 'version = "1"', "version = 1", "registry.toml version: given '1'"),
        ("registry.toml", "value = 0.2", "value = 1.0", "base_rate.value: given '1.0'"),
        ("registry.toml", "value = 0.2", "value = 0", "base_rate.value: given '0'"),
        ("registry.toml", "[domains]", "[sources]\n[domains]", "registry.toml sources"),
        ("registry.toml", "[domains]", "[spelling]\n[domains]", "registry.toml spelling"),
        ("registry.toml", '[domains]\nall = "All"', "domains = 3", "domains: given '3'"),
        ("registry.toml", 'horizon = "12 months"', "", "registry.toml horizon: missing"),
        ("outcome.toml", 'kind = "yes_no"', 'kind = "bool"', "outcome.toml columns.2.kind"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_schema_is_refused_with_its_place(folder, file, old, new, says):
    change(folder, file, old, new)
    error = str(refusal(folder))
    assert says in error
    assert file in error


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("population.toml", 'name = "other"'),
        ("simulation.toml", "speed = 3"),
        ("sources.toml", '[a]\ncite = "A"\nyear = 2020'),
        ("mechanisms.toml", '[a]\nlabel = "A"'),
        ("documents.toml", "[a]"),
    ],
)
def test_optional_files_are_held_to_their_schema_too(folder, file, content):
    (folder / file).write_text(content)
    assert file in str(refusal(folder))


def test_two_things_broken_are_both_told(folder):
    change(folder, "registry.toml", 'version = "1"', "")
    change(folder, "factors/all.toml", 'known_at = "referral"', 'known_at = "follow-up"')
    change(folder, "outcome.toml", 'name = "revision"', "")
    where = {problem.where for problem in refusal(folder).problems}
    assert where == {
        "registry.toml version",
        "factors/all.toml [smoking] known_at",
        "outcome.toml columns.2.name",
    }
