"""Every command does what its help says, and its exit code tells what became of it."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from conftest import TINY
from ending import process
from spinecast import __version__, cli
from spinecast.errors import DataRefused, ModelRefused, SpinecastError, UsageRefused
from spinecast.explaining import batch
from spinecast.explaining.assessment import SCHEMA
from spinecast.explaining.bundle import read_bundle, write_bundle
from spinecast.explaining.scoring import Scorer
from spinecast.handbook import catalogue

COMMANDS = (
    *("factors", "template", "simulate", "map", "check", "train", "score", "validate"),
    *("update", "promote", "rollback", "history", "serve"),
)
STOPPED = (
    "Stopped. Nothing was left half-written, and what was finished stands; run the command again.\n"
)
EXAMPLE = Path(__file__).parent.parent / "data" / "example_patient.json"
RECIPE = """
baselines = ["published evidence"]
[evidence]
weights = [1.0]
scales = [1.0]
[trees]
most_rounds = 3
[resampling]
inner_folds = 2
inner_repeats = 1
outer_folds = 2
outer_repeats = 1
[interval]
refits = 3
"""


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


def spinecast(*words) -> Answer:
    """Run a command in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code = 0
    with (
        mock.patch.object(sys, "argv", ["spinecast", *map(str, words)]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as stopped:
            code = stopped.code
    texts = []
    for stream in (out, err):
        stream.seek(0)
        texts.append(stream.read())
    return Answer(code, *texts)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def cohort_file(place):
    path = place / "cohort.csv"
    assert spinecast("simulate", "--patients", 60, "--seed", 4, "--out", path).code == 0
    return path


@pytest.fixture(scope="module")
def model(trained, place):
    """The model of the packaged registry, as if it had been trained on some other file."""
    told = trained.training | {"data": {"sha256": "0" * 64}}
    write_bundle(place / "model", trained.model, trained.facts, trained.booster, told)
    return place / "model"


@pytest.fixture(scope="module")
def tiny_cohort(place):
    """Simulated patients of the tiny registry with follow-up, which it does not simulate."""
    path, truth = place / "tiny.csv", place / "truth.csv"
    answer = spinecast(
        *("simulate", "--patients", 150, "--seed", 1, "--out", path),
        *("--truth", truth, "--registry", TINY),
    )
    assert answer.code == 0, answer.err
    frame, failed = pd.read_csv(path), pd.read_csv(truth)["outcome"] == 1
    frame["pain"] = frame["pain"].fillna(6.0).clip(4)
    frame["pain_followup"] = np.where(failed, 10, 0)
    frame["followup_date"] = pd.to_datetime(frame["index_date"]) + pd.Timedelta(days=365)
    frame.assign(revision="no").to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def tiny_training(tiny_cohort, place):
    (place / "001-tiny.toml").write_text(RECIPE)
    with warnings.catch_warnings():
        # MLflow and what it stands on warn of their own affairs.
        warnings.simplefilter("ignore")
        return spinecast(
            *("train", tiny_cohort, "--experiment", place / "001-tiny.toml"),
            *("--out", place / "models" / "tiny", "--runs", place / "runs", "--registry", TINY),
        )


@pytest.fixture(scope="module")
def tiny_model(tiny_training, place):
    assert tiny_training.code == 0, tiny_training.err
    return place / "models" / "tiny"


# --- words ----------------------------------------------------------------------------------------


def test_these_are_all_the_commands():
    assert tuple(sorted(cli.commands.commands)) == tuple(sorted(COMMANDS))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_explains_itself(command, flag):
    answer = spinecast(command, flag)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"Usage: spinecast {command}")
    options = [name for o in cli.commands.commands[command].params for name in o.opts]
    assert [name for name in options if name.startswith("-") and name not in answer.out] == []
    # These read no patient and no factor.
    assert "--registry" in options or command in ("rollback", "history")


def test_the_version_is_told():
    assert spinecast("--version") == Answer(0, f"spinecast, version {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "Commands:"),
        (["predict"], "No such command 'predict'"),
        (["check"], "Missing argument 'COHORT'"),
        (["check", "a.csv", "--colour"], "No such option"),
        (["score", "a.json"], "no model is in use"),
        (["promote", "models/a"], "Missing option '--gate'"),
        (["score", "a.json", "--model", "m", "--format", "pdf"], "'text', 'json', 'html'"),
        (["simulate", "--patients", "0", "--seed", "1", "--out", "c.csv"], "0 is not in the range"),
        (["simulate", "--patients", "ten", "--seed", "1", "--out", "c.csv"], "'ten'"),
    ],
)
def test_wrong_use_is_said_in_words(here, words, says):
    answer = spinecast(*words)
    assert answer.code == 2
    assert answer.out == ""
    assert says in answer.err
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageRefused, 2), (DataRefused, 3), (ModelRefused, 4), (SpinecastError, 1)],
)
def test_every_refusal_has_its_exit_code(monkeypatch, error, code):
    monkeypatch.setattr(catalogue, "listing", mock.Mock(side_effect=error("so it is")))
    assert spinecast("factors") == Answer(code, "", "so it is\n")


def test_a_bug_is_called_a_bug_without_a_traceback(monkeypatch):
    monkeypatch.delenv("SPINECAST_TRACEBACK", raising=False)
    monkeypatch.setattr(catalogue, "listing", mock.Mock(side_effect=ZeroDivisionError("by zero")))
    answer = spinecast("factors")
    assert (answer.code, answer.out) == (1, "")
    assert f"a bug in spinecast {__version__}: ZeroDivisionError in mock.py:" in answer.err
    # What an exception says may quote a patient's answers.
    assert "by zero" not in answer.err
    assert "SPINECAST_TRACEBACK=1" in answer.err
    assert "Traceback" not in answer.err
    monkeypatch.setenv("SPINECAST_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        spinecast("factors")


def test_who_stops_a_command_is_told_that_nothing_is_broken(monkeypatch):
    monkeypatch.setattr(catalogue, "listing", mock.Mock(side_effect=KeyboardInterrupt))
    answer = spinecast("factors")
    assert answer.code == 130
    assert answer.err == STOPPED


def test_too_little_memory_is_no_bug(monkeypatch):
    monkeypatch.setattr(catalogue, "listing", mock.Mock(side_effect=MemoryError))
    answer = spinecast("factors")
    assert answer.code == 2
    assert "memory" in answer.err


# --- in a process of its own ----------------------------------------------------------------------


def test_who_reads_one_line_hears_no_complaint():
    with process("factors") as command:
        assert command.stdout.readline()
        command.stdout.close()
        assert (command.stderr.read(), command.wait(60)) == ("", 0)


def test_a_pipe_nobody_reads_is_no_bug():
    with process("factors") as command:
        command.stdout.close()
        assert (command.stderr.read(), command.wait(60)) == ("", 0)


def test_help_waits_for_nothing_it_does_not_need():
    ask = (
        "import sys; sys.argv = ['spinecast', '--help']\n"
        "from spinecast import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'pandas', 'numpy', 'mlflow', 'sklearn', 'xgboost', 'shap', 'pyarrow', 'scipy'}\n"
        "print('imported:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported: []"


def test_a_patient_is_scored_without_anything_of_training(model):
    ask = (
        f"import sys; sys.argv = ['spinecast', 'score', {str(EXAMPLE)!r}, '--model', "
        f"{str(model)!r}]\n"
        "from spinecast import cli\n"
        "cli.main()\n"
        "heavy = {'mlflow', 'sklearn', 'xgboost', 'shap', 'interpret', 'matplotlib', 'glum'}\n"
        "print('imported:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported: []"


def heeding_interruptions():
    """What a shell starts in the background ignores Ctrl-C, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_stops_a_long_command_and_leaves_nothing(tmp_path):
    words = ("simulate", "--patients", 2_000_000, "--seed", 1, "--out", tmp_path / "c.csv")
    with process(*words, preexec_fn=heeding_interruptions) as command:
        # Past its imports, which swallow an interruption, and in its work: so many seconds of
        # processor time, as a busy machine takes any time of the wall.
        ticks = Path(f"/proc/{command.pid}/stat")
        if not ticks.exists():
            command.kill()
            pytest.skip("no /proc here")
        while int(ticks.read_text().rsplit(")", 1)[1].split()[11]) < 4 * os.sysconf("SC_CLK_TCK"):
            assert command.poll() is None
            time.sleep(0.05)
        command.send_signal(signal.SIGINT)
        said = command.stderr.read()
        assert command.wait(60) == 130
    assert said == STOPPED
    assert not list(tmp_path.iterdir())


# --- the registry ---------------------------------------------------------------------------------


def test_all_factors_are_listed_and_each_has_its_entry(registry):
    listing = spinecast("factors")
    assert listing.code == 0
    for factor in registry.factors:
        assert factor.name in listing.out
        answer = spinecast("factors", factor.name)
        assert (answer.code, answer.err) == (0, "")
        assert factor.label in answer.out


def test_a_factor_nobody_knows_is_refused_with_the_closest():
    answer = spinecast("factors", "smoking_statos")
    assert (answer.code, answer.out) == (2, "")
    assert "the closest: smoking_status" in answer.err


# --- templates ------------------------------------------------------------------------------------


def test_a_template_filled_in_can_be_scored_as_a_patient(here, model):
    assert spinecast("template", "--out", "p.json").code == 0
    blank = json.loads(Path("p.json").read_text())
    Path("p.json").write_text(json.dumps(blank | {"patient_id": "one", "age": 61}))
    answer = spinecast("score", "p.json", "--model", model, "--format", "json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert (told["schema"], told["status"]) == (SCHEMA, "scored")
    age = next(one for one in told["contributions"] if one["factor"] == "age")
    assert age["value"] == 61
    assert len(told["unknown"]) == len(told["contributions"]) - 1


def test_a_template_filled_in_can_be_scored_as_a_cohort(here, model):
    assert spinecast("template", "--out", "c.csv").code == 0
    header = Path("c.csv").read_text()
    blank = dict.fromkeys(header.strip().split(","), "")
    row = blank | {"patient_id": "one", "age": "61"}
    Path("c.csv").write_text(header + ",".join(row.values()) + "\n")
    answer = spinecast("score", "c.csv", "--model", model, "--format", "json")
    [told] = json.loads(answer.out)
    assert told["status"] == "scored"
    assert len(told["unknown"]) == len(told["contributions"]) - 1


def test_both_templates_are_shown_where_no_file_is_asked_for(registry):
    header, _, patient = spinecast("template").out.partition("\n")
    assert set(registry.names) < set(header.split(","))
    assert set(registry.names) < set(json.loads(patient))


def test_a_template_of_another_kind_is_refused(here):
    answer = spinecast("template", "--out", "t.xlsx")
    assert answer.code == 2
    assert "allowed: .csv, .json" in answer.err
    assert not list(here.iterdir())


# --- simulated cohorts ----------------------------------------------------------------------------


def test_a_folder_of_simulated_files_holds_the_patients_of_the_file(here):
    given = ("simulate", "--patients", 10, "--seed", 4)
    assert spinecast(*given, "--out", "cohort.parquet").code == 0
    assert spinecast(*given, "--out", "cohort", "--files", 3).code == 0
    files = sorted((here / "cohort").iterdir())
    assert [len(pd.read_parquet(file)) for file in files] == [3, 3, 4]
    together = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    pd.testing.assert_frame_equal(together, pd.read_parquet(here / "cohort.parquet"))
    assert spinecast(*given, "--out", "cohort", "--files", 3).code == 2


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_same_seed_simulates_the_same_bytes(here, ending):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        files = ("--out", f"{name}.{ending}", "--truth", f"{name}-truth.{ending}")
        answer = spinecast("simulate", "--patients", 40, "--seed", seed, *files)
        assert answer.code == 0
        assert 0.5 < float(answer.out.strip().rsplit(" ", 1)[1]) < 1
        assert "Best possible AUROC" in answer.out
    a, b, c = (Path(f"{name}.{ending}").read_bytes() for name in "abc")
    assert a == b != c
    a, b = (Path(f"{name}-truth.{ending}").read_bytes() for name in "ab")
    assert a == b


def test_what_is_left_blank_can_be_said(here):
    for share in (0, 1):
        words = ("--seed", 1, "--missing", share, "--out", f"{share}.csv")
        assert spinecast("simulate", "--patients", 20, *words).code == 0
    assert pd.read_csv("0.csv")["age"].notna().all()
    assert pd.read_csv("1.csv")["age"].isna().all()


def test_the_same_hospitals_can_have_other_patients(here):
    for seed in (1, 2):
        words = ("--truth-seed", 5, "--out", f"{seed}.csv")
        assert spinecast("simulate", "--patients", 20, "--seed", seed, *words).code == 0
    assert Path("1.csv").read_bytes() != Path("2.csv").read_bytes()


# --- cohorts --------------------------------------------------------------------------------------


def test_a_clean_cohort_is_accepted(cohort_file):
    answer = spinecast("check", cohort_file)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("60 rows: 60 accepted, 0 rejected.")
    assert "Failures by each definition" in answer.out


def test_rejected_rows_are_counted_by_rule_and_every_reason_is_told(here, cohort_file):
    frame = pd.read_csv(cohort_file, dtype=str)
    frame.loc[[0, 1], "odi_baseline"] = "900"
    frame.loc[1, "age"] = "sixty"
    frame.loc[2, "patient_id"] = frame.loc[3, "patient_id"]
    frame.to_csv("bad.csv", index=False)
    answer = spinecast("check", "bad.csv", "--rejected", "why.csv")
    assert answer.code == 3
    assert "60 rows: 57 accepted, 3 rejected." in answer.out
    for line in ("  2  out_of_range", "  1  not_a_number", "  1  duplicate_patient"):
        assert line in answer.out.splitlines()
    for where in ("row 2, odi_baseline", "row 3, odi_baseline", "row 3, age", "row 5, patient_id"):
        assert f"  - {where}: given " in answer.out
    why = pd.read_csv("why.csv")
    assert sorted(zip(why["row"], why["rule"], strict=True)) == [
        (2, "out_of_range"),
        (3, "not_a_number"),
        (3, "out_of_range"),
        (5, "duplicate_patient"),
    ]
    assert spinecast("check", "bad.csv", "--rejected", "why.txt").code == 2


# --- scores ---------------------------------------------------------------------------------------


def test_one_patient_is_explained_on_the_terminal(model):
    answer = spinecast("score", EXAMPLE, "--model", model)
    assert (answer.code, answer.err) == (0, "")
    assert "SIMULATED" in answer.out
    assert "\x1b" not in answer.out
    assert len(spinecast("score", EXAMPLE, "--model", model, "--full").out) > len(answer.out)


def test_every_form_tells_the_same_risk(here, model, cohort_file):
    for name in ("s.json", "s.csv", "s.parquet", "s.html", "s.txt"):
        answer = spinecast("score", cohort_file, "--model", model, "--out", name)
        assert (answer.code, answer.out) == (0, "")
    records = json.loads(Path("s.json").read_text())
    risks = [record["risk"] for record in records]
    assert len(set(risks)) > 50
    assert pd.read_csv("s.csv")["risk"].tolist() == pytest.approx(risks, rel=1e-12)
    assert pd.read_parquet("s.parquet")["risk"].tolist() == risks
    printed = json.loads(spinecast("score", cohort_file, "--model", model, "--format", "json").out)
    assert printed == records
    assert "<html" in Path("s.html").read_text().lower()
    assert Path("s.txt").read_text() == spinecast("score", cohort_file, "--model", model).out
    web = spinecast("score", cohort_file, "--model", model, "--format", "html")
    assert web.out == Path("s.html").read_text()
    assert sorted(path.name for path in here.iterdir()) == [
        "s.csv",
        "s.html",
        "s.json",
        "s.parquet",
        "s.txt",
    ]


def test_one_patient_is_one_record_and_a_list_is_a_list(here, model):
    patient = json.loads(EXAMPLE.read_text())
    Path("list.json").write_text(json.dumps([patient]))
    [told] = json.loads(spinecast("score", "list.json", "--model", model, "--format", "json").out)
    assert told == json.loads(spinecast("score", EXAMPLE, "--model", model, "--format", "json").out)
    assert told["risk"] == Scorer.load(model).assess(patient).risk


def test_a_patient_who_cannot_be_scored_is_told_every_reason(here, model):
    Path("p.json").write_text(json.dumps({"age": "sixty", "odi_baseline": 900}))
    answer = spinecast("score", "p.json", "--model", model, "--format", "json")
    assert answer.code == 3
    told = json.loads(answer.out)
    assert (told["status"], told["risk"]) == ("refused", None)
    assert [reason["factor"] for reason in told["reasons"]] == ["age", "odi_baseline"]
    assert not answer.err
    shown = spinecast("score", "p.json", "--model", model)
    assert shown.code == 3
    assert "'sixty'" in shown.out
    assert "900" in shown.out


def test_one_patient_who_cannot_be_scored_does_not_stop_the_others(here, model):
    Path("p.json").write_text(json.dumps([{"age": 50}, {"age": "sixty"}, {"age": 60}]))
    answer = spinecast("score", "p.json", "--model", model, "--out", "s.csv")
    assert answer.code == 0
    assert "1 of 3 patients could not be scored; each says why." in answer.err
    assert pd.read_csv("s.csv")["status"].tolist() == ["scored", "refused", "scored"]


def test_columns_that_are_not_used_are_named_beside_the_result(here, model):
    Path("c.csv").write_text("patient_id,agee\na,50\n")
    answer = spinecast("score", "c.csv", "--model", model, "--format", "json")
    assert json.loads(answer.out)[0]["status"] == "scored"
    assert "did you mean 'age'?" in answer.err


def test_scores_appear_whole_or_not_at_all(here, model, cohort_file, monkeypatch):
    spinecast("score", cohort_file, "--model", model, "--out", "s.json")
    before = Path("s.json").read_bytes()

    def broken(*_):
        raise RuntimeError

    monkeypatch.setattr(batch.Assessment, "to_json", broken)
    assert spinecast("score", cohort_file, "--model", model, "--out", "s.json").code == 1
    assert Path("s.json").read_bytes() == before
    assert [path.name for path in here.iterdir()] == ["s.json"]


# --- validation -----------------------------------------------------------------------------------


def test_a_model_is_held_against_a_cohort(here, model, cohort_file):
    answer = spinecast("validate", cohort_file, "--model", model, "--out", "v")
    assert answer.code == 0, answer.err
    assert "AUROC" in answer.out
    assert "Simulated patients" in answer.out
    assert "60 rows: 60 accepted" in answer.err
    assert sorted(path.name for path in Path("v").iterdir()) == [
        "calibration.svg",
        "validation.json",
        "validation.txt",
    ]


def test_a_decision_curve_is_declared_with_what_acting_is(here, model, cohort_file):
    words = ("validate", cohort_file, "--model", model, "--out", "v", "--thresholds", "0.1-0.4")
    assert spinecast(*words).code == 2
    answer = spinecast(*words, "--action", "offer rehabilitation first")
    assert answer.code == 0, answer.err
    assert "Acting from a threshold on: offer rehabilitation first" in answer.out
    told = json.loads(Path("v/validation.json").read_text())
    assert len(told["decision_curve"]["net_benefit"]) == 31
    auroc = told["performance"]["estimates"][0]["value"]
    assert told["auroc_delong"]["value"] == pytest.approx(auroc)
    assert set(told["calibration_distances"]["value"]) == {"ici", "e50", "e90", "emax"}
    assert told["same_file"] is False


def test_somebody_elses_risks_are_judged_without_a_model(here):
    rows = [f"{(i % 10) / 10},{'yes' if i % 10 > 6 else 'no'}" for i in range(80)]
    Path("t.csv").write_text("\n".join(["p,y", *rows, "2,no"]) + "\n")
    answer = spinecast("validate", "t.csv", "--risks", "p", "--outcomes", "y", "--out", "v")
    assert answer.code == 0, answer.err
    assert "81 rows: 80 accepted, 1 rejected" in answer.err
    assert "--percent" in answer.err
    for label in ("AUROC", "Brier score", "ICI", "80 patients, 24 with the outcome", "exactly 0"):
        assert label in answer.out
    assert sorted(path.name for path in Path("v").iterdir()) == [
        "calibration.svg",
        "validation.json",
    ]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--risks", "p"),
        ("--outcomes", "y"),
        ("--model", "m", "--risks", "p", "--outcomes", "y"),
        ("--model", "m", "--percent"),
        ("--risks", "p", "--outcomes", "y", "--registry", "r"),
    ],
)
def test_what_is_held_against_outcomes_is_a_model_or_two_columns(here, words):
    answer = spinecast("validate", "t.csv", *words, "--out", "v")
    assert answer.code == 2
    assert "either --model" in answer.err


# --- another registry -----------------------------------------------------------------------------


def test_a_model_is_trained_with_another_registry(tiny_training, tiny_model, tiny):
    assert "published evidence" in tiny_training.out
    assert "of 150 patients" in tiny_training.err
    assert "cross-validating 2/2" in tiny_training.err
    identity = read_bundle(tiny_model).explainer.identity
    assert f"Model {identity.id} in {tiny_model}; MLflow run " in tiny_training.out
    assert (identity.registry, identity.trained_on) == (tiny.id, "simulated")
    page = Path(tiny_training.out.splitlines()[-1])
    assert tiny_training.out.splitlines()[-2].startswith("Next, on patients it has not met: ")
    assert page.parts[-4:] == ("runs", "reports", "tiny", "report.html")
    assert page.is_file()
    assert [*page.parents[2].glob("artifacts/**/report/report.html")]


def test_every_other_command_takes_another_registry(here, tiny_model, tiny_cohort, tiny):
    assert "pack_years" in spinecast("factors", "--registry", TINY).out
    assert spinecast("factors", "age", "--registry", TINY).code == 2
    assert spinecast("factors", "lesion", "--registry", TINY).code == 0
    assert "pack_years" in spinecast("template", "--registry", TINY).out
    assert spinecast("check", tiny_cohort, "--registry", TINY).code == 0
    words = ("--model", tiny_model, "--registry", TINY)
    told = json.loads(spinecast("score", tiny_cohort, *words, "--format", "json").out)
    assert {one["factor"] for one in told[0]["contributions"]} == set(tiny.names)
    answer = spinecast("validate", tiny_cohort, *words, "--out", "v")
    assert answer.code == 0
    assert "the very patients the model was trained on" in answer.out


def test_a_model_brings_its_own_registry(tiny_model, tiny_cohort):
    told = spinecast("score", tiny_cohort, "--model", tiny_model, "--format", "json")
    assert told.code == 0


def test_the_process_tells_its_exit_code(model, tmp_path):
    (tmp_path / "p.json").write_text('{"age": -1}')
    with process("score", tmp_path / "p.json", "--model", model, env=os.environ) as command:
        out, err = command.communicate(timeout=60)
    assert command.returncode == 3
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    "command",
    [
        ("template", "--out", "kept.csv"),
        ("template", "--out", "kept.json"),
        ("simulate", "--patients", "5", "--seed", "1", "--out", "kept.csv"),
        ("simulate", "--patients", "5", "--seed", "1", "--out", "x.csv", "--truth", "kept.csv"),
        ("check", "kept.csv", "--rejected", "kept.csv"),
        ("score", "kept.csv", "--model", "m", "--out", "kept.csv"),
    ],
)
def test_no_file_with_patients_is_written_over(here, command):
    for name in ("kept.csv", "kept.json"):
        Path(name).write_text("precious")
    answer = spinecast(*command)
    assert answer.code == 2
    assert "kept." in answer.err
    assert {Path(name).read_text() for name in ("kept.csv", "kept.json")} == {"precious"}
    assert not Path("x.csv").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("check", "cohort", "--rejected", "cohort/rejected.parquet"),
        ("train", "cohort", "--experiment", "none.toml", "--out", "cohort/model"),
        ("train", "cohort", "--experiment", "none.toml", "--out", "m", "--report", "cohort/r"),
        ("train", "cohort", "--experiment", "none.toml", "--out", "m", "--runs", "cohort/runs"),
        ("update", "cohort", "--model", "none", "--out", "cohort/model"),
        ("validate", "cohort", "--model", "none", "--out", "cohort"),
        ("check", "cohort.parquet", "--engine", "dask"),
        ("validate", "cohort.parquet", "--model", "demo", "--out", "x", "--scheduler", "tcp://x:1"),
    ],
)
def test_what_would_harm_a_cohort_or_say_nothing_is_refused(here, bundle_folder, command):
    spinecast("simulate", "--patients", "30", "--seed", "1", "--out", "cohort.parquet")
    Path("cohort").mkdir()
    shutil.copy("cohort.parquet", "cohort/a.parquet")
    answer = spinecast(*(str(bundle_folder) if word == "demo" else word for word in command))
    assert answer.code == 2
    told = "read at once" if "cohort.parquet" in command else "is read"
    assert told in answer.err
    assert [file.name for file in Path("cohort").iterdir()] == ["a.parquet"]


def test_scores_of_an_unknown_kind_are_refused_before_anything_is_read(here):
    answer = spinecast("score", "none.json", "--model", "none", "--out", "scores.pdf")
    assert answer.code == 2
    assert "allowed: .json, .csv, .parquet, .html, .htm, .txt" in answer.err


def test_a_lean_install_says_what_is_missing(here, monkeypatch):
    monkeypatch.setattr(
        catalogue, "listing", mock.Mock(side_effect=ModuleNotFoundError("no", name="matplotlib"))
    )
    answer = spinecast("factors")
    assert answer.code == 2
    assert "needs matplotlib, which a lean install leaves out" in answer.err


# --- the model in use -----------------------------------------------------------------------------

GATE = """
[evidence]
simulated = true
[sample_size]
patients = {patients}
[explanation_laws]
additivity = 1e-9
directions = true
"""


@pytest.fixture(scope="module")
def promoted(tiny_model, tiny_cohort, place):
    """The tiny model, promoted on patients it was not trained on, and told to MLflow."""
    later = place / "later.csv"
    pd.read_csv(tiny_cohort).iloc[:120].to_csv(later, index=False)
    (place / "gate.toml").write_text(GATE.format(patients=50))
    (place / "strict.toml").write_text(GATE.format(patients=5000))
    folders = ("--models", tiny_model.parent, "--runs", place / "runs")
    words = ("promote", tiny_model, "--cohort", later, "--by", "A. Surgeon", *folders)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strict = spinecast(*words, "--gate", place / "strict.toml", "--out", place / "no.json")
        answer = spinecast(*words, "--gate", place / "gate.toml", "--out", place / "yes.json")
    return strict, answer, folders


@pytest.mark.filterwarnings("ignore")
def test_a_gate_refuses_with_exit_code_4_and_by_how_much(promoted, place):
    strict, _, _ = promoted
    assert strict.code == ModelRefused.exit_code
    assert "It misses by 4,880" in strict.err
    assert "120 rows: 120 accepted, 0 rejected." in strict.err
    assert "FAILED" in strict.out
    told = json.loads((place / "no.json").read_text())
    assert told["promoted"] is False
    assert [bound["verdict"] for bound in told["evidence"]["bounds"]].count("failed") == 1


@pytest.mark.filterwarnings("ignore")
def test_a_promoted_model_answers_without_being_named(promoted, here, tiny_model):
    _, answer, folders = promoted
    assert answer.code == 0, answer.err
    assert "promoted tiny" in answer.out
    Path("one.json").write_text('{"pain": 7}')
    score = ("score", "one.json", "--format", "json")
    unnamed, named = spinecast(*score, *folders[:2]), spinecast(*score, "--model", tiny_model)
    assert json.loads(unnamed.out)["risk"] == json.loads(named.out)["risk"]
    assert "Model in use" in unnamed.err
    assert spinecast(*score, "--models", here).code == 2


@pytest.mark.filterwarnings("ignore")
def test_the_history_tells_and_verifies_also_against_mlflow(promoted, tiny_model):
    _, answer, folders = promoted
    told = spinecast("history", *folders)
    assert "A. Surgeon promoted tiny" in told.out
    assert "In use: tiny" in told.out
    whole = spinecast("history", "--verify", *folders)
    assert whole.code == 0, whole.err
    assert "MLflow's registry agrees, up to line 1" in whole.out
    head = whole.out.split()[-1]
    assert head in answer.out
    assert spinecast("history", "--verify", "--head", head, *folders).code == 0
    assert spinecast("history", "--verify", "--head", "0" * 64, *folders).code == 4
    kept = {name: (tiny_model.parent / name).read_bytes() for name in ("CURRENT", "HISTORY.jsonl")}
    for name in kept:
        (tiny_model.parent / name).unlink()
    cut = spinecast("history", "--verify", *folders)
    for name, content in kept.items():
        (tiny_model.parent / name).write_bytes(content)
    assert cut.code == 4
    assert "MLflow's registry, tiny: it was told of line 1" in cut.err


@pytest.mark.filterwarnings("ignore")
def test_mlflows_registry_says_which_version_is_in_use_since_when_by_whom(promoted, place):
    import mlflow

    from spinecast.runs.logbook import tracking_uri

    client = mlflow.MlflowClient(tracking_uri(place / "runs"), tracking_uri(place / "runs"))
    version = client.get_model_version_by_alias("tiny", "current")
    run = client.get_run(version.run_id)
    assert run.data.params["model_id"] == version.tags["model_id"]
    assert version.tags["by"] == "A. Surgeon"
    assert version.tags["at"].endswith("+00:00")
    assert "patients" in version.tags["evidence"]
    head = client.get_registered_model("tiny").tags["history_head"]
    assert head == f"1 {version.tags['history_hash']}"


@pytest.mark.filterwarnings("ignore")
def test_nothing_before_the_first_model_to_go_back_to(promoted):
    _, _, folders = promoted
    answer = spinecast("rollback", "--by", "B", "--reason", "worse", *folders)
    assert answer.code == 2
    assert "nothing to go back to" in answer.err


@pytest.mark.filterwarnings("ignore")
def test_a_training_keeps_how_much_was_not_known(tiny_model):
    told = json.loads((tiny_model / "training.json").read_text())["unknown"]
    assert list(told) == ["smoking", "pack_years", "pain", "diabetes", "lesion"]
    assert all(share is None or 0 <= share <= 1 for share in told.values())


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_no_run_is_in_use_without_a_version_and_a_rollback_returns_to_it(
    promoted, place, tmp_path
):
    """MLflow's alias never names a version that is not in use."""
    import mlflow

    from spinecast.runs.logbook import tracking_uri

    for name in ("models", "runs"):
        shutil.copytree(place / name, tmp_path / name)
    read = read_bundle(tmp_path / "models" / "tiny")
    explainer = read.explainer
    changed = replace(explainer.model, level=0.5)
    write_bundle(tmp_path / "models" / "next", changed, explainer.facts, None, read.training)
    folders = ("--models", tmp_path / "models", "--runs", tmp_path / "runs")
    uri = tracking_uri(tmp_path / "runs")
    client = mlflow.MlflowClient(uri, uri)
    evidence = client.get_model_version_by_alias("tiny", "current").tags["evidence"]
    answer = spinecast(
        *("promote", tmp_path / "models" / "next", "--gate", place / "gate.toml"),
        *("--cohort", place / "later.csv", "--by", "B. Boss", *folders),
    )
    assert answer.code == 0, answer.err
    assert "has no version of it" in answer.out
    assert client.get_registered_model("tiny").aliases == {}
    assert client.get_registered_model("tiny").tags["history_head"].startswith("2 ")
    back = spinecast("rollback", "--by", "C", "--reason", "too wide", *folders)
    assert back.code == 0, back.err
    version = client.get_model_version_by_alias("tiny", "current")
    assert int(version.version) == 1
    assert (version.tags["action"], version.tags["by"]) == ("rollback", "C")
    assert version.tags["evidence"] == evidence
    told = spinecast("history", "--verify", *folders)
    assert "3 lines" in told.out
    assert "up to line 3" in told.out
