"""Whatever is wrong with a file is said in words, with the right exit code, and nothing is spoilt.

A table of everything that goes wrong in practice, held against every command that reads it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import TINY
from spinecast import retraining
from spinecast.explaining.bundle import read_bundle, write_bundle
from spinecast.simulator.synthetic import simulate
from test_cli import RECIPE, spinecast

READERS = ("check", "train", "score", "validate")
PATIENTS = 200
FOLLOW_UP = [
    "followup_date",
    "odi_followup",
    "nrs_back_followup",
    "nrs_leg_followup",
    "revision_for_pain",
]
ANY_OF = "a file that can be read is needed"
STORY = "Mrs Smith, who says that her back has hurt since the war"
SAVE = 'Save it as "CSV UTF-8 (comma delimited)" or as Parquet.'
COMMA = "In LibreOffice choose the comma as field delimiter"


@dataclass(frozen=True)
class Bad:
    """A bad file: how it is made of a good one, each command's exit code, and what must be said."""

    make: Callable[[pd.DataFrame], bytes | pd.DataFrame | None]
    codes: Mapping[str, int]
    says: tuple[str, ...]

    def write(self, good: pd.DataFrame, path: Path) -> None:
        made = self.make(good.copy())
        if isinstance(made, pd.DataFrame):
            made = text(made)
        if made is not None:
            path.write_bytes(made)


def text(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def always(code: int) -> dict[str, int]:
    return dict.fromkeys(READERS, code)


def with_all(**cells: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Every patient with these answers."""
    return lambda good: good.assign(**cells)


def twice(good: pd.DataFrame) -> bytes:
    lines, ends = text(good).decode().splitlines(), ["age", *["5"] * PATIENTS]
    header, *rows = (line + f",{end}" for line, end in zip(lines, ends, strict=True))
    return "\n".join([header, *rows]).encode()


def before_surgery(good: pd.DataFrame) -> pd.DataFrame:
    return good.assign(index_date="2023-05-01", followup_date="2022-05-01")


FILES = {
    "a file that is not there": Bad(
        lambda good: None, always(2), ("cohort.csv", "no such file or directory", ANY_OF)
    ),
    "an empty file": Bad(
        lambda good: b"", always(3), ("cohort.csv", "it is empty", "a header and one row for each")
    ),
    "a header without rows": Bad(
        lambda good: text(good.head(0)), always(3), ("cohort.csv", "a header and no rows")
    ),
    "a binary file": Bad(
        lambda good: bytes(range(256)) * 40,
        always(3),
        ("cohort.csv", "it is not text", "a CSV file is UTF-8 text", SAVE),
    ),
    "a workbook with another ending": Bad(
        lambda good: b"PK\x03\x04" + bytes(200), always(3), ("it is a spreadsheet or zip", SAVE)
    ),
    "semicolons": Bad(
        lambda good: good.to_csv(index=False, sep=";").encode(),
        always(3),
        ("cohort.csv", "separated by semicolons", "commas are needed", COMMA),
    ),
    "tabs": Bad(
        lambda good: good.to_csv(index=False, sep="\t").encode(),
        always(3),
        ("cohort.csv", "separated by tabs", "commas are needed", COMMA),
    ),
    "UTF-16": Bad(
        lambda good: text(good).decode().encode("utf-16"),
        always(3),
        ("cohort.csv", "it is UTF-16 text", "a CSV file is UTF-8 text", SAVE),
    ),
    "another encoding": Bad(
        lambda good: text(good.assign(site="Zürich")).decode().encode("latin-1"),
        always(3),
        ("line 2 has a character that is not UTF-8", SAVE),
    ),
    "two columns of one name": Bad(
        twice, always(3), ("age: names columns 4, ", "a name may stand once", "Rename one.")
    ),
    "rows with a cell too many": Bad(
        lambda good: text(good) + b",,\n", always(3), ("row 202: 3 cells", "the header has")
    ),
    "no patient_id": Bad(
        lambda good: good.rename(columns={"patient_id": "Patient_ID"}),
        always(3),
        ("patient_id: the column is missing", "it must be there", "Did you mean Patient_ID?"),
    ),
    "free text in a column of numbers": Bad(
        with_all(age=STORY),
        always(3),
        ("age", f"given '{STORY[:40]}...'", "a number from", "Write the number alone"),
    ),
    "an ODI of 900": Bad(
        with_all(odi_baseline="900"),
        always(3),
        ("odi_baseline", "given '900'", "a number from 0 to 100", "decimal point"),
    ),
    "an age in words": Bad(
        with_all(age="sixty"),
        always(3),
        ("age", "given 'sixty'", "a number from 18 to", "Write the number alone"),
    ),
    "smoking yes": Bad(
        with_all(smoking_status="yes"),
        always(3),
        ("smoking_status", "given 'yes'", "never", "current", "Write one of these words"),
    ),
    "not a number": Bad(
        with_all(bmi="NaN"), always(3), ("bmi", "given 'NaN'", "a number from", "Leave it empty")
    ),
    "infinity": Bad(
        with_all(bmi="inf"), always(3), ("bmi", "given 'inf'", "a number from", "Leave it empty")
    ),
    "a follow-up before surgery": Bad(
        before_surgery,
        always(3),
        (
            "followup_date",
            "given '2022-05-01 with index_date 2023-05-01'",
            "not before index_date",
            "Check both dates.",
        ),
    ),
    "a recurrence without a first operation": Bad(
        with_all(lesion_type="recurrent_disc_herniation", prior_lumbar_surgeries="0"),
        always(3),
        (
            "lesion_type, prior_lumbar_surgeries",
            "lesion_type = recurrent_disc_herniation, prior_lumbar_surgeries = 0",
            "A recurrent disc herniation needs an earlier lumbar operation",
            "Record at least one previous lumbar operation",
        ),
    ),
    "one patient in all rows": Bad(
        with_all(patient_id="simulated-1"),
        {"check": 3, "train": 3, "score": 0, "validate": 0},
        ("patient_id", "'simulated-1'", "a patient may stand in one row, and stands in row 2"),
    ),
    "patients out of scope": Bad(
        with_all(spinal_tumour="yes"), always(3), ("spinal_tumour", "given 'yes'", "out of scope")
    ),
    "one outcome only": Bad(
        lambda good: good[good["odi_followup"] == good["odi_followup"].min()].assign(
            odi_followup=0, nrs_back_followup=0, nrs_leg_followup=0, revision_for_pain="no"
        ),
        {"check": 0, "train": 3, "score": 0, "validate": 0},
        ("0 patients with the outcome", "at least 10 of each", "Collect more patients"),
    ),
    "eight patients": Bad(
        lambda good: good.head(8),
        {"check": 0, "train": 3, "score": 0, "validate": 0},
        ("patients with the outcome", "at least 10 of each", "Collect more patients"),
    ),
    "no outcome": Bad(
        lambda good: good.drop(columns=FOLLOW_UP),
        {"check": 0, "train": 3, "score": 0, "validate": 3},
        (f"none of {PATIENTS} accepted patients", "odi_followup", "Add the follow-up"),
    ),
}
ACCEPTED = {
    "a byte order mark": lambda good: b"\xef\xbb\xbf" + text(good),
    "lines as Windows ends them": lambda good: text(good).replace(b"\n", b"\r\n"),
    "a thousand other columns": lambda good: text(
        pd.concat([good, pd.DataFrame({f"x{n}": ["?"] * len(good) for n in range(1_000)})], axis=1)
    ),
    "a column of free text": lambda good: text(
        good.assign(remarks='Says: "it hurts, Doctor",\nand leaves')
    ),
    "all of one level": lambda good: text(
        good.assign(sex="female", smoking_status="never", age="60", depression="no")
    ),
}


@pytest.fixture(scope="module")
def good(registry):
    frame = simulate(registry, PATIENTS, 5, lost=0.0).frame()
    return frame.astype(object).where(frame.notna(), "")


@pytest.fixture(scope="module")
def kept_model(trained, tmp_path_factory):
    told = trained.training | {"data": {"sha256": "0" * 64}}
    folder = tmp_path_factory.mktemp("models") / "kept"
    write_bundle(folder, trained.model, trained.facts, trained.booster, told)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, kept_model):
    """A working folder with a model, an experiment and something of the person's own."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(kept_model, "models/kept")
    Path("r.toml").write_text(RECIPE)
    Path("thesis.txt").write_text("Chapter 1")
    return tmp_path


def run(command: str, file: str = "cohort.csv", *more: str, model: str = "models/kept"):
    words = {
        "check": (),
        "train": ("--experiment", "r.toml", "--out", "models/new", "--runs", "runs"),
        "score": ("--model", model),
        "validate": ("--model", model, "--out", "validation"),
    }
    return spinecast(command, file, *words[command], *more)


def state(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def is_said(answer, *words: str) -> None:
    """All of it, however the lines were broken, and never a traceback."""
    said = " ".join((answer.out + " " + answer.err).split())
    assert "Traceback" not in said
    assert "bug" not in answer.err
    assert [word for word in words if word not in said] == []


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("bad", FILES)
def test_a_bad_file_is_refused_in_words_and_nothing_is_left_behind(here, good, bad, command):
    case = FILES[bad]
    case.write(good, here / "cohort.csv")
    before = state(here)
    answer = run(command)
    assert answer.code == case.codes[command], answer.err
    if answer.code:
        is_said(answer, *case.says)
        assert state(here) == before
    else:
        is_said(answer)
        wrote = {"validation"} if command == "validate" else set()
        assert {name.split("/")[0] for name in state(here).keys() - before.keys()} == wrote
        assert before.items() <= state(here).items()


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("kind", ACCEPTED)
def test_an_unusual_file_is_taken_as_it_is(here, good, kind, command, monkeypatch):
    record = retraining.tracking.RunRecord("a run", "", "")
    monkeypatch.setattr(retraining.tracking, "record", lambda *_, **__: record)
    (here / "cohort.csv").write_bytes(ACCEPTED[kind](good))
    before = state(here)
    answer = run(command)
    assert answer.code == 0, answer.err
    is_said(answer)
    assert before.items() <= state(here).items()
    if command == "train":
        assert read_bundle(here / "models" / "new").training["data"]["accepted"] == PATIENTS
    assert "it hurts" not in answer.out + answer.err
    if kind in ("a thousand other columns", "a column of free text"):
        is_said(answer, "is not in the registry and was not used")


def test_one_bad_row_is_told_and_the_others_are_used(here, good, monkeypatch):
    record = retraining.tracking.RunRecord("a run", "", "")
    monkeypatch.setattr(retraining.tracking, "record", lambda *_, **__: record)
    good.loc[3, "odi_baseline"] = 900
    (here / "cohort.csv").write_bytes(text(good))
    for command in READERS:
        answer = run(command)
        assert answer.code == (3 if command == "check" else 0)
        is_said(answer, "given '900'")
    assert read_bundle(here / "models" / "new").training["data"]["rejected"] == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"age": 1, "age": 2}', "\0", "[" * 9_999])
def test_what_is_not_json_of_patients_is_refused(here, content):
    (here / "p.json").write_text(content)
    before = state(here)
    answer = run("score", "p.json")
    assert answer.code == 3
    assert answer.out == ""
    is_said(answer, "p.json", "one patient {...} or a list")
    assert state(here) == before


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"odi_baseline": 900}, ("odi_baseline", "'900'", "a number from 0 to 100")),
        ({"age": "sixty"}, ("age", "'sixty'")),
        ({"smoking_status": "yes"}, ("smoking_status", "'yes'", "never")),
        ({"bmi": np.inf}, ("bmi", "inf")),
        ({"bmi": np.nan}, ("bmi", "nan")),
        ({"agee": 3}, ("agee", "Did you mean age?")),
        (
            {"lesion_type": "recurrent_disc_herniation", "prior_lumbar_surgeries": 0},
            ("A recurrent disc herniation needs",),
        ),
        ("Mrs Smith", ("one patient is an object of names and values",)),
    ],
)
def test_one_bad_patient_is_told_why(here, answers, says):
    (here / "p.json").write_text(json.dumps([answers]))
    before = state(here)
    answer = run("score", "p.json")
    assert answer.code == 3
    is_said(answer, *says)
    assert state(here) == before


@pytest.mark.parametrize("command", READERS)
def test_a_file_of_another_kind_is_refused(here, command):
    (here / "cohort.xlsx").write_bytes(b"PK\x03\x04")
    before = state(here)
    answer = run(command, "cohort.xlsx")
    assert answer.code == 2
    is_said(answer, "cohort.xlsx", "its ending is .xlsx", "allowed: .csv, .parquet")
    assert state(here) == before


@pytest.mark.parametrize("command", READERS)
def test_a_damaged_parquet_file_is_refused(here, good, command):
    good.astype(str).to_parquet(here / "cohort.parquet")
    whole = (here / "cohort.parquet").read_bytes()
    (here / "cohort.parquet").write_bytes(whole[: len(whole) // 2])
    before = state(here)
    answer = run(command, "cohort.parquet")
    assert answer.code == 3
    is_said(answer, "cohort.parquet", "it is damaged", "a whole Parquet file is needed")
    assert state(here) == before


# --- models ---------------------------------------------------------------------------------------


def alter(model: Path) -> None:
    (model / "facts.json").write_text((model / "facts.json").read_text().replace("1", "2"))


def newer(model: Path) -> None:
    told = json.loads((model / "manifest.json").read_text())
    (model / "manifest.json").write_text(json.dumps(told | {"format": 99}))


BAD_MODELS = {
    "none": (shutil.rmtree, ("no manifest.json", "written by `spinecast train`")),
    "altered": (alter, ("facts.json: altered since it was written", "its SHA-256 must be")),
    "a file missing": (lambda m: (m / "refits.csv").unlink(), ("refits.csv: missing",)),
    "a file too many": (lambda m: (m / "x").touch(), ("x: not in the manifest",)),
    "newer": (newer, ("format 99", "reads up to format 1", "Update spinecast")),
}


@pytest.mark.parametrize("command", ["score", "validate"])
@pytest.mark.parametrize("kind", BAD_MODELS)
def test_a_bad_model_is_refused(here, good, kind, command):
    (here / "cohort.csv").write_bytes(text(good))
    spoil, says = BAD_MODELS[kind]
    spoil(here / "models" / "kept")
    before = state(here)
    answer = run(command)
    assert (answer.code, answer.out) == (4, "")
    is_said(answer, *says)
    assert state(here) == before


@pytest.mark.parametrize("command", ["score", "validate"])
def test_a_model_of_another_registry_is_refused(here, good, command, registry, tiny):
    (here / "cohort.csv").write_bytes(text(good))
    before = state(here)
    answer = run(command, "cohort.csv", "--registry", str(TINY))
    assert (answer.code, answer.out) == (4, "")
    is_said(answer, str(TINY), tiny.id, f"was trained with {registry.id}", "retrain with this one")
    assert state(here) == before


# --- registries and experiments -------------------------------------------------------------------


@pytest.mark.parametrize("when", ["operation", "follow-up"])
@pytest.mark.parametrize("command", READERS)
def test_a_registry_with_a_factor_known_too_late_is_refused(here, good, command, when):
    (here / "cohort.csv").write_bytes(text(good))
    shutil.copytree(TINY, here / "late")
    file = here / "late" / "factors" / "all.toml"
    told = file.read_text()
    file.write_text(told.replace('known_at = "referral"', f'known_at = "{when}"', 1))
    assert file.read_text() != told
    before = state(here)
    answer = run(command, "cohort.csv", "--registry", "late")
    assert (answer.code, answer.out) == (2, "")
    is_said(answer, "smoking", when, "referral", "planning")
    assert state(here) == before


@pytest.mark.parametrize("command", READERS)
def test_a_registry_that_is_not_there_is_refused(here, good, command):
    (here / "cohort.csv").write_bytes(text(good))
    before = state(here)
    answer = run(command, "cohort.csv", "--registry", "elsewhere")
    assert (answer.code, answer.out) == (2, "")
    is_said(answer, "elsewhere: no such folder", "a registry is a folder with registry.toml")
    assert state(here) == before


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (None, ("r.toml: no such file", "See experiments/ for examples")),
        ("seed = ", ("r.toml", "a TOML file")),
        ("seeed = 1", ("r.toml", "seeed")),
        ("[trees]\ndepth = 40", ("r.toml", "depth", "40", "4")),
        ('outcome = "cured"', ("cured", "fbss_12m")),
        ('baselines = ["oracle"]', ("'oracle'", "ridge")),
    ],
)
def test_an_experiment_that_cannot_be_run_is_refused(here, good, recipe, says):
    (here / "cohort.csv").write_bytes(text(good))
    (here / "r.toml").unlink()
    if recipe is not None:
        (here / "r.toml").write_text(recipe)
    before = state(here)
    answer = run("train")
    assert (answer.code, answer.out) == (2, "")
    is_said(answer, *says)
    assert state(here) == before


@pytest.mark.parametrize("out", ["thesis.txt", "thesis.txt/deeper", "models/kept"])
def test_a_model_is_never_written_over_what_is_there(here, good, out):
    (here / "cohort.csv").write_bytes(text(good))
    before = state(here)
    answer = run("train", "cohort.csv", "--out", out)
    assert (answer.code, answer.out) == (2, "")
    is_said(answer, "thesis.txt" if "thesis" in out else out)
    assert state(here) == before
