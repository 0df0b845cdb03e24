"""A cohort scored part by part: the same scores however it is cut, and nothing done twice."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import shutil
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from ending import scheduler, started, wait_for, worker
from spinecast.cli import main
from spinecast.cluster import cluster
from spinecast.errors import DataRefused, SpinecastError, UsageRefused
from spinecast.explaining import journal
from spinecast.explaining.batch import read_patients, write_scores
from spinecast.explaining.columns import SCHEMA
from spinecast.explaining.folder import score_parts
from spinecast.patients.answers import as_text
from spinecast.patients.part_files import parts_of
from spinecast.sharing import workers

COUNT = 600
# Rows of the cohort that cannot be scored: an age, a word, and a patient who stands twice.
SPOILT = {3: {"age": "400"}, 250: {"smoking_status": "sometimes"}, 555: {"patient_id": "P20"}}


@pytest.fixture(scope="module")
def patients(registry, candidates) -> pd.DataFrame:
    """A cohort as text; every third has a factor of its own kind unknown."""
    columns = {
        factor.name: [
            "" if np.isnan(code) else as_text(factor.value_of(code))
            for code in candidates[:COUNT, at].tolist()
        ]
        for at, factor in enumerate(registry.factors)
    }
    told = pd.DataFrame({"patient_id": [f"P{n}" for n in range(COUNT)]} | columns, dtype="str")
    for row, answers in SPOILT.items():
        for name, answer in answers.items():
            told.loc[row, name] = answer
    return told


def put(patients, where, sizes, group=100):
    """The cohort in files of so many rows."""
    where.mkdir(parents=True)
    start = 0
    for at, size in enumerate(sizes):
        table = pa.Table.from_pandas(patients.iloc[start : start + size], preserve_index=False)
        parquet.write_table(table, where / f"{'abcdefgh'[at]}.parquet", row_group_size=group)
        start += size
    return where


def read(out) -> pd.DataFrame:
    """All scores of a folder, in the order of its files and rows."""
    files = sorted((out / "scores").iterdir())
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


def numbers(scores) -> np.ndarray:
    return scores.select_dtypes("float64").to_numpy()


def noted(out):
    """The names of the pieces in the journal, in the order in which they were finished."""
    lines = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    return [line["piece"]["name"] for line in lines if "piece" in line]


@pytest.fixture(scope="module")
def cohort(patients, tmp_path_factory):
    return put(patients, tmp_path_factory.mktemp("cohort") / "in", [100] * 6)


@pytest.fixture(scope="module")
def undisturbed(scorer, cohort, tmp_path_factory):
    """The same cohort scored at once, without any trouble."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    score_parts(scorer, parts_of(cohort), out)
    return out


# --- laws ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "group", "part", "at_once"),
    [
        ([600], 600, 600, 600),
        ([600], 50, 150, 70),
        ([1, 399, 200], 100, 200, 99),
        ([300, 300], 50, 150, 40),
    ],
)
def test_scores_are_the_same_however_the_cohort_is_cut(
    scorer, patients, undisturbed, tmp_path, sizes, group, part, at_once
):
    source = put(patients, tmp_path / "in", sizes, group)
    found = score_parts(scorer, parts_of(source, part), tmp_path / "out", rows_at_once=at_once)
    assert (found.rows, found.refused, found.damaged) == (COUNT, len(SPOILT), ())
    here, there = read(tmp_path / "out"), read(undisturbed)
    assert here["patient_id"].tolist() == there["patient_id"].tolist()
    for name in ("status", "unknown", "cautions", "model"):
        pd.testing.assert_series_equal(here[name], there[name])
    np.testing.assert_allclose(numbers(here), numbers(there), rtol=0, atol=1e-12)


def test_a_folder_holds_the_scores_of_the_file(scorer, patients, undisturbed, tmp_path):
    file = tmp_path / "patients.parquet"
    patients.to_parquet(file)
    write_scores(read_patients(scorer, file), tmp_path / "scores.parquet")
    one = pd.read_parquet(tmp_path / "scores.parquet")
    many = read(undisturbed)
    assert [name for name in many if name not in ("file", "row")] == list(one)
    assert one["status"].tolist() == many["status"].tolist()
    np.testing.assert_allclose(numbers(many), numbers(one), rtol=0, atol=1e-12)


@pytest.mark.parametrize("zeros", [False, True])
def test_what_a_number_means_hangs_on_the_cohort_and_not_on_the_cut(
    scorer, patients, tmp_path, zeros
):
    """Ones in one file and twos in the next: read as in one file, where they are no answers."""
    some = patients.iloc[5:105].assign(diabetes=["1"] * 50 + ["2"] * 50)
    if zeros:
        some.iloc[99, some.columns.get_loc("diabetes")] = "0"
    some.to_parquet(tmp_path / "one.parquet")
    told = read_patients(scorer, tmp_path / "one.parquet")
    out = tmp_path / "out"
    found = score_parts(scorer, parts_of(put(some, tmp_path / "in", [50, 50])), out)
    assert found.refused == told.refused == (49 if zeros else 100)
    assert (read(out)["status"] == "scored").tolist() == told.accepted.tolist()


def test_a_piece_is_scored_again_when_a_later_file_says_what_its_numbers_mean(
    scorer, patients, tmp_path
):
    ones, twos = (patients.iloc[5:15].assign(diabetes=n) for n in "12")
    source, out = put(ones, tmp_path / "in", [10]), tmp_path / "out"
    assert score(scorer, source, out)[0].refused == 0
    more = put(twos.assign(patient_id=[f"Q{n}" for n in range(10)]), tmp_path / "more", [10])
    shutil.copy(more / "a.parquet", source / "b.parquet")
    found, worked = score(scorer, source, out)
    assert (found.refused, worked) == (20, ["a.parquet", "b.parquet"])


def test_several_processes_write_the_same_bytes(scorer, cohort, undisturbed, tmp_path):
    with workers(2) as share:
        score_parts(scorer, parts_of(cohort), tmp_path / "out", share=share)
    for file in sorted((undisturbed / "scores").iterdir()):
        assert (tmp_path / "out/scores" / file.name).read_bytes() == file.read_bytes()
    assert noted(tmp_path / "out") == noted(undisturbed)


def test_every_row_says_where_it_comes_from(undisturbed, cohort):
    for file in cohort.iterdir():
        scores = pd.read_parquet(undisturbed / "scores" / file.name)
        assert set(scores["file"]) == {file.name}
        assert scores["row"].tolist() == list(range(2, 102))
        assert scores["patient_id"].tolist() == pd.read_parquet(file)["patient_id"].tolist()


# --- what is in a piece ----------------------------------------------------------------------


def test_columns_are_typed_and_the_schema_has_a_version(scorer, undisturbed):
    schema = parquet.read_schema(undisturbed / "scores/a.parquet")
    assert schema.metadata[b"spinecast.schema"] == SCHEMA.encode()
    assert schema.metadata[b"spinecast.model"] == scorer.explainer.identity.id.encode()
    words = {"patient_id", "file", "status", "reasons", "unknown", "cautions", "model"}
    for column in schema:
        kind = pa.string() if column.name in words else pa.float64()
        assert column.type == (pa.int64() if column.name == "row" else kind)
    metadata = parquet.read_metadata(undisturbed / "scores/a.parquet").row_group(0)
    encoded = {
        metadata.column(at).path_in_schema: metadata.column(at).encodings
        for at in range(metadata.num_columns)
    }
    assert all("RLE_DICTIONARY" in encoded[name] for name in ("status", "cautions", "model"))


def test_a_refused_row_stands_in_place_and_in_a_file_of_its_own(undisturbed):
    scores = read(undisturbed)
    refused = scores.index[scores["status"] == "refused"].tolist()
    assert refused == sorted(SPOILT)
    assert scores.loc[refused, "risk"].isna().all()
    assert scores.drop(refused)[["risk", "low", "high"]].notna().all(axis=None)
    names = sorted(file.name for file in (undisturbed / "rejected").iterdir())
    assert names == ["a.parquet", "c.parquet", "f.parquet"]
    told = pd.read_parquet(undisturbed / "rejected/f.parquet")
    assert list(told) == ["file", "row", "column", "rule", "given", "allowed", "remedy"]
    assert told.loc[0, ["file", "row", "rule"]].tolist() == ["f.parquet", 57, "duplicate_patient"]
    assert "row 22 of a.parquet" in told.loc[0, "allowed"]


def test_without_intervals_everything_else_is_the_same(scorer, cohort, undisturbed, tmp_path):
    score_parts(scorer, parts_of(cohort), tmp_path / "out", intervals=False)
    there = read(undisturbed).drop(columns=["low", "high"])
    pd.testing.assert_frame_equal(read(tmp_path / "out"), there)


def test_a_part_of_refused_rows_only_has_the_columns_of_the_others(scorer, patients, tmp_path):
    wrong = patients.head(5).assign(age="400")
    source = put(pd.concat([patients.iloc[10:15], wrong]), tmp_path / "in", [5, 5])
    found = score_parts(scorer, parts_of(source), tmp_path / "out")
    assert (found.rows, found.refused) == (10, 5)
    schemas = [parquet.read_schema(file) for file in (tmp_path / "out/scores").iterdir()]
    assert schemas[0].equals(schemas[1])


# --- going on where it stopped ---------------------------------------------------------------


def counted(calls, work, tasks):
    """This process does everything, and it is noted which parts."""
    for task in tasks:
        calls.append(getattr(task, "name", None))
        yield work(task)


def score(scorer, cohort, out, **more):
    """Score, and tell which pieces were worked on."""
    calls = []
    found = score_parts(scorer, parts_of(cohort), out, share=partial(counted, calls), **more)
    return found, [name for name in calls if name]


def test_what_is_finished_is_not_scored_twice(scorer, cohort, undisturbed, tmp_path):
    out = shutil.copytree(undisturbed, tmp_path / "out")
    found, worked = score(scorer, cohort, out)
    assert (found.kept, found.pieces, worked) == (6, 6, [])
    assert (found.rows, found.refused) == (COUNT, len(SPOILT))


@pytest.mark.parametrize("harm", ["alter", "remove", "reject"])
def test_a_piece_that_was_altered_is_scored_again_and_that_is_said(
    scorer, cohort, undisturbed, tmp_path, harm
):
    out = shutil.copytree(undisturbed, tmp_path / "out")
    piece = out / "scores/c.parquet"
    if harm == "alter":
        piece.write_bytes(piece.read_bytes()[:-1] + b"x")
    elif harm == "remove":
        piece.unlink()
    else:
        (out / "rejected/c.parquet").write_bytes(b"")
    found, worked = score(scorer, cohort, out)
    assert found.again == ("c.parquet",)
    assert worked == ["c.parquet"]
    pd.testing.assert_frame_equal(read(out), read(undisturbed))
    assert score(scorer, cohort, out)[1] == []


def test_half_a_line_of_the_journal_counts_as_none(scorer, cohort, undisturbed, tmp_path):
    out = shutil.copytree(undisturbed, tmp_path / "out")
    told = (out / "journal.jsonl").read_bytes()
    (out / "journal.jsonl").write_bytes(told[:-20])
    assert score(scorer, cohort, out)[1] == ["f.parquet"]
    assert (out / "journal.jsonl").read_bytes() == told


def test_a_file_that_came_later_is_scored_and_the_others_are_not(scorer, patients, tmp_path):
    source, out = put(patients.head(200), tmp_path / "in", [100, 100]), tmp_path / "out"
    score(scorer, source, out)
    shutil.copy(
        put(patients.iloc[300:400], tmp_path / "more", [100]) / "a.parquet", source / "x.parquet"
    )
    assert score(scorer, source, out)[1] == ["x.parquet"]


def test_a_piece_whose_repeats_are_others_now_is_scored_again(scorer, patients, tmp_path):
    source, out = put(patients.iloc[5:205], tmp_path / "in", [100, 100]), tmp_path / "out"
    score(scorer, source, out)
    # The new file comes first, and has a patient of the last.
    new = put(patients.iloc[110:111], tmp_path / "more", [1]) / "a.parquet"
    shutil.copy(new, source / "0.parquet")
    found, worked = score(scorer, source, out)
    assert worked == ["0.parquet", "b.parquet"]
    assert found.refused == 1


SLOW = """
import sys, time
from pathlib import Path
from spinecast.explaining import folder
from spinecast.explaining.folder import score_parts
from spinecast.patients.part_files import parts_of
from spinecast.sharing import workers

def slowly(job, task):
    time.sleep(0.1)
    return score(job, task)

score, folder.score_part = folder.score_part, slowly
if __name__ == "__main__":
    model, source, out = map(Path, sys.argv[1:4])
    with workers(int(sys.argv[4])) as share:
        score_parts(model, parts_of(source), out, share=share)
"""


@pytest.fixture
def begun(bundle_folder, cohort, tmp_path):
    """A run in a process of its own that has finished some pieces and not all."""
    program = tmp_path / "slow.py"
    program.write_text(SLOW)
    out = tmp_path / "out"
    with started(program, bundle_folder, cohort, out, 1) as run:
        wait_for(lambda: (out / "journal.jsonl").exists() and noted(out))
        assert run.poll() is None
        yield run, out


def test_a_killed_run_goes_on_where_it_stopped(scorer, cohort, undisturbed, begun):
    run, out = begun
    run.send_signal(signal.SIGKILL)
    run.wait()
    before = noted(out)
    assert 0 < len(before) < 6
    found, worked = score(scorer, cohort, out)
    assert found.again == ()
    assert before + worked == noted(out) == noted(undisturbed)
    for file in (undisturbed / "scores").iterdir():
        assert (out / "scores" / file.name).read_bytes() == file.read_bytes()
    assert not [file for file in out.rglob(".*") if file.name != ".lock"]


def test_two_runs_do_not_write_to_one_folder(scorer, cohort, begun):
    _, out = begun
    with pytest.raises(UsageRefused, match="another run is writing to it"):
        score(scorer, cohort, out)


def test_processes_end_when_who_started_them_is_killed(bundle_folder, cohort, tmp_path):
    program = tmp_path / "slow.py"
    program.write_text(SLOW.replace("0.1", "0.5"))
    out = tmp_path / "out"
    with started(program, bundle_folder, cohort, out, 2) as run:
        wait_for(lambda: (out / "journal.jsonl").exists() and noted(out))
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        assert len(children) >= 2
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))


# --- what is refused -------------------------------------------------------------------------


def test_scores_of_another_model_are_not_mixed(scorer, cohort, undisturbed, tmp_path):
    out = shutil.copytree(undisturbed, tmp_path / "out")
    told = (out / "journal.jsonl").read_text()
    mine = scorer.explainer.identity.id
    (out / "journal.jsonl").write_text(told.replace(mine, "another-model"))
    with pytest.raises(UsageRefused, match=f"another-model; now it is {mine}.*--replace"):
        score(scorer, cohort, out)
    found, worked = score(scorer, cohort, out, replace=True)
    assert (found.kept, len(worked)) == (0, 6)


def test_other_patients_under_the_same_name_are_refused(scorer, patients, tmp_path):
    source, out = put(patients, tmp_path / "in", [300, 300]), tmp_path / "out"
    score(scorer, source, out)
    os.utime(source / "a.parquet")  # only the time: still the same file
    assert score(scorer, source, out)[1] == []
    shutil.copy(source / "b.parquet", source / "a.parquet")
    with pytest.raises(UsageRefused, match=r"a\.parquet: it is not the file that was scored"):
        score(scorer, source, out)
    (source / "a.parquet").unlink()
    with pytest.raises(UsageRefused, match=r"a\.parquet: it was scored before and is not there"):
        score(scorer, source, out)


@pytest.mark.parametrize("harm", ["changed", "taken away"])
def test_patients_who_are_changed_while_they_are_scored_are_said(scorer, patients, tmp_path, harm):
    source = put(patients.iloc[5:205], tmp_path / "in", [100, 100])

    def disturb(stage, done, total):
        if (stage, done) == ("rows scored", 200):
            (source / "a.parquet").unlink()
            if harm == "changed":
                patients.iloc[205:305].to_parquet(source / "a.parquet")

    with pytest.raises(DataRefused, match=r"a\.parquet: it was changed or taken away"):
        score_parts(scorer, parts_of(source), tmp_path / "out", progress=disturb)
    with pytest.raises(UsageRefused, match=r"a\.parquet"):
        score_parts(scorer, parts_of(source), tmp_path / "out")


def test_a_folder_with_other_files_is_left_alone(scorer, cohort, tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    for replace in (False, True):
        with pytest.raises(UsageRefused, match=r"holds letters\.txt"):
            score(scorer, cohort, tmp_path, replace=replace)
    assert [file.name for file in tmp_path.iterdir()] == ["letters.txt"]


def test_an_altered_journal_is_refused(scorer, cohort, undisturbed, tmp_path):
    out = shutil.copytree(undisturbed, tmp_path / "out")
    told = (out / "journal.jsonl").read_text().splitlines()
    (out / "journal.jsonl").write_text("\n".join([*told[:2], "{nothing", *told[2:]]) + "\n")
    with pytest.raises(UsageRefused, match="line 3: it was altered"):
        score(scorer, cohort, out)


def harm(file, where, group=0):
    """Spoil the end of a file, or the ids or the last factor of one of its row groups."""
    content = bytearray(file.read_bytes())
    columns = parquet.read_metadata(file).row_group(group)
    column = columns.column(0 if where == "ids" else columns.num_columns - 1)
    start = column.dictionary_page_offset or column.data_page_offset
    if where == "footer":
        content[-20:] = b"x" * 20
    else:
        content[start : start + column.total_compressed_size] = b"x" * column.total_compressed_size
    file.write_bytes(content)


@pytest.mark.parametrize("where", ["footer", "ids", "factors"])
def test_a_damaged_file_stops_no_other_and_once_written_again_it_alone_is_scored(
    scorer, patients, tmp_path, where
):
    source, out = put(patients, tmp_path / "in", [200, 200, 200], group=200), tmp_path / "out"
    whole = (source / "b.parquet").read_bytes()
    harm(source / "b.parquet", where)
    for _ in range(2):
        found = score_parts(scorer, parts_of(source, without_damaged=True), out)
        assert [problem.where for problem in found.damaged] == ["b.parquet"]
        assert noted(out) == ["a.parquet", "c.parquet"]
        assert sorted(file.name for file in (out / "scores").iterdir()) == noted(out)
    (source / "b.parquet").write_bytes(whole)
    found, worked = score(scorer, source, out)
    assert (found.rows, found.damaged, found.again, found.kept) == (COUNT, (), (), 2)
    assert worked == ["b.parquet"]
    assert score(scorer, source, out)[1] == []


def test_a_file_of_which_one_part_was_damaged_is_scored_anew_once_it_is_written_again(
    scorer, patients, tmp_path
):
    """Also where its parts are others now: nothing is left of the pieces of before."""
    source, out = put(patients.head(300), tmp_path / "in", [200, 100]), tmp_path / "out"
    harm(source / "a.parquet", "factors", group=1)
    found = score_parts(scorer, parts_of(source, 100, without_damaged=True), out)
    assert [problem.where for problem in found.damaged] == ["a.parquet"]
    assert noted(out) == ["a-row-0000000002.parquet", "b.parquet"]
    (source / "a.parquet").write_bytes(b"nothing")  # written again, and cut short
    found = score_parts(scorer, parts_of(source, without_damaged=True), out)
    assert (found.kept, [problem.where for problem in found.damaged]) == (1, ["a.parquet"])
    patients.head(200).to_parquet(source / "a.parquet")
    found, worked = score(scorer, source, out)
    assert (found.rows, found.again, found.kept, worked) == (300, (), 1, ["a.parquet"])
    assert read(out)["patient_id"].tolist() == patients.head(300)["patient_id"].tolist()
    assert score(scorer, source, out)[1] == []


def test_a_scored_file_that_is_damaged_later_stops_no_other(scorer, patients, tmp_path):
    source, out = put(patients.head(200), tmp_path / "in", [100, 100]), tmp_path / "out"
    score(scorer, source, out)
    whole = (source / "b.parquet").read_bytes()
    harm(source / "b.parquet", "footer")
    patients.iloc[300:350].to_parquet(source / "c.parquet")
    found = score_parts(scorer, parts_of(source, without_damaged=True), out)
    assert [problem.where for problem in found.damaged] == ["b.parquet"]
    assert (found.kept, found.pieces) == (1, 2)
    assert noted(out) == ["a.parquet", "b.parquet", "c.parquet"]
    (source / "b.parquet").write_bytes(whole)  # put back as it was
    assert score(scorer, source, out)[1] == []


def test_a_file_that_was_never_scored_may_change_or_go(scorer, patients, tmp_path):
    source, out = put(patients, tmp_path / "in", [200, 200, 200], group=200), tmp_path / "out"
    for name in ("b", "c"):
        harm(source / f"{name}.parquet", "factors")
    score_parts(scorer, parts_of(source, without_damaged=True), out)
    (source / "b.parquet").unlink()
    patients.iloc[5:15].to_parquet(source / "c.parquet")
    found, worked = score(scorer, source, out)
    assert worked == ["c.parquet"]
    assert (found.pieces, found.refused) == (2, 11)  # ten stand in the first file too


def test_a_touched_file_is_the_same_file(scorer, cohort, undisturbed, patients, tmp_path):
    source, out = shutil.copytree(cohort, tmp_path / "in"), tmp_path / "out"
    score(scorer, source, out)
    for _ in range(2):
        os.utime(source / "b.parquet")
        assert score(scorer, source, out)[1] == []


@pytest.mark.parametrize(
    "refused", ["filelock.FileLock.acquire", "pathlib.Path.mkdir", "pathlib.Path.unlink"]
)
def test_a_folder_that_is_not_writable_is_wrong_use_and_said_so(
    scorer, cohort, undisturbed, tmp_path, monkeypatch, refused
):
    out = shutil.copytree(undisturbed, tmp_path / "out")
    (out / "scores" / ".a.parquet.1.tmp").write_text("half")

    def not_allowed(path, *_, exist_ok=False, **__):
        if path == out:  # it is there
            return
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(refused, not_allowed)
        with pytest.raises(UsageRefused, match=r"permission denied; a folder that can be written"):
            score(scorer, cohort, out)
    assert score(scorer, cohort, out)[1] == []  # nobody holds it


@settings(max_examples=40)
@given(st.binary(max_size=40).map(lambda told: told.replace(b"x", b"\n")), st.integers(1, 9))
def test_only_what_follows_the_last_whole_line_is_cut_off(content, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "BLOCK", block)
        file = io.BytesIO(content)
        journal._end_line(file)
    assert file.getvalue() == content[: content.rfind(b"\n") + 1]


def test_a_line_is_added_without_reading_those_before(undisturbed, tmp_path, monkeypatch):
    class Counted(io.BytesIO):
        read_so_far = 0

        def read(self, size=-1):
            told = super().read(size)
            self.read_so_far += len(told)
            return told

    file = Counted((undisturbed / "journal.jsonl").read_bytes())
    journal._end_line(file)
    assert file.read_so_far == 1


def test_repeated_rows_are_looked_up_where_a_part_is_scored_and_not_sent_to_it(
    scorer, patients, tmp_path
):
    """A file that stands there twice repeats every patient; a task is as small as any other."""
    source, out = put(patients.head(200), tmp_path / "in", [200]), tmp_path / "out"
    shutil.copy(source / "a.parquet", source / "b.parquet")
    sizes = []

    def seen(work, tasks):
        sizes.extend(len(pickle.dumps(task)) for task in tasks if hasattr(task, "name"))
        return map(work, tasks)

    found = score_parts(scorer, parts_of(source), out, share=seen, rows_at_once=30)
    assert found.refused == 200 + 1
    assert max(sizes) < min(sizes) + 50 < 2_000
    told = pd.read_parquet(out / "rejected/b.parquet")
    repeated = told[told["rule"] == "duplicate_patient"]
    assert repeated["row"].tolist() == list(range(2, 202))
    assert repeated["allowed"].iloc[-1].endswith("stands in row 201 of a.parquet")
    assert parquet.read_metadata(out / "rejected/b.parquet").num_row_groups == 7  # as they came
    assert not list(out.glob(".scratch-*"))
    assert score(scorer, source, out)[1] == []


def test_a_full_disk_leaves_what_is_finished(scorer, cohort, undisturbed, tmp_path):
    """Nothing larger than two thirds of a piece can be written, as when a disk fills up."""
    out = shutil.copytree(undisturbed, tmp_path / "out")
    for name in ("d.parquet", "e.parquet"):
        (out / "scores" / name).unlink()
    size = (undisturbed / "scores/d.parquet").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * size // 3, limits[1]))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(UsageRefused, match="have room"):
            score(scorer, cohort, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    names = sorted(file.name for file in (out / "scores").iterdir())
    assert names == ["a.parquet", "b.parquet", "c.parquet", "f.parquet"]
    assert score(scorer, cohort, out)[1] == ["d.parquet", "e.parquet"]
    pd.testing.assert_frame_equal(read(out), read(undisturbed))


def test_a_table_without_ids_is_refused_before_anything_is_written(scorer, patients, tmp_path):
    source = put(patients.drop(columns="patient_id"), tmp_path / "in", [600])
    with pytest.raises(DataRefused, match="patient_id"):
        score(scorer, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- many machines ---------------------------------------------------------------------------


def test_a_cluster_that_loses_workers_scores_the_same(
    scorer, cohort, undisturbed, losing, tmp_path
):
    share = losing(0, 1)
    found = score_parts(scorer, parts_of(cohort), tmp_path / "out", share=share)
    assert share.ended() == 2
    assert (found.rows, found.refused, found.damaged) == (COUNT, len(SPOILT), ())
    assert len(set(noted(tmp_path / "out"))) == len(noted(tmp_path / "out")) == found.pieces
    pd.testing.assert_frame_equal(read(tmp_path / "out"), read(undisturbed))


def test_a_lost_scheduler_leaves_finished_pieces_and_nothing_half_written(
    scorer, cohort, undisturbed, tmp_path
):
    out = tmp_path / "out"
    with scheduler(tmp_path) as (process, address), worker(address), cluster(address, 1) as share:

        def told(stage, done, total):
            if done == 200:
                process.kill()

        with pytest.raises(SpinecastError, match="was lost"):
            score_parts(scorer, parts_of(cohort), out, share=share, progress=told)
    assert 2 <= len(noted(out)) < 6
    found = score_parts(scorer, parts_of(cohort), out)
    assert 2 <= found.kept < 6
    pd.testing.assert_frame_equal(read(out), read(undisturbed))
    assert not list(out.rglob("*.tmp"))  # what the ended worker had begun is cleared away


# --- the command -----------------------------------------------------------------------------


@pytest.fixture
def spoken(capsys, monkeypatch):
    """The command's exit code and what it said."""

    def say(*arguments):
        monkeypatch.setattr("sys.argv", ["spinecast", "score", *map(str, arguments)])
        try:
            main()
        except SystemExit as done:
            return done.code, capsys.readouterr().err
        return 0, capsys.readouterr().err

    return say


def test_the_command_scores_a_folder_and_goes_on(
    spoken, bundle_folder, cohort, undisturbed, tmp_path
):
    out = tmp_path / "out"
    asked = (cohort, "--model", bundle_folder, "--out", out, "--processes", 1)
    code, said = spoken(*asked)
    assert code == 0
    assert "600 patients in 6 pieces (scores/); 3 could not be scored (rejected/)" in said
    pd.testing.assert_frame_equal(read(out), read(undisturbed))
    (out / "scores/b.parquet").unlink()
    code, said = spoken(*asked)
    assert "5 of 6 pieces stood already" in said
    assert "scored again: b.parquet" in said
    code, said = spoken(*asked, "--without-intervals")
    assert code == 2
    assert "--replace" in said


def test_the_command_says_which_files_it_could_not_read(spoken, bundle_folder, patients, tmp_path):
    source = put(patients, tmp_path / "in", [300, 300])
    (source / "broken.parquet").write_bytes(b"nothing")
    asked = ("--model", bundle_folder, "--out", tmp_path / "out", "--processes", 1)
    code, said = spoken(source, *asked)
    assert code == 3
    assert "600 patients in 2 pieces" in said
    assert "broken.parquet: it is not a Parquet file" in said


def test_one_large_file_goes_into_a_folder_too(spoken, bundle_folder, patients, tmp_path):
    file = put(patients, tmp_path / "in", [600]) / "a.parquet"
    code, _ = spoken(file, "--model", bundle_folder, "--out", tmp_path / "out", "--processes", 1)
    assert code == 0
    assert noted(tmp_path / "out") == ["a.parquet"]


@pytest.mark.parametrize("more", [[], ["--out", "scores", "--site", "site.toml"], ["--out", "in"]])
def test_options_that_do_not_fit_a_folder_are_wrong_use(
    spoken, bundle_folder, patients, tmp_path, monkeypatch, more
):
    put(patients, tmp_path / "in", [600])
    monkeypatch.chdir(tmp_path)
    assert spoken("in", "--model", bundle_folder, *more)[0] == 2
    assert [file.name for file in tmp_path.iterdir()] == ["in"]


def test_options_of_a_folder_do_not_fit_a_file(spoken, bundle_folder, tmp_path):
    file = tmp_path / "patient.json"
    file.write_text("{}")
    code, said = spoken(file, "--model", bundle_folder, "--without-intervals", "--replace")
    assert code == 2
    assert "2 problems" in said


def test_scores_are_not_written_among_the_patients(spoken, bundle_folder, patients, tmp_path):
    """All files of a folder are patients: what else lies there would make it none."""
    cohort = put(patients.head(20), tmp_path / "cohort", [20])
    code, said = spoken(cohort, "--model", bundle_folder, "--out", cohort / "out")
    assert code == 2
    assert "it lies in the folder that is read" in said
    assert [file.name for file in cohort.iterdir()] == ["a.parquet"]
    code, said = spoken(cohort, "--model", bundle_folder, "--out", tmp_path / "scores.csv")
    assert code == 2
    assert "it ends in .csv; scores of a folder go into a folder" in said
    assert not (tmp_path / "scores.csv").exists()


@pytest.mark.parametrize(
    "given", [("--engine", "dask"), ("--scheduler", "tcp://nowhere:1"), ("--engine", "processes")]
)
def test_an_engine_is_refused_for_a_file_that_is_read_at_once(
    spoken, bundle_folder, patients, tmp_path, given
):
    cohort = put(patients.head(20), tmp_path / "cohort", [20]) / "a.parquet"
    code, said = spoken(cohort, "--model", bundle_folder, "--out", tmp_path / "s.csv", *given)
    if given[1] == "processes":  # which is what does it
        assert code == 0
    else:
        assert code == 2
        assert f"{given[0]}: given {given[1]}" in said
        assert "a.parquet is read at once" in said


def test_memory_that_does_not_suffice_is_refused_before_anything_is_written(
    spoken, bundle_folder, cohort, tmp_path
):
    out = tmp_path / "out"
    code, said = spoken(cohort, "--model", bundle_folder, "--out", out, "--memory", "10MB")
    assert code == 2
    assert "--memory: 10 MB; at least" in said
    assert not out.exists()
