"""What REDCap imports is its form of a dictionary; what it exports is read as the same patients."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from conftest import TINY
from spinecast.cli import commands
from spinecast.cohorts.cohort import check, check_table
from spinecast.errors import DataRefused
from spinecast.exchange.redcap_dictionary import (
    AFTER,
    BEFORE,
    COLUMNS,
    MARK,
    NOT_KNOWN,
    NOT_KNOWN_CODE,
    codes_mark,
    dictionary_csv,
    entries,
    level_codes,
)
from spinecast.exchange.redcap_records import as_cohort
from spinecast.knowledge.loading import load_registry
from spinecast.patients.tables import read_table, write_table
from spinecast.simulator.synthetic import simulate

REGISTRIES = [load_registry(), load_registry(TINY)]


@pytest.fixture(scope="module")
def made(registry):
    return simulate(registry, 60, 5)


@pytest.fixture(scope="module")
def written(made, tmp_path_factory) -> pd.DataFrame:
    """The patients as this program writes them, read back as text."""
    path = tmp_path_factory.mktemp("cohort") / "cohort.csv"
    write_table(made.frame(), path)
    return read_table(path)


def exported(table: pd.DataFrame, registry, *, labels=False, headings=False) -> pd.DataFrame:
    """The same patients as REDCap would export them from the registry's dictionary."""
    fields = [entry for entry in entries(registry) if entry.name in table]
    out = pd.DataFrame(index=table.index)
    for entry in fields:
        out[entry.name] = table[entry.name]
        if entry.choices:
            spoken = {entry.choices[code]: said for code, said in entry.spoken.items()}
            coded = {word: code for code, word in entry.choices.items()}
            words = spoken if labels else coded
            unknown = NOT_KNOWN if labels else NOT_KNOWN_CODE
            out[entry.name] = [words.get(word, unknown) for word in table[entry.name]]
    if not headings:
        out[MARK] = codes_mark(entries(registry)[:-1])
    out[f"{BEFORE}_complete"] = "Complete" if labels else "2"
    if headings:
        out = out.rename(columns={entry.name: entry.label for entry in fields})
        out = out.rename(columns={f"{BEFORE}_complete": "Complete?"})
    return out.astype("str")


def in_events(table: pd.DataFrame, registry) -> pd.DataFrame:
    """Each patient in two rows: what is asked before surgery, and what a year later."""
    after = {entry.name for entry in entries(registry) if entry.form == AFTER}
    first, second = table.copy(), table.copy()
    first[[name for name in table if name in after]] = ""
    second[[name for name in table if name not in after and name != "patient_id"]] = ""
    first["redcap_event_name"], second["redcap_event_name"] = "baseline_arm_1", "12_months_arm_1"
    rows = pd.concat([first, second]).sort_values("patient_id", kind="stable")
    rows.index = pd.RangeIndex(2, len(rows) + 2)
    return rows.astype("str")


def same(one, other) -> bool:
    return (
        np.array_equal(one.codes, other.codes, equal_nan=True)
        and list(one.patient_id) == list(other.patient_id)
        and list(one.site) == list(other.site)
        and all(
            np.array_equal(one.outcome[n], other.outcome[n], equal_nan=True) for n in one.outcome
        )
    )


# --- the dictionary ------------------------------------------------------------------------------


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.name)
def test_it_has_what_redcap_asks_of_a_dictionary(registry):
    rows = list(csv.reader(io.StringIO(dictionary_csv(registry))))
    assert rows[0] == list(COLUMNS)
    assert len(COLUMNS) == 18
    fields = [dict(zip(COLUMNS, row, strict=True)) for row in rows[1:]]
    names = [field["Variable / Field Name"] for field in fields]
    assert names[0] == "patient_id"
    assert len(set(names)) == len(names)
    asked = [e.name for e in registry.exclusions] + list(registry.names)
    assert set(asked) < set(names)
    assert {column.name for column in registry.outcome.columns} < set(names)
    labels = [field["Field Label"] for field in fields]
    assert len(set(labels)) == len(labels), "an export with labels has them as its headings"
    for field in fields:
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,99}", field["Variable / Field Name"])
        choices = field["Choices, Calculations, OR Slider Labels"]
        assert bool(choices) == (field["Field Type"] == "radio")
        if choices:
            codes = [choice.partition(", ")[0] for choice in choices.split(" | ")]
            assert len(set(codes)) == len(codes)
            assert choices.endswith(f"{NOT_KNOWN_CODE}, {NOT_KNOWN}")
        kind = field["Text Validation Type OR Show Slider Number"]
        assert kind in ("", "number", "integer", "date_ymd")


def test_numbers_are_bounded_as_the_registry_has_them(registry):
    by_name = {entry.name: entry for entry in entries(registry)}
    for factor in registry.factors:
        if factor.is_numeric:
            low, high = map(float, by_name[factor.name].bounds)
            assert (low, high) == factor.bounds


def test_codes_are_stable_and_levels_that_are_numbers_are_their_own():
    assert level_codes(("never", "former")) == {"1": "never", "2": "former"}
    assert level_codes(("1", "2", "3")) == {"1": "1", "2": "2", "3": "3"}
    assert level_codes(("none", "1", "3")) == {"2": "none", "1": "1", "3": "3"}
    # A level added at the end moves no code.
    before, after = level_codes(("a", "b")), level_codes(("a", "b", "c"))
    assert before.items() < after.items()


def test_another_order_of_levels_is_another_mark(tiny):
    smoking = tiny.by_name["smoking"].model_copy(update={"levels": ("former", "never", "current")})
    turned = tiny.model_copy(update={"factors": (smoking, *tiny.factors[1:])})
    assert codes_mark(entries(tiny)[:-1]) != codes_mark(entries(turned)[:-1])


# --- what comes back -----------------------------------------------------------------------------


@pytest.mark.parametrize("events", [False, True])
@pytest.mark.parametrize(
    "form", [{}, {"labels": True}, {"labels": True, "headings": True}, {"headings": True}]
)
def test_an_export_gives_the_same_patients_in_every_form(registry, written, form, events):
    table = exported(in_events(written, registry) if events else written, registry, **form)
    if events:
        table["Event Name" if form.get("headings") else "redcap_event_name"] = in_events(
            written, registry
        )["redcap_event_name"]
    found = check_table(table, registry)
    assert len(found.rejected) == 0
    assert found.ignored_columns == ()
    assert same(found.accepted, check_table(written, registry).accepted)
    assert "Read as a REDCap export" in found.remarks[0]
    assert bool(found.empty_rows) is False


def test_read_once_it_is_an_ordinary_table(registry, written):
    once = as_cohort(exported(in_events(written, registry), registry), registry)
    again = as_cohort(once.table, registry)
    assert again.remarks == ()
    pd.testing.assert_frame_equal(again.table, once.table)


def test_another_file_is_left_as_it_is(registry, written):
    assert as_cohort(written, registry).table is written


def test_numbers_in_another_file_are_never_taken_for_our_codes(registry, written):
    table = written.copy()
    table["smoking_status"] = "3"
    found = check_table(table, registry)
    assert len(found.accepted) == 0
    table["redcap_event_name"] = "baseline_arm_1"
    found = check_table(table, registry)
    assert len(found.accepted) == 0
    assert "another dictionary" in found.remarks[0]


def test_codes_of_another_dictionary_are_refused(registry, written):
    table = exported(written, registry)
    table[MARK] = "0123456789ab"
    with pytest.raises(DataRefused, match="cannot be read"):
        check_table(table, registry)


def test_rows_are_numbered_by_the_first_of_each_patient(registry, written):
    table = exported(in_events(written, registry), registry)
    table["redcap_event_name"] = in_events(written, registry)["redcap_event_name"]
    second = table.index[2]
    table.loc[second, "age"] = "400"
    found = check_table(table, registry)
    assert list(found.rejected.by_row()) == [second]


def test_events_that_contradict_each_other_are_rejected_with_both_answers(registry, written):
    rows = in_events(written, registry)
    table = exported(rows, registry)
    table["redcap_event_name"] = rows["redcap_event_name"]
    table["age"] = [["50", "61"][i % 2] for i in range(len(table))]
    found = check_table(table, registry)
    assert len(found.accepted) == 0
    faults = next(iter(found.rejected.by_row().values()))
    assert [fault.given for fault in faults if fault.column == "age"] == ["50 and 61"]
    assert f"age ({len(written)})" in found.remarks[-1]


def test_the_data_access_group_stands_for_the_site(registry, written):
    table = exported(written, registry)
    table = table.rename(columns={"site": "redcap_data_access_group"})
    assert same(check_table(table, registry).accepted, check_table(written, registry).accepted)


@pytest.mark.parametrize("row", [{}, {"redcap_repeat_instance": "1"}])
def test_events_without_an_id_cannot_be_joined(registry, row):
    table = pd.DataFrame([{"age": "50", "redcap_event_name": "a", **row}], index=[2], dtype="str")
    with pytest.raises(DataRefused, match="cannot be joined"):
        check_table(table, registry)


def test_the_record_id_stands_for_the_patient(registry, written):
    table = exported(written, registry).rename(columns={"patient_id": "record_id"})
    assert same(check_table(table, registry).accepted, check_table(written, registry).accepted)


# --- boxes ---------------------------------------------------------------------------------------


def boxes(registry, written, factor, ticks):
    """The first patient with some boxes of one factor ticked, all others without any."""
    table = exported(written, registry).drop(columns=factor)
    for code, ticked in ticks.items():
        table[f"{factor}___{code}"] = "0"
        table.loc[table.index[0], f"{factor}___{code}"] = ticked
    return check_table(table, registry)


@pytest.mark.parametrize(
    ("factor", "ticks", "answer"),
    [
        ("smoking_status", {"1": "0", "2": "0", "3": "1"}, "current"),
        ("smoking_status", {"1": "0", "2": "Checked", "3": "Unchecked"}, "former"),
        ("smoking_status", {"1": "0", NOT_KNOWN_CODE: "1"}, None),
        ("diabetes", {"1": "1"}, "yes"),
        ("diabetes", {"1": "0"}, None),
        ("diabetes", {"1": "0", "0": "1"}, "no"),
    ],
)
def test_one_box_ticked_is_the_answer_and_none_is_no_answer(
    registry, written, factor, ticks, answer
):
    found = boxes(registry, written, factor, ticks)
    assert found.ignored_columns == ()
    code = found.accepted.codes[0, registry.names.index(factor)]
    assert registry.by_name[factor].value_of(code) == answer


def test_a_label_that_is_the_code_of_another_level_is_not_read(tiny):
    labels = {"never": "2", "former": "1"}
    smoking = tiny.by_name["smoking"].model_copy(update={"level_labels": labels})
    own = tiny.model_copy(update={"factors": (smoking, *tiny.factors[1:])})
    rows = {"patient_id": ["a", "b"], "smoking": ["1", "3"], f"{BEFORE}_complete": ["2", "2"]}
    table = pd.DataFrame(rows, index=[2, 3], dtype="str")
    found = check_table(table, own, to_learn=False)
    assert list(found.rejected.by_row()) == [2]
    assert found.accepted.codes[0, 0] == own.by_name["smoking"].level_codes["current"]


def test_two_boxes_ticked_are_rejected_with_both(registry, written):
    found = boxes(registry, written, "smoking_status", {"1": "1", "3": "1"})
    (faults,) = found.rejected.by_row().values()
    assert [(fault.column, fault.given) for fault in faults] == [("smoking_status", "1 and 3")]


# --- by the commands -----------------------------------------------------------------------------


def test_the_commands_read_an_export(registry, written, tmp_path, bundle_folder):
    table = exported(written, registry)
    write_table(table, tmp_path / "export.csv")
    told = CliRunner().invoke(commands, ["check", str(tmp_path / "export.csv")])
    assert told.exit_code == 0, told.output
    assert "Read as a REDCap export" in told.output
    out = tmp_path / "scores.csv"
    scored = CliRunner().invoke(
        commands,
        ["score", str(tmp_path / "export.csv"), "--model", str(bundle_folder), "--out", str(out)],
    )
    assert scored.exit_code == 0, scored.output
    plain = tmp_path / "plain.csv"
    write_table(written, plain)
    again = tmp_path / "again.csv"
    CliRunner().invoke(
        commands, ["score", str(plain), "--model", str(bundle_folder), "--out", str(again)]
    )
    assert out.read_bytes() == again.read_bytes()


def test_a_labelled_export_repeats_headings_and_is_read(registry, written, tmp_path):
    table = exported(written, registry, labels=True, headings=True)
    text = table.to_csv(index=False)
    header, _, rows = text.partition("\n")
    twice = "\n".join(f"{line},Complete" for line in rows.splitlines())
    path = tmp_path / "labels.csv"
    path.write_text(f"{header},Complete?\n{twice}\n", encoding="utf-8")
    found = check(path, registry)
    assert found.ignored_columns == ()
    assert same(found.accepted, check_table(written, registry).accepted)


@pytest.mark.parametrize(("form", "ending"), [("redcap", ".csv"), ("json-schema", ".json")])
def test_the_template_is_written_in_the_form_asked_for(tmp_path, form, ending):
    runner, out = CliRunner(), tmp_path / f"form{ending}"
    assert runner.invoke(commands, ["template", "--as", form, "--out", str(out)]).exit_code == 0
    told = runner.invoke(commands, ["template", "--as", form])
    assert told.output == out.read_text(encoding="utf-8")
    wrong = runner.invoke(commands, ["template", "--as", form, "--out", str(tmp_path / "x.txt")])
    assert wrong.exit_code != 0
