"""A run in the logbook is whole or marked unfinished, and its model answers as the folder does."""

from __future__ import annotations

import ast
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from spinecast.cohorts.outcome import labels
from spinecast.errors import UsageRefused
from spinecast.explaining.batch import read_patients, write_scores
from spinecast.explaining.bundle import read_bundle, write_bundle
from spinecast.explaining.scoring import Scorer
from spinecast.fitting.recipe import (
    EvidenceRecipe,
    IntervalRecipe,
    Recipe,
    ResamplingRecipe,
    TreeRecipe,
)
from spinecast.knowledge.loading import load_registry
from spinecast.measures.metrics import MEASURES
from spinecast.simulator.synthetic import simulate

with warnings.catch_warnings():
    # shap calls something matplotlib will one day deprecate.
    warnings.simplefilter("ignore", PendingDeprecationWarning)
    from spinecast.cohorts.labelled import DataFacts
    from spinecast.fitting.training import train
    from spinecast.runs import logbook, run_files, tracking

# MLflow and what it stands on warn of their own affairs; ours are tested elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore")

DATA = DataFacts("cohort.csv", "ab" * 32, 400, 390, 10, 350)
RECIPE = Recipe(
    question="Does the logbook hold everything?",
    decision_rule="It does or it does not.",
    baselines=("published evidence", "ridge"),
    # A linear part that is held near nothing leaves the trees something to find.
    evidence=EvidenceRecipe(weights=(0.0,), scales=(0.05,)),
    resampling=ResamplingRecipe(outer_repeats=1, outer_folds=2, inner_folds=2),
    interval=IntervalRecipe(refits=5),
    trees=TreeRecipe(most_rounds=20, least_gain=0.0),
)


@pytest.fixture(scope="module")
def simulated(registry):
    return simulate(registry, 400, 3)


@pytest.fixture(scope="module")
def result(registry, simulated):
    cohort = simulated.cohort()
    judged = labels(registry, cohort.columns())
    # Small matrices on many threads take half a minute instead of a second.
    with threadpool_limits(1):
        return train(
            registry,
            cohort.codes,
            judged.failed,
            RECIPE,
            trained_on="simulated",
            outcome=judged.definition,
        )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("logbook") / "experiments"


@pytest.fixture(scope="module")
def folder(result, home):
    folder = home.parent / "models" / "first"
    training = {"outcome": result.outcome}
    write_bundle(folder, result.model, result.facts, result.booster, training)
    return folder


@pytest.fixture(scope="module")
def logged(result, folder, home):
    return tracking.record(result, folder, experiment_name="001-logbook", data=DATA, home=home)


@pytest.fixture(scope="module")
def explainer(folder):
    return read_bundle(folder).explainer


@pytest.fixture(scope="module")
def client(logged):
    import mlflow

    return mlflow.MlflowClient(logged.tracking_uri)


@pytest.fixture(scope="module")
def run(client, logged):
    return client.get_run(logged.run_id)


@pytest.fixture(scope="module")
def served(logged):
    import mlflow

    path = list(sys.path)
    mlflow.set_tracking_uri(logged.tracking_uri)
    yield mlflow.pyfunc.load_model(logged.model_uri)
    mlflow.set_tracking_uri(None)
    sys.path[:] = path


@pytest.fixture(scope="module")
def predictions(logged):
    """Imported once MLflow has been, which warns of its own affairs."""
    from spinecast.runs.served import predictions

    return predictions


@pytest.fixture(scope="module")
def patients(registry, simulated):
    return simulated.frame()[list(registry.names)]


def files_of(run):
    return Path(run.info.artifact_uri.removeprefix("file://"))


def status_of_runs(home):
    import mlflow

    client = mlflow.MlflowClient(tracking.tracking_uri(home))
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return [run.info.status for run in client.search_runs(ids)]


# --- what is kept of a training -------------------------------------------------------------------


def test_a_run_that_is_through_is_marked_finished(run):
    assert run.info.status == "FINISHED"


def test_everything_that_went_in_is_a_parameter(run, result, folder, registry):
    told = run.data.params
    assert told["evidence.weights"] == "0.0"
    assert told["trees.depth"] == "2"
    assert told["seed"] == "1"
    assert told["baselines"] == "published evidence, ridge"
    assert told["chosen.weight"] == "0"
    assert told["chosen.scale"] == "0.05"
    assert told["chosen.rounds"] == str(result.choices.rounds)
    assert told["patients"] == str(result.facts.patients)
    assert told["events"] == str(result.facts.events)
    assert told["outcome"] == result.outcome
    assert told["registry"] == registry.id
    assert told["data.sha256"] == DATA.sha256
    assert told["data.labelled"] == "350"
    assert told["model_id"] == json.loads((folder / "manifest.json").read_text())["id"]


@pytest.mark.parametrize("measure", [measure.name for measure in MEASURES])
@pytest.mark.parametrize("method", ["spinecast", "published evidence", "ridge"])
def test_every_measure_of_every_method_is_a_metric(run, result, method, measure):
    value = result.performance[method][measure].value
    name = f"{measure}.{method.replace(' ', '_')}"
    assert run.data.metrics.get(name, math.nan) == pytest.approx(value, nan_ok=True)
    if method == "spinecast" and not math.isnan(value):
        assert run.data.metrics[measure] == value


def test_a_run_on_simulated_patients_says_so(run):
    assert run.data.tags["trained_on"] == "simulated"
    assert run.data.tags["mlflow.note.content"].startswith("**Simulated patients.**")
    assert RECIPE.question in run.data.tags["mlflow.note.content"]
    for plot in ("calibration", "comparison"):
        drawn = (files_of(run) / "plots" / f"{plot}.svg").read_text()
        assert drawn.startswith("<svg")
        assert "Simulated patients" in drawn


def test_the_commit_is_the_one_the_code_was_run_from(run):
    known = tracking._commit()
    assert known.items() <= run.data.tags.items()
    assert len(known.get("mlflow.source.git.commit", "x" * 40)) == 40


def test_the_model_folder_is_kept_byte_for_byte(run, folder):
    for path in folder.rglob("*"):
        if path.is_file():
            kept = files_of(run) / "bundle" / path.relative_to(folder)
            assert kept.read_bytes() == path.read_bytes()


def test_performance_is_kept_as_strict_json(run, result):
    told = json.loads((files_of(run) / "performance.json").read_text())
    assert set(told["performance"]) == set(result.performance)
    assert told["comparison"]["reference"] == "spinecast"


def test_the_cohort_is_named_and_none_of_its_rows_are_kept(run, home, simulated):
    [taken] = run.inputs.dataset_inputs
    assert (taken.dataset.name, taken.dataset.digest) == ("cohort.csv", "ab" * 16)
    files = [path for path in home.rglob("*") if path.is_file() and "code" not in path.parts]
    kept = "".join(path.read_text("latin-1") for path in files)
    assert not [patient for patient in simulated.patient_id if patient in kept]


def test_the_model_behind_these_tests_has_trees(result):
    assert result.choices.rounds > 0


def test_nothing_is_pickled(logged, home):
    files = [path for path in (home / "artifacts").rglob("*") if path.is_file()]
    assert files
    assert not [p for p in files if p.suffix in (".pkl", ".pickle", ".joblib", ".cloudpickle")]
    # Protocol 2 and later begin with these bytes, whatever the file is called.
    assert not [p for p in files if p.read_bytes()[:1] == b"\x80"]
    assert [path for path in files if path.name == "served.py"]


def test_the_model_names_every_package_its_code_imports():
    asked = (
        "import sys, spinecast.runs.served; "
        "print(*(m for m in sys.modules if m[:9] == 'spinecast'))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )
    imported = set()
    for module in answer.stdout.split():
        path = run_files.PACKAGE.joinpath(*module.split(".")[1:])
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                imported |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"spinecast"}
    assert {"numpy", "scipy"} <= foreign
    assert foreign <= set(run_files.REQUIRED)


# --- the model ------------------------------------------------------------------------------------


def test_the_logged_model_answers_exactly_as_the_folder_does(
    served, explainer, patients, simulated
):
    answers = served.predict(patients)
    scores = explainer.score(np.array(simulated.codes))
    assert (answers["status"] == "scored").all()
    for name in ("risk", "low", "high"):
        np.testing.assert_array_equal(answers[name], getattr(scores, name))
    for at, factor in enumerate(patients.columns):
        np.testing.assert_array_equal(answers[f"log_odds_{factor}"], scores.log_odds[:, at])
        np.testing.assert_array_equal(answers[f"risk_points_{factor}"], scores.risk_points[:, at])


def test_contributions_add_up_to_the_risk(served, explainer, patients):
    answers = served.predict(patients)
    points = answers.filter(regex="^risk_points_").sum(axis=1)
    np.testing.assert_allclose(points, answers["risk"] - explainer.reference_risk, atol=1e-9)


def test_the_input_example_is_the_reference_patient(served, explainer):
    [risk] = served.predict(served.input_example)["risk"]
    assert risk == pytest.approx(explainer.reference_risk, abs=1e-12)


def test_every_answer_says_what_kind_of_patients_the_model_learnt_from(served, patients):
    assert set(served.predict(patients)["trained_on"]) == {"simulated"}


@pytest.mark.parametrize("wrong", [-1, 1e9, "x", math.inf])
def test_an_impossible_value_refuses_its_row_and_no_other(served, patients, wrong):
    table = patients.head(3).astype(object)
    whole = served.predict(table.drop(index=1))
    table.loc[1, "age"] = wrong
    answers = served.predict(table)
    assert answers["status"].tolist() == ["scored", "refused", "scored"]
    assert answers["reasons"][1].startswith("age: ")
    assert answers["reasons"][[0, 2]].tolist() == ["", ""]
    words = ["patient_id", "status", "reasons", "model", "trained_on"]
    assert answers.drop(columns=words).loc[1].isna().all()
    assert answers["risk"][[0, 2]].tolist() == whole["risk"].tolist()


@pytest.mark.parametrize("wrong", [[1, 2], {"a": 1}, (), np.array([1.0]), b"54", 10**400, object()])
def test_a_cell_of_an_impossible_kind_refuses_its_row_and_no_other(predictions, explainer, wrong):
    table = pd.DataFrame({"age": pd.Series([54, None, pd.NA, math.nan], dtype=object)})
    table.at[1, "age"] = wrong
    answers = predictions(explainer, table)
    assert answers["status"].tolist() == ["scored", "refused", "scored", "scored"]
    assert answers["unknown"][[2, 3]].nunique() == 1
    assert answers["risk"].isna().tolist() == [False, True, False, False]


def test_yes_and_one_in_the_same_column_are_read_each_as_it_was_typed(predictions, explainer):
    cells = [1, True, "1", "true", "yes", 1.0]
    answers = predictions(explainer, pd.DataFrame({"diabetes": pd.Series(cells, dtype=object)}))
    np.testing.assert_allclose(answers["risk"], answers["risk"][0], rtol=1e-12)
    cells = [1, True]
    answers = predictions(explainer, pd.DataFrame({"asa_class": pd.Series(cells, dtype=object)}))
    assert answers["status"].tolist() == ["scored", "refused"]


def test_refused_rows_have_null_numbers_in_json(predictions, explainer):
    [row] = predictions(explainer, pd.DataFrame({"age": ["x"]})).to_dict(orient="records")
    assert row["risk"] is None
    assert row["reasons"].startswith("age: ")
    assert row["trained_on"] == "simulated"


def test_several_faults_of_a_row_are_all_named(served):
    answers = served.predict(pd.DataFrame({"age": [-5], "smoking_status": ["chimney"]}))
    assert re.findall(r"(?:^|; )(age|smoking_status): ", answers["reasons"][0]) == [
        "age",
        "smoking_status",
    ]


def test_a_patient_out_of_scope_is_refused(served, registry):
    exclusion = registry.exclusions[0].name
    answers = served.predict(pd.DataFrame({exclusion: ["yes", "no", None]}))
    assert answers["status"].tolist() == ["refused", "scored", "scored"]


def test_nothing_known_is_scored_and_named(served, registry):
    answers = served.predict(pd.DataFrame({"age": [None, math.nan, "unknown", 60]}))
    names = list(registry.names)
    assert [told.split("; ") for told in answers["unknown"][:3]] == [names] * 3
    assert answers["unknown"][3].split("; ") == [name for name in names if name != "age"]
    assert answers["risk"][:3].nunique() == 1


def test_whole_numbers_and_yes_no_may_come_in_their_own_types(served):
    typed = pd.DataFrame({"age": [54, 60], "diabetes": [True, False], "asa_class": [2, 3]})
    words = pd.DataFrame({"age": ["54", "60"], "diabetes": ["yes", "no"], "asa_class": ["2", "3"]})
    pd.testing.assert_frame_equal(served.predict(typed), served.predict(words))


def test_no_patient_at_all_is_answered_with_an_empty_table(served):
    assert len(served.predict(pd.DataFrame({"age": []}))) == 0


def test_a_table_is_answered_with_the_columns_of_a_scored_file(served, folder, patients, tmp_path):
    table = patients.head(40).assign(patient_id=[f"P{number}" for number in range(40)])
    table = table.astype(object).where(table.notna(), None)
    table.loc[7, "age"] = 400
    table.to_parquet(tmp_path / "patients.parquet")
    read = read_patients(Scorer.load(folder), tmp_path / "patients.parquet")
    write_scores(read, tmp_path / "scores.parquet")
    answers = served.predict(table).drop(columns="trained_on")
    pd.testing.assert_frame_equal(answers, pd.read_parquet(tmp_path / "scores.parquet"))


def test_the_order_and_index_of_the_rows_stay(served, patients):
    table = patients.head(5).set_axis(list("edcba"))
    assert served.predict(table).index.tolist() == list("edcba")


def test_the_server_answers_as_the_folder_does(logged, explainer, patients, simulated, tmp_path):
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    except OSError:
        pytest.skip("no port can be bound here")
    rows = patients.head(4).astype(object).where(patients.head(4).notna(), None)
    records = rows.to_dict(orient="records")
    records[3]["age"] = "x"
    with Server(logged, port, tmp_path) as server:
        answers = server.ask({"dataframe_records": records})
    assert [answer["status"] for answer in answers] == ["scored"] * 3 + ["refused"]
    scores = explainer.score(np.array(simulated.codes[:3]))
    assert [answer["risk"] for answer in answers] == [*scores.risk.tolist(), None]
    assert [answer["high"] for answer in answers[:3]] == scores.high.tolist()
    assert [answer["risk_points_age"] for answer in answers[:3]] == scores.risk_points[
        :, patients.columns.get_loc("age")
    ].tolist()


class Server:
    """`mlflow models serve` for as long as the block lasts."""

    def __init__(self, logged, port, folder):
        # Away from the source: what is served must stand on the logged code alone.
        self.folder, self.url = folder, f"http://127.0.0.1:{port}/invocations"
        mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "-m", logged.model_uri]
        self.command = [*mlflow, "--port", str(port), "--env-manager", "local"]
        self.env = {
            **os.environ,
            **logbook.ENVIRONMENT,
            "MLFLOW_TRACKING_URI": logged.tracking_uri,
            # MLflow starts `uvicorn` by its name.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        self.log = folder / "server.log"

    def __enter__(self):
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)

    def ask(self, body):
        """The predictions, as strict JSON; asked again until the server is there."""
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        for _ in range(160):
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return json.loads(answer.read(), parse_constant=pytest.fail)["predictions"]
            except urllib.error.HTTPError as refused:
                pytest.fail(refused.read().decode())
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.25)
        return pytest.fail("the server did not answer")


# --- the smallest runs ----------------------------------------------------------------------------


@pytest.fixture
def smallest(tmp_path):
    """A handful of patients, no trees, no baselines, no refits, and no folder for runs yet."""
    tiny = load_registry(Path(__file__).parent / "tiny_registry")
    cohort = simulate(tiny, 60, 1)
    outcome = np.where(np.arange(60) < 12, 1.0, 0.0)
    recipe = RECIPE.model_copy(
        update={
            "baselines": (),
            "trees": TreeRecipe(most_rounds=0),
            "interval": IntervalRecipe(refits=0),
        }
    )
    name = tiny.outcome.default
    result = train(tiny, cohort.codes, outcome, recipe, trained_on="patients", outcome=name)
    folder = tmp_path / "model"
    write_bundle(folder, result.model, result.facts, result.booster, {"outcome": name})
    return result, folder


def test_a_run_without_trees_or_baselines_is_kept_like_any_other(smallest, tmp_path):
    import mlflow

    result, folder = smallest
    assert result.booster is None
    home = tmp_path / "not" / "there"
    logged = tracking.record(result, folder, experiment_name="x", data=DATA, home=home)
    run = mlflow.MlflowClient(logged.tracking_uri).get_run(logged.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["baselines"] == ""
    assert not [name for name, value in run.data.metrics.items() if not math.isfinite(value)]
    assert "mlflow.note.content" in run.data.tags
    for plot in ("calibration", "comparison"):
        assert (files_of(run) / "plots" / f"{plot}.svg").read_text().startswith("<svg")


# --- when something goes wrong --------------------------------------------------------------------


def test_setting_up_twice_keeps_what_is_there(logged, home):
    before = (home / "mlflow.db").read_bytes()
    tracking.set_up(home)
    assert (home / "mlflow.db").read_bytes() == before
    assert sorted(path.name for path in home.iterdir()) == ["artifacts", "mlflow.db"]


def test_a_run_that_fails_is_marked_failed(result, folder, logged, home, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(run_files, "log_files", fail)
    with pytest.raises(UsageRefused, match="disk full"):
        tracking.record(result, folder, experiment_name="002-failing", data=DATA, home=home)
    assert status_of_runs(home).count("FAILED") == 1


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageRefused, match="file"):
        tracking.set_up(tmp_path / "file" / "experiments")


def test_mlflow_is_left_pointing_where_it_was(result, folder, home, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(run_files, "log_files", lambda *_: None)
    monkeypatch.setattr(run_files, "log_model", lambda *_: pytest.fail("far enough"))
    with pytest.raises(pytest.fail.Exception):
        tracking.record(result, folder, experiment_name="002-failing", data=DATA, home=home)
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_folder_that_was_moved_is_written_to_where_it_is(result, folder, logged, home, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(home, moved)
    again = tracking.record(result, folder, experiment_name="001-logbook", data=DATA, home=moved)
    import mlflow

    files = mlflow.MlflowClient(again.tracking_uri).get_run(again.run_id).info.artifact_uri
    assert files.startswith(moved.as_uri())


@pytest.mark.usefixtures("logged")
def test_a_database_of_another_mlflow_is_refused_with_what_to_do(result, folder, home, tmp_path):
    import sqlite3

    older = tmp_path / "older"
    older.mkdir()
    shutil.copy(home / "mlflow.db", older)
    with sqlite3.connect(older / "mlflow.db") as database:
        database.execute("update alembic_version set version_num = '451aebb31d03'")
    database.close()
    with pytest.raises(UsageRefused, match="mlflow db upgrade"):
        tracking.record(result, folder, experiment_name="001-logbook", data=DATA, home=older)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from threadpoolctl import threadpool_limits
from spinecast.runs import run_files, tracking
from spinecast.explaining.bundle import write_bundle
from spinecast.knowledge.loading import load_registry
from spinecast.simulator.synthetic import simulate
from spinecast.fitting.training import train
from test_tracking import DATA, RECIPE

home = Path({home!r}) / "a folder"
tiny = load_registry(Path({tests!r}) / "tiny_registry")
cohort, name = simulate(tiny, 300, 1), tiny.outcome.default
with threadpool_limits(1):
    result = train(tiny, cohort.codes, cohort.outcome, RECIPE, trained_on="patients", outcome=name)
write_bundle(home / "model", result.model, result.facts, result.booster, {{"outcome": name}})
print("-----", flush=True)
print("-----", file=sys.stderr, flush=True)
os.environ["PATH"] = ""
tracking.record(result, home / "model", experiment_name="tiny", data=DATA, home=home)
from mlflow.telemetry.client import get_telemetry_client
assert get_telemetry_client() is None
run_files.log_model = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
tracking.record(result, home / "model", experiment_name="tiny", data=DATA, home=home)
"""


def test_a_kill_leaves_a_run_marked_unfinished_and_nothing_is_said_on_the_terminal(tmp_path):
    script = KILLED.format(tests=str(Path(__file__).parent), home=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.partition("-----")[2].strip() == ""
    assert done.stderr.partition("-----")[2].strip() == ""
    assert sorted(status_of_runs(tmp_path / "a folder")) == ["FINISHED", "RUNNING"]
