"""A cohort in parts is the same cohort: whatever the parts are, and whoever reads them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from conftest import TINY
from spinecast.cohorts.cohort import check_table
from spinecast.cohorts.definitions import compare_definitions
from spinecast.cohorts.labelled import labelled
from spinecast.cohorts.outcome import labels
from spinecast.cohorts.sampling import SLACK, Drawn
from spinecast.cohorts.store import Stored, write_shard
from spinecast.cohorts.survey import survey
from spinecast.cohorts.tally import Tally
from spinecast.errors import DataRefused, UsageRefused
from spinecast.patients import repeats
from spinecast.patients.draws import hashes, uniform
from spinecast.patients.part_files import parts_of
from spinecast.patients.reasons import Reasons
from spinecast.patients.tables import read_table, write_table
from spinecast.sharing import workers
from spinecast.simulator.synthetic import simulate

EVERYBODY = 10_000
# Each example writes files: a failing one is told as it was found.
SLOW = settings(
    max_examples=8,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def rows(tiny):
    """Sixty patients as text; some rows are wrong, empty, repeated, or without an id."""
    made = simulate(tiny, 60, 3).frame().astype("str").fillna("")
    made = made.where(~made.isin(["nan", "<NA>", "None"]), "")
    seen = pd.to_datetime(made["index_date"]) + pd.Timedelta(days=365)
    made = made.assign(
        followup_date=seen.dt.strftime("%Y-%m-%d"),
        pain_followup=[str(7 * n % 11) if n % 5 else "" for n in range(60)],
        revision=["no" if n % 9 else "yes" for n in range(60)],
        favourite="blue",
    )
    made.loc[3, "pain"] = "80"
    made.loc[4, ["pain", "smoking"]] = ["nine", "perhaps"]
    made.loc[7] = ""
    made.loc[40] = ""
    made.loc[[21, 50], "patient_id"] = made.loc[5, "patient_id"]
    made.loc[33, "patient_id"] = f" {made.loc[32, 'patient_id']} "
    made.loc[[10, 11], "patient_id"] = "unknown"
    return made


def in_parts(rows, folder, cuts, group):
    """The rows as a folder of files, cut before these rows, in row groups of so many."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    ends = [0, *sorted(cuts), len(rows)]
    for number, (start, end) in enumerate(pairwise(ends)):
        part = pa.Table.from_pandas(rows.iloc[start:end], preserve_index=False)
        parquet.write_table(part, folder / f"{number:02d}.parquet", row_group_size=group)
    return folder


def whole(rows, tiny, tmp_path):
    """What one file that is read at once gives."""
    write_table(rows, tmp_path / "whole.parquet")
    return check_table(read_table(tmp_path / "whole.parquet"), tiny)


def assert_same_cohort(one, other):
    assert one.patient_id.tolist() == other.patient_id.tolist()
    assert one.site.tolist() == other.site.tolist()
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_array_equal(one.index_date, other.index_date)
    assert one.outcome.keys() == other.outcome.keys()
    for name, column in one.outcome.items():
        np.testing.assert_array_equal(column, other.outcome[name])


def in_numbers(tally):
    """A tally without the words for where rows stand, which name files in a folder."""
    kinds = {
        name: (kind.reasons, [(f.given, seen.count) for f, seen in kind.faults.items()])
        for name, kind in tally.reasons.kinds.items()
    }
    named = {name: told for name, told in kinds.items() if name[1] != "duplicate_patient"}
    reasons = (tally.reasons.rules, tally.reasons.count, list(kinds), named)
    return replace(tally, span=None, reasons=Reasons()), reasons


# --- any cut gives the same ----------------------------------------------------------------------


@SLOW
@given(
    cuts=st.lists(st.integers(0, 60), max_size=5),
    group=st.integers(1, 30),
    at_once=st.integers(1, 40),
)
def test_any_parts_and_row_groups_give_the_same_rows(rows, tmp_path, cuts, group, at_once):
    parts = parts_of(in_parts(rows, tmp_path / "parts", cuts, group), at_once)
    assert parts.rows == len(rows)
    tables = [table for part in parts.parts for table in part.tables(at_once)]
    together = pd.concat([table.astype("str") for table in tables])
    write_table(rows, tmp_path / "whole.parquet")
    expected = read_table(tmp_path / "whole.parquet")
    assert together.to_numpy().tolist() == expected.to_numpy().tolist()
    assert max(map(len, tables)) <= at_once
    ids = [name for part in parts.parts for some in part.ids(at_once) for name in some]
    assert ids == rows["patient_id"].str.strip().tolist()


@SLOW
@given(
    cuts=st.lists(st.integers(0, 60), max_size=5),
    group=st.integers(1, 30),
    at_once=st.integers(1, 40),
)
def test_a_survey_that_holds_everybody_is_the_cohort_itself(
    rows, tiny, tmp_path, cuts, group, at_once
):
    found = whole(rows, tiny, tmp_path)
    parts = parts_of(in_parts(rows, tmp_path / "parts", cuts, group), at_once)
    told = survey(parts, tiny, sample=EVERYBODY, rows_at_once=at_once)
    assert_same_cohort(told.sample, found.accepted)
    assert in_numbers(told.tally) == in_numbers(Tally.of(found))
    columns = found.accepted.columns()
    assert told.definitions == compare_definitions(tiny, columns)
    assert told.followed == labels(tiny, columns).followed
    assert told.labelled().labels.failed.tolist() == pytest.approx(
        labelled(found, "").labels.failed.tolist(), nan_ok=True
    )


@SLOW
@given(cuts=st.lists(st.integers(0, 60), max_size=5), at_once=st.integers(1, 40))
def test_who_is_drawn_hangs_on_the_patient_alone(rows, tiny, tmp_path, cuts, at_once):
    write_table(rows, tmp_path / "one.parquet")
    one = survey(parts_of(tmp_path / "one.parquet"), tiny, sample=20, seed=4, rows_at_once=999)
    parts = parts_of(in_parts(rows, tmp_path / "parts", cuts, 7), at_once)
    other = survey(parts, tiny, sample=20, seed=4, rows_at_once=at_once)
    assert 5 < len(one.sample) <= 20
    assert_same_cohort(one.sample, other.sample)
    assert one.followed == other.followed  # of everybody, drawn or not


def test_another_seed_draws_others_and_never_more_than_asked_for(rows, tiny, tmp_path):
    write_table(rows, tmp_path / "one.parquet")
    parts = parts_of(tmp_path / "one.parquet")
    drawn = [
        survey(parts, tiny, sample=20, seed=seed, rows_at_once=99).sample for seed in range(12)
    ]
    assert len({tuple(sample.patient_id) for sample in drawn}) == 12
    assert max(map(len, drawn)) == 20


def smallest(draws, among, most):
    """The places of the smallest draws among some."""
    return set(sorted(np.flatnonzero(among), key=lambda at: draws[at])[:most])


@SLOW
@given(
    cuts=st.lists(st.integers(0, 60), max_size=5),
    at_once=st.integers(1, 40),
    followed_up=st.sampled_from([0, 3, 12, 60]),
    known=st.integers(1, 25),
)
def test_known_outcomes_are_drawn_first_however_rare_and_no_more_than_asked_for(
    rows, tiny, tmp_path, cuts, at_once, followed_up, known
):
    lost = rows.index >= followed_up
    rows = rows.assign(
        **{name: rows[name].mask(lost, "") for name in ("pain_followup", "revision")}
    )
    everybody = whole(rows, tiny, tmp_path).accepted
    failed = labels(tiny, everybody.columns()).failed
    draws = uniform(hashes(everybody.patient_id), 4)
    alike = smallest(draws, draws < 5 / 60, 5)
    first = smallest(draws, ~np.isnan(failed), known)
    parts = parts_of(in_parts(rows, tmp_path / "parts", cuts, 7), at_once)
    told = survey(parts, tiny, sample=5, known=known, seed=4, rows_at_once=at_once)
    assert_same_cohort(told.sample, everybody.take(np.array(sorted(alike | first), dtype=int)))
    assert told.sample.patient_id[told.alike].tolist() == [
        everybody.patient_id[at] for at in sorted(alike)
    ]
    assert told.followed == labels(tiny, everybody.columns()).followed
    if first:
        found = told.labelled()
        assert found.labels.known == len(first | {at for at in alike if failed[at] == failed[at]})
        assert bool(found.sampled) == (found.labels.known < told.followed.known)


def test_no_more_patients_are_held_while_reading_than_are_wanted(rows, tiny, tmp_path, monkeypatch):
    held = []

    def noted(self, other):
        both = added(self, other)
        held.append(sum(map(len, both.tables)))
        return both

    added = Drawn.__add__
    monkeypatch.setattr(Drawn, "__add__", noted)
    parts = parts_of(in_parts(rows, tmp_path / "parts", [13, 40], 7), 3)
    told = survey(parts, tiny, sample=2, known=18, rows_at_once=3)
    assert max(held) <= SLACK * 20 < told.followed.known * 2 * 18 / 60
    assert told.labelled().labels.known == 18


def test_several_processes_find_the_same_on_one_file_and_on_a_folder(rows, tiny, tmp_path):
    found = whole(rows, tiny, tmp_path)
    folder = in_parts(rows, tmp_path / "parts", [13, 40], 9)
    with workers(2) as share:
        for path in (tmp_path / "whole.parquet", folder):
            told = survey(parts_of(path, 20), tiny, sample=EVERYBODY, rows_at_once=20, share=share)
            assert_same_cohort(told.sample, found.accepted)
            assert in_numbers(told.tally) == in_numbers(Tally.of(found))


def test_one_file_in_parts_names_its_rows_as_when_it_is_read_at_once(rows, tiny, tmp_path):
    found = Tally.of(whole(rows, tiny, tmp_path))
    told = survey(parts_of(tmp_path / "whole.parquet"), tiny, sample=9, rows_at_once=8).tally
    assert told.reasons == found.reasons
    assert told.empty_rows == found.empty_rows == 2


# --- the same patient twice ----------------------------------------------------------------------


def test_a_patient_in_two_files_is_rejected_after_the_first_and_both_rows_are_named(
    rows, tiny, tmp_path
):
    folder = in_parts(rows, tmp_path / "parts", [20, 30], 60)
    told = survey(parts_of(folder), tiny, sample=EVERYBODY, rows_at_once=99).tally
    where = {
        place.told: fault.allowed
        for place, fault in told.reasons.first
        if fault.rule == "duplicate_patient"
    }
    first = "a patient may stand in one row, and stands in row 7 of 00.parquet"
    assert where["01.parquet row 3"] == where["02.parquet row 22"] == first


def test_a_file_that_stands_there_twice_repeats_every_patient(tiny, tmp_path):
    made = simulate(tiny, 40, 3).frame()
    for name in ("a", "b"):
        write_table(made, tmp_path / f"{name}.parquet")
    told = survey(parts_of(tmp_path), tiny, sample=EVERYBODY, rows_at_once=7)
    assert (told.tally.accepted, told.tally.rejected) == (40, 40)
    assert told.sample.patient_id.tolist() == made["patient_id"].tolist()


def test_patients_of_equal_hash_are_told_apart_by_their_ids(rows, tiny, tmp_path, monkeypatch):
    """With two hashes for all, everybody is a candidate, and only the true repeats are found."""
    monkeypatch.setattr(repeats, "hashes", lambda ids: hashes(ids) % np.uint64(2))
    found = whole(rows, tiny, tmp_path)
    folder = in_parts(rows, tmp_path / "parts", [13, 40], 9)
    told = survey(parts_of(folder), tiny, sample=EVERYBODY, rows_at_once=8)
    assert told.tally.reasons.rules == found.rejected.counts
    assert_same_cohort(told.sample, found.accepted)


def test_buckets_find_what_one_finds(rows, tiny, tmp_path, monkeypatch):
    folder = in_parts(rows, tmp_path / "parts", [13, 40], 9)
    once = survey(parts_of(folder), tiny, sample=EVERYBODY, rows_at_once=8).tally
    monkeypatch.setattr(repeats, "BUCKET_ROWS", 5)
    assert survey(parts_of(folder), tiny, sample=EVERYBODY, rows_at_once=8).tally == once
    assert once.reasons.rules["duplicate_patient"] == 3


@pytest.mark.parametrize("codes", [("1", "2"), ("1.0", "2.0")])
def test_ones_of_a_column_whose_twos_stand_in_another_file_are_no_answer(tiny, tmp_path, codes):
    made = simulate(tiny, 40, 3).frame()
    column = next(factor.name for factor in tiny.factors if factor.kind == "binary")
    for name, code in zip("ab", codes, strict=True):
        some = made.iloc[:20] if name == "a" else made.iloc[20:]
        write_table(some.assign(**{column: code}), tmp_path / f"{name}.parquet")
    told = survey(parts_of(tmp_path), tiny, sample=EVERYBODY, rows_at_once=99).tally
    assert told.rejected == told.reasons.rules["ambiguous_code"] == 40


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    places=st.lists(st.integers(0, 200), min_size=1, max_size=5),
    before=st.integers(0, 3),
)
def test_a_fingerprint_of_rows_is_the_same_where_the_same_is_said_of_them(sizes, places, before):
    """Also once another file stands before: then all places are others."""
    names = [f"{at}.parquet" for at in range(len(sizes))]
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    files = repeats.Files(tuple(starts), tuple(names))
    moved = repeats.Files((0, *(at + before for at in starts)), ("first.parquet", *names))
    if not before:
        moved = repeats.Files(tuple(starts), tuple(name.upper() for name in names))
    here, there = np.array(places, dtype=np.uint64), np.array(places, dtype=np.uint64) + before
    said = [files.told(place) for place in here.tolist()]
    same = said == [moved.told(place) for place in there.tolist()]
    assert (files.fingerprint(here) == moved.fingerprint(there.astype(np.uint64))) == same
    others = here + np.uint64(1)
    assert files.fingerprint(here) != files.fingerprint(others)


# --- what is kept of it on disk ------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_rejected_rows_of_one_file_are_written_as_when_it_is_read_at_once(
    rows, tiny, tmp_path, ending
):
    found = whole(rows, tiny, tmp_path)
    parts, out = parts_of(tmp_path / "whole.parquet"), tmp_path / f"rejected{ending}"
    survey(parts, tiny, sample=9, rows_at_once=8, rejected=out)
    write_table(found.rejected.to_frame(), tmp_path / f"expected{ending}")
    expected = read_table(tmp_path / f"expected{ending}")
    assert read_table(out).to_numpy().tolist() == expected.to_numpy().tolist()


def test_rejected_rows_of_a_folder_name_their_file(rows, tiny, tmp_path):
    folder = in_parts(rows, tmp_path / "parts", [5], 9)
    out = tmp_path / "rejected.csv"
    survey(parts_of(folder), tiny, sample=9, rows_at_once=8, rejected=out)
    told = read_table(out)
    assert list(told.columns) == ["file", "row", "column", "rule", "given", "allowed", "remedy"]
    assert told.iloc[0].tolist()[:5] == ["00.parquet", "5", "pain", "out_of_range", "80"]
    assert set(told["file"]) == {"00.parquet", "01.parquet"}


def test_shards_hold_the_patients_whose_outcome_is_known(rows, tiny, tmp_path):
    found = whole(rows, tiny, tmp_path).accepted
    folder = in_parts(rows, tmp_path / "parts", [13, 40], 9)
    (tmp_path / "store").mkdir()
    told = survey(parts_of(folder), tiny, sample=9, rows_at_once=8, store=tmp_path / "store")
    read = [shard.read() for shard in told.shards]
    failed = labels(tiny, found.columns()).failed
    known = ~np.isnan(failed)
    assert [len(stored) for stored in read] == [shard.rows for shard in told.shards]
    np.testing.assert_array_equal(np.concatenate([s.y for s in read]), failed[known])
    np.testing.assert_array_equal(np.concatenate([s.codes for s in read]), found.codes[known])
    np.testing.assert_array_equal(
        np.concatenate([s.hashed for s in read]), hashes(found.patient_id[known])
    )
    # A part that is read again writes the same files.
    again = survey(parts_of(folder), tiny, sample=9, rows_at_once=8, store=tmp_path / "store")
    assert again.shards == told.shards
    assert len(list((tmp_path / "store").iterdir())) == len(told.shards)


def test_a_shard_gives_back_what_was_written(tmp_path):
    codes = np.array([[1.0, np.nan], [0.5, -2.0]])
    hashed = np.array([2**64 - 1, 0], dtype=np.uint64)
    shard = write_shard(
        tmp_path / "s.parquet", ("one", "two"), Stored(codes, np.array([1, np.nan]), hashed)
    )
    read = shard.read()
    np.testing.assert_array_equal(read.codes, codes)
    np.testing.assert_array_equal(read.y, [1, np.nan])
    assert read.hashed.tolist() == hashed.tolist()
    assert (len(read), shard.rows) == (2, 2)
    assert read.take(np.array([False, True])).codes.tolist() == [[0.5, -2.0]]


# --- draws ---------------------------------------------------------------------------------------


@given(st.lists(st.text(), unique=True, max_size=30), st.integers(0, 2**32), st.randoms())
def test_a_draw_hangs_on_the_id_the_seed_and_its_number_alone(ids, seed, shuffled):
    mixed = shuffled.sample(ids, len(ids))
    drawn = dict(zip(ids, uniform(hashes(np.array(ids, dtype=object)), seed), strict=True))
    other = dict(zip(mixed, uniform(hashes(np.array(mixed, dtype=object)), seed), strict=True))
    assert drawn == other
    assert all(0 <= value < 1 for value in drawn.values())


def test_draws_are_even_and_those_of_other_seeds_and_numbers_have_nothing_to_do_with_them():
    hashed = hashes(np.array([f"P{number:06d}" for number in range(100_000)], dtype=object))
    drawn = np.stack([uniform(hashed, *which) for which in ((1, 0), (1, 1), (2, 0), (2, 1))])
    counts = np.stack([np.histogram(row, 20, (0, 1))[0] for row in drawn])
    # 19 degrees of freedom: 43.8 is the 99.9th centile of chi-squared.
    assert (((counts - 5_000) ** 2 / 5_000).sum(axis=1) < 43.8).all()
    apart = np.corrcoef(drawn) - np.eye(4)
    assert np.abs(apart).max() < 4 / np.sqrt(100_000)


# --- bad input -----------------------------------------------------------------------------------


def test_everything_wrong_with_a_folder_is_said_at_once(tiny, tmp_path):
    made = simulate(tiny, 10, 3).frame()
    write_table(made, tmp_path / "a.parquet")
    write_table(made.drop(columns="pain").assign(colour="red"), tmp_path / "b.parquet")
    write_table(made.assign(pain="three"), tmp_path / "c.parquet")
    (tmp_path / "d.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-20])
    (tmp_path / "notes.txt").write_text("remember")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "_SUCCESS").write_text("")
    with pytest.raises(DataRefused) as refused:
        parts_of(tmp_path)
    said = {problem.where: problem.given for problem in refused.value.problems}
    assert said == {
        "b.parquet, column pain": "it is missing",
        "b.parquet, column colour": "it stands there",
        "c.parquet, column pain": "it holds text",
        "d.parquet": "it is not a Parquet file, or it is damaged or cannot be read",
        "notes.txt": "its ending is .txt",
        "deeper": "a folder",
    }


def test_small_row_groups_are_read_together_with_whatever_words_they_hold(tmp_path):
    words = pd.Series(["a", None, "b", "b", "c", "", "a"], dtype="str")
    made = pd.DataFrame({"patient_id": list("ABCDEFG"), "word": words, "number": range(7)})
    for name, group in (("small", 1), ("whole", 7)):
        made.to_parquet(tmp_path / f"{name}.parquet", row_group_size=group)
    small, whole = (
        [*parts_of(tmp_path / f"{name}.parquet").parts[0].tables(3)] for name in ("small", "whole")
    )
    assert [len(table) for table in small] == [3, 3, 1]
    for one, other in zip(small, whole, strict=True):
        pd.testing.assert_frame_equal(one.astype("str"), other.astype("str"))


def test_every_problem_of_a_folder_says_what_to_do(tiny, tmp_path):
    made = simulate(tiny, 10, 3).frame()
    write_table(made, tmp_path / "a.parquet")
    write_table(made.drop(columns="pain").assign(colour="red"), tmp_path / "b.parquet")
    (tmp_path / "year=2024").mkdir()
    with pytest.raises(DataRefused) as refused:
        parts_of(tmp_path)
    remedies = {problem.where: problem.remedy for problem in refused.value.problems}
    assert all(remedies.values())
    assert "without partitions" in remedies["year=2024"]


@pytest.mark.parametrize("files", [0, 2])
def test_a_folder_without_any_row_is_no_cohort(tiny, tmp_path, files):
    for number in range(files):
        write_table(simulate(tiny, 3, 1).frame().iloc[:0], tmp_path / f"{number}.parquet")
    with pytest.raises(DataRefused, match=f"Parquet files: {files}, patients in them: 0"):
        parts_of(tmp_path)
    with pytest.raises(UsageRefused, match="no such file"):
        parts_of(tmp_path / "nowhere")


def test_an_empty_partition_and_one_of_rejected_rows_only_are_nothing_special(rows, tiny, tmp_path):
    folder = in_parts(rows, tmp_path / "parts", [20], 60)
    before = survey(parts_of(folder), tiny, sample=EVERYBODY, rows_at_once=99)
    write_table(rows.iloc[:0], folder / "02.parquet")
    write_table(rows.iloc[20:30].assign(patient_id=""), folder / "03.parquet")
    blank = rows.iloc[:5].assign(**dict.fromkeys(rows.columns, ""))
    write_table(blank, folder / "04.parquet")
    after = survey(parts_of(folder), tiny, sample=EVERYBODY, rows_at_once=99)
    assert_same_cohort(after.sample, before.sample)
    assert after.tally.rejected == before.tally.rejected + 10
    assert after.tally.reasons.rules["missing_id"] == 12


def test_missing_columns_are_refused_once_and_not_by_every_part(rows, tiny, tmp_path):
    folder = in_parts(rows.drop(columns="patient_id"), tmp_path / "parts", [20, 40], 9)
    with pytest.raises(DataRefused, match="lacks columns") as refused:
        survey(parts_of(folder), tiny, sample=9, rows_at_once=8)
    assert [problem.where for problem in refused.value.problems] == ["patient_id"]


def test_an_export_whose_rows_would_have_to_be_joined_is_refused(rows, tiny, tmp_path):
    folder = in_parts(rows.assign(redcap_event_name="one"), tmp_path / "parts", [20], 9)
    with pytest.raises(DataRefused, match="rows of a patient are joined in one file"):
        survey(parts_of(folder), tiny, sample=9, rows_at_once=8)


@pytest.mark.parametrize("column", ["patient_id", "pain"])
def test_a_part_that_cannot_be_read_leaves_nothing_half_written(
    rows, tiny, tmp_path, monkeypatch, column
):
    folder = in_parts(rows, tmp_path / "parts", [20, 40], 9)
    parts = parts_of(folder)
    chunk = (
        parquet.read_metadata(folder / "01.parquet")
        .row_group(1)
        .column(rows.columns.get_loc(column))
    )
    content = bytearray((folder / "01.parquet").read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    (folder / "01.parquet").write_bytes(content)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with pytest.raises(
        DataRefused, match=r"01\.parquet: it is not a Parquet file, or it is damaged"
    ):
        survey(parts, tiny, sample=9, rows_at_once=8, rejected=tmp_path / "rejected.csv")
    assert not (tmp_path / "rejected.csv").exists()
    assert list(scratch.iterdir()) == []


FULL_DISK = """
import resource, signal, sys, tempfile
from pathlib import Path
from spinecast.cohorts.survey import survey
from spinecast.errors import UsageRefused
from spinecast.knowledge.loading import load_registry
from spinecast.patients.part_files import parts_of

registry, what = load_registry(Path(sys.argv[1])), sys.argv[4]
folder, place = map(Path, sys.argv[2:4])
tempfile.tempdir = str(place / "scratch")
wanted = {"store": place / "store", "rejected": place / "rejected.csv", "ids": None}[what]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
most = {"ids": 500}.get(what, 2_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
try:
    given = {what: wanted} if wanted else {}
    survey(parts_of(folder), registry, sample=9, rows_at_once=99, **given)
except UsageRefused as refused:
    sys.exit(str(refused))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of files there")
@pytest.mark.parametrize("what", ["ids", "store", "rejected"])
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(rows, tmp_path, what):
    folder = in_parts(rows, tmp_path / "parts", [], 99)
    for name in ("store", "scratch"):
        (tmp_path / name).mkdir()
    command = [sys.executable, "-c", FULL_DISK, TINY, folder, tmp_path, what]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert "The file was not written" in done.stderr
    assert "file too large" in done.stderr
    assert "Traceback" not in done.stderr
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != folder]
    assert left == []


def test_a_cluster_that_loses_workers_finds_the_same(rows, tiny, losing, tmp_path):
    found = whole(rows, tiny, tmp_path)
    folder = in_parts(rows, tmp_path / "parts", [13, 40], 9)
    share = losing(0, 1)
    told = survey(parts_of(folder, 20), tiny, sample=EVERYBODY, rows_at_once=20, share=share)
    assert share.ended() == 2
    assert_same_cohort(told.sample, found.accepted)
    assert in_numbers(told.tally) == in_numbers(Tally.of(found))
