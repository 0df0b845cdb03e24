"""Files in, files out: however many patients come, and however, each gets the same answer."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from spinecast.errors import DataRefused, UsageRefused
from spinecast.explaining import batch
from spinecast.explaining.batch import read_patients, write_scores
from spinecast.patients.answers import as_text

EXACT = {"rtol": 0, "atol": 1e-12}
NUMBERS = ["risk", "low", "high", "centile", "margin"]
# The patients who cannot be scored, by their place in the file, and why.
SPOILT = {
    0: ({"age": 400}, {"out_of_range"}),
    7: ({"smoking_status": "sometimes", "nrs_leg": "ten"}, {"unknown_level", "not_a_number"}),
    8: ({"spinal_tumour": "yes"}, {"excluded"}),
    29: ({"age": -1}, {"out_of_range"}),
}


@pytest.fixture(scope="module")
def told(registry, candidates):
    """Thirty patients as dictionaries, four of whom cannot be scored.

    Of every third one everything about scope was answered, of the next nothing, then the first.
    """
    scope = [one.name for one in registry.exclusions]
    answered = [dict.fromkeys(scope, "no"), dict.fromkeys(scope), {scope[0]: "no"}]
    patients = [
        {"patient_id": f"P{place}"}
        | answered[place % len(answered)]
        | {
            factor.name: factor.value_of(code)
            for factor, code in zip(registry.factors, codes.tolist(), strict=True)
        }
        for place, codes in enumerate(candidates[:30])
    ]
    return [one | SPOILT.get(place, ({},))[0] for place, one in enumerate(patients)]


@pytest.fixture(scope="module")
def expected(scorer, told):
    """What one after the other is told at the surgeon's door."""
    return [scorer.assess(one) for one in told]


def frame(told) -> pd.DataFrame:
    """The same patients as a table of text."""
    columns = dict.fromkeys(name for one in told for name in one)
    return pd.DataFrame(
        {
            name: ["" if one.get(name) is None else as_text(one[name]) for one in told]
            for name in columns
        },
        dtype="str",
    )


def put(told, path):
    """Write patients to a file of any ending."""
    if path.suffix == ".json":
        path.write_text(json.dumps(told), encoding="utf-8")
    elif path.suffix == ".csv":
        frame(told).to_csv(path, index=False)
    else:
        frame(told).to_parquet(path, index=False)
    return path


def columns_of(path) -> pd.DataFrame:
    """A table of scores as it was written, null where nothing stands."""
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pandas()
    return pd.read_csv(path, keep_default_na=False, na_values={n: [""] for n in NUMBERS})


def scored(scorer, told, tmp_path, ending=".json", out=".parquet"):
    """From a file to a file; the path of the scores."""
    patients = read_patients(scorer, put(told, tmp_path / f"patients{ending}"))
    write_scores(patients, tmp_path / f"scores{out}")
    return tmp_path / f"scores{out}"


def refusal(scorer, path, kind=DataRefused) -> str:
    with pytest.raises(kind) as refused:
        read_patients(scorer, path)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    return str(refused.value)


# --- all ways agree ------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".json", ".csv", ".parquet"])
def test_records_of_a_file_are_those_of_the_surgeons_door(scorer, told, expected, tmp_path, ending):
    path = scored(scorer, told, tmp_path, ending, ".json")
    records = json.loads(path.read_text(encoding="utf-8"))
    assert len(records) == len(expected)
    for record, alone in zip(records, expected, strict=True):
        one = json.loads(alone.to_json())
        assert sorted(map(str, record["reasons"])) == sorted(map(str, one["reasons"]))
        same(record, one)


def same(left, right):
    """Equal, but for the twelfth digit of a number, and the order in which faults are found."""
    if isinstance(left, float) and isinstance(right, float):
        assert left == pytest.approx(right, rel=0, abs=1e-12)
    elif isinstance(left, dict):
        assert list(left) == list(right)
        for name in left.keys() - {"reasons"}:
            same(left[name], right[name])
    elif isinstance(left, list):
        for one, other in zip(left, right, strict=True):
            same(one, other)
    else:
        assert left == right


@pytest.mark.parametrize("out", [".csv", ".parquet"])
@pytest.mark.parametrize("ending", [".json", ".csv", ".parquet"])
def test_columns_of_a_file_hold_the_same_numbers(scorer, told, expected, tmp_path, ending, out):
    table = columns_of(scored(scorer, told, tmp_path, ending, out))
    assert table["patient_id"].tolist() == [one["patient_id"] for one in told]
    assert table["status"].tolist() == [record.status for record in expected]
    for place, record in enumerate(expected):
        row = table.iloc[place]
        if record.status == "refused":
            continue
        numbers = [record.risk, record.interval.low, record.interval.high]
        numbers += [record.centile, record.margin]
        np.testing.assert_allclose(row[NUMBERS].to_numpy(dtype=float), numbers, **EXACT)
        for one in record.contributions:
            assert float(row[f"log_odds_{one.factor}"]) == pytest.approx(one.log_odds, abs=1e-12)
            points = float(row[f"risk_points_{one.factor}"])
            assert points == pytest.approx(one.risk_points, abs=1e-12)
        listed = row["unknown"].split("; ") if row["unknown"] else []
        assert sorted(listed) == sorted(entry.factor for entry in record.unknown)
        assert row["cautions"].split("; ") == [caution.code for caution in record.cautions]
        assert ("scope_unchecked" in row["cautions"]) == (place % 3 > 0)
        assert row["model"] == record.model.id


@pytest.mark.parametrize("at_once", [1, 2, 7, 8, 29, 30, 31])
@pytest.mark.parametrize("out", [".json", ".csv", ".parquet"])
def test_pieces_of_any_size_give_the_same_file(scorer, told, tmp_path, monkeypatch, at_once, out):
    whole = scored(scorer, told, tmp_path, ".json", out)
    before = _read(whole)
    monkeypatch.setattr(batch, "ROWS_AT_ONCE", at_once)
    after = _read(scored(scorer, told, tmp_path, ".json", out))
    if out == ".json":
        for left, right in zip(before, after, strict=True):
            same(left, right)
        return
    texts = [name for name in before if name not in NUMBERS and "_odds_" not in name]
    texts = [name for name in texts if "risk_points_" not in name]
    assert before[texts].equals(after[texts])
    numbers = [name for name in before if name not in texts]
    np.testing.assert_allclose(
        before[numbers].to_numpy(dtype=float), after[numbers].to_numpy(dtype=float), **EXACT
    )


def _read(path):
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    table = columns_of(path)
    numeric = [name for name in table if name.startswith(("log_odds_", "risk_points_"))]
    table[numeric] = table[numeric].apply(pd.to_numeric)
    return table


def test_contributions_in_columns_add_up(scorer, told, tmp_path):
    table = columns_of(scored(scorer, told, tmp_path)).dropna(subset="risk")
    reference = scorer.explainer.reference_risk
    points = table[[name for name in table if name.startswith("risk_points_")]]
    np.testing.assert_allclose(points.sum(axis=1), table["risk"] - reference, rtol=0, atol=1e-9)


# --- who cannot be scored ------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".json", ".csv", ".parquet"])
def test_a_refused_patient_stands_in_place_with_every_reason(scorer, told, tmp_path, ending):
    patients = read_patients(scorer, put(told, tmp_path / f"patients{ending}"))
    assert len(patients) == 30
    assert patients.refused == len(SPOILT)
    assert np.flatnonzero(~patients.accepted).tolist() == list(SPOILT)
    records = list(patients.assessments())
    for place, (_, rules) in SPOILT.items():
        assert records[place].patient_id == f"P{place}"
        assert {reason.code for reason in records[place].reasons} == rules


@pytest.mark.parametrize("out", [".csv", ".parquet"])
def test_a_refused_row_has_reasons_and_no_number(scorer, told, tmp_path, out):
    table = columns_of(scored(scorer, told, tmp_path, ".csv", out))
    for place, row in table.iterrows():
        numbers = row[[n for n in table if n in NUMBERS or n.startswith(("log_", "risk_p"))]]
        empty = numbers.isna() | (numbers == "")
        assert empty.all() if place in SPOILT else not empty.any()
        assert bool(row["reasons"]) == (place in SPOILT)
    assert "given '400'" in table["reasons"][0]
    assert "; " in table["reasons"][7]


@pytest.mark.parametrize("ending", [".json", ".csv", ".parquet"])
@pytest.mark.parametrize("out", [".json", ".csv", ".parquet"])
def test_a_file_of_whom_nobody_can_be_scored_is_a_file_of_refusals(scorer, tmp_path, ending, out):
    told = [{"patient_id": f"P{place}", "age": 400} for place in range(3)]
    path = scored(scorer, told, tmp_path, ending, out)
    if out == ".json":
        records = json.loads(path.read_text())
        assert [record["status"] for record in records] == ["refused"] * 3
        return
    table = columns_of(path)
    assert table["status"].tolist() == ["refused"] * 3
    assert table["risk"].isna().all()


def test_a_piece_of_refusals_has_the_columns_of_the_others(scorer, told, tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "ROWS_AT_ONCE", 1)
    table = parquet.read_table(scored(scorer, told, tmp_path))
    assert table.num_rows == 30
    assert table["risk"].null_count == len(SPOILT)
    assert table.schema.field("unknown").type == "string"


def test_a_record_that_is_no_patient_is_refused_and_the_others_are_not(scorer, tmp_path):
    path = tmp_path / "patients.json"
    path.write_text('[{"age": 54}, 7, null, "x", [], {"age": 55}]')
    patients = read_patients(scorer, path)
    assert patients.accepted.tolist() == [True, False, False, False, False, True]
    codes = {reason.code for record in patients.assessments() for reason in record.reasons}
    assert codes == {"not_a_patient"}


def test_a_patient_who_stands_twice_is_refused_the_second_time(scorer, tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("patient_id,age\nA,54\nB,55\nA,56\n,57\n")
    records = list(read_patients(scorer, path).assessments())
    assert [record.status for record in records] == ["scored", "scored", "refused", "refused"]
    assert [r.code for record in records for r in record.reasons] == [
        "duplicate_patient",
        "missing_id",
    ]


# --- what is in the file, and what is not --------------------------------------------------------


def test_required_columns_are_needed_to_learn_and_not_to_be_scored(scorer, registry, tmp_path):
    assert any(factor.required for factor in registry.factors)
    path = tmp_path / "patients.csv"
    path.write_text("patient_id\nA\nB\n")
    patients = read_patients(scorer, path)
    assert patients.accepted.all()
    assert np.isnan(patients.codes).all()


def test_columns_of_no_use_are_ignored_and_a_misspelt_one_is_suggested(scorer, tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text("patient_id,shoe_size,smoking_satus,age\nA,43,current,54\n")
    patients = read_patients(scorer, path)
    assert patients.ignored == ("shoe_size", "smoking_satus")
    assert patients.suggestions == {"smoking_satus": "smoking_status"}
    alone = scorer.assess({"patient_id": "A", "age": 54})
    assert next(patients.assessments()) == alone


def test_the_order_of_the_columns_does_not_matter(scorer, told, tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    frame(told).to_csv(one, index=False)
    frame(told)[list(reversed(frame(told).columns))].to_csv(two, index=False)
    np.testing.assert_array_equal(
        read_patients(scorer, one).codes, read_patients(scorer, two).codes
    )


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_without_ids_is_refused(scorer, tmp_path, ending):
    path = put([{"age": 54, "patientid": "A"}], tmp_path / f"patients{ending}")
    said = refusal(scorer, path)
    assert "patient_id: the column is missing" in said
    assert "Did you mean patientid?" in said


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_without_rows_is_refused(scorer, tmp_path, ending):
    path = tmp_path / f"patients{ending}"
    put([{"patient_id": "A", "age": 54}], path)
    empty = frame([{"patient_id": "A", "age": 54}]).iloc[:0]
    empty.to_csv(path, index=False) if ending == ".csv" else empty.to_parquet(path, index=False)
    assert "no rows" in refusal(scorer, path)


@pytest.mark.parametrize("out", [".json", ".csv", ".parquet"])
def test_one_patient_alone_in_json_is_one_record(scorer, tmp_path, out):
    path = scored(scorer, {"patient_id": "A", "age": 54}, tmp_path, ".json", out)
    alone = scorer.assess({"patient_id": "A", "age": 54})
    if out == ".json":
        assert path.read_text(encoding="utf-8") == alone.to_json() + "\n"
        return
    table = columns_of(path)
    assert table["patient_id"].tolist() == ["A"]
    assert table["risk"][0] == pytest.approx(alone.risk, abs=1e-12)


def test_a_list_of_one_is_a_list(scorer, tmp_path):
    path = scored(scorer, [{"age": 54}], tmp_path, ".json", ".json")
    assert isinstance(json.loads(path.read_text()), list)


def test_patients_in_json_need_no_id(scorer, tmp_path):
    table = columns_of(scored(scorer, [{"age": 54}, {"age": 55}], tmp_path, ".json", ".csv"))
    assert table["patient_id"].tolist() == ["", ""]


def test_a_name_with_commas_and_quotes_comes_through(scorer, tmp_path):
    told = [{"patient_id": 'A, "B"\n=1+1', "age": 54}]
    for out in (".csv", ".parquet", ".json"):
        path = scored(scorer, told, tmp_path, ".json", out)
        found = _read(path)
        names = [r["patient_id"] for r in found] if out == ".json" else list(found["patient_id"])
        assert names == [told[0]["patient_id"]]


# --- what is not a file of patients --------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ("{", "Expecting"),
        ("[]", "it is empty"),
        ("7", "it holds 7"),
        ('"x"', 'it holds "x"'),
        ("null", "it holds null"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"age": 54, "sex": "male", "age": 45}', "these names stand twice: age"),
        ('[{"age": 54, "age": 54}]', "these names stand twice: age"),
        ('[{"age": 54},]', "Illegal trailing comma|Expecting value"),
        ('{"age": 1' + "0" * 5000 + "}", "digits"),
    ],
)
def test_json_that_holds_no_patients_is_refused(scorer, tmp_path, text, said):
    path = tmp_path / "patients.json"
    path.write_text(text)
    found = refusal(scorer, path)
    assert "patients.json" in found
    assert any(words in found for words in said.split("|")), found
    assert len(found) < 400


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_refuses_its_patient_and_no_other(scorer, tmp_path, value):
    path = tmp_path / "patients.json"
    path.write_text(f'[{{"age": {value}}}, {{"age": 54}}]')
    patients = read_patients(scorer, path)
    assert patients.accepted.tolist() == [False, True]
    assert [fault.rule for fault in patients.faults[0]] == ["not_finite"]
    write_scores(patients, tmp_path / "scores.json")
    assert "NaN" not in (tmp_path / "scores.json").read_text()


def test_json_may_begin_with_a_byte_order_mark(scorer, tmp_path):
    path = tmp_path / "patients.json"
    path.write_text('{"patient_id": "Ä", "age": 54}', encoding="utf-8-sig")
    assert read_patients(scorer, path).ids.tolist() == ["Ä"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
@pytest.mark.parametrize("ending", [".json", ".csv"])
def test_a_file_in_another_encoding_is_refused(scorer, tmp_path, ending, encoding):
    text = '{"patient_id": "Ä"}' if ending == ".json" else "patient_id\nÄ\n"
    path = tmp_path / f"patients{ending}"
    path.write_bytes(text.encode(encoding))
    assert path.name in refusal(scorer, path)


@pytest.mark.parametrize("ending", [".json", ".csv", ".parquet"])
def test_a_file_that_is_not_there_is_wrong_use(scorer, tmp_path, ending):
    assert "no such file" in refusal(scorer, tmp_path / f"none{ending}", UsageRefused)
    (tmp_path / f"folder{ending}").mkdir()
    assert "directory" in refusal(scorer, tmp_path / f"folder{ending}", UsageRefused)


def test_a_file_of_another_ending_is_wrong_use(scorer, tmp_path):
    (tmp_path / "patients.xlsx").write_text("")
    assert ".csv" in refusal(scorer, tmp_path / "patients.xlsx", UsageRefused)


# --- out -----------------------------------------------------------------------------------------


@pytest.fixture
def some(scorer, tmp_path):
    """Two patients, read from a file that is gone."""
    path = put([{"patient_id": "A", "age": 54}, {"patient_id": "B"}], tmp_path / "in.json")
    patients = read_patients(scorer, path)
    path.unlink()
    return patients


@pytest.mark.parametrize("name", ["scores.xlsx", "scores", "scores.json.gz", ".csv"])
def test_an_ending_that_is_not_known_is_wrong_use(some, tmp_path, name):
    with pytest.raises(UsageRefused, match=r"allowed: \.json, \.csv, \.parquet") as refused:
        write_scores(some, tmp_path / name)
    assert refused.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", [".json", ".csv", ".parquet"])
def test_a_folder_that_is_not_there_is_wrong_use(some, tmp_path, out):
    with pytest.raises(UsageRefused, match="no such file or directory"):
        write_scores(some, tmp_path / "nowhere" / f"scores{out}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", [".json", ".csv", ".parquet", ".JSON"])
def test_nothing_but_the_file_is_left(some, tmp_path, out):
    write_scores(some, tmp_path / f"scores{out}")
    write_scores(some, str(tmp_path / f"scores{out}"))
    assert [path.name for path in tmp_path.iterdir()] == [f"scores{out}"]


@pytest.mark.parametrize("out", [".json", ".csv", ".parquet"])
def test_an_error_on_the_way_leaves_the_old_file(some, tmp_path, monkeypatch, out):
    path = tmp_path / f"scores{out}"
    write_scores(some, path)
    before = path.read_bytes()

    def halfway(stage, done, total):
        raise InterruptedError(4, "Stopped")

    with pytest.raises(UsageRefused, match="interrupted system call"):
        write_scores(some, path, halfway)

    def bug(stage, done, total):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_scores(some, path, bug)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("out", [".json", ".csv", ".parquet"])
def test_progress_ends_at_all_patients(scorer, told, tmp_path, monkeypatch, out):
    monkeypatch.setattr(batch, "ROWS_AT_ONCE", 7)
    seen = []
    patients = read_patients(scorer, put(told, tmp_path / "in.json"))
    write_scores(patients, tmp_path / f"scores{out}", lambda *told: seen.append(told))
    assert seen[-1] == ("scoring", 30, 30)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_scores_of_the_same_file_are_the_same_byte_for_byte(scorer, told, tmp_path):
    for out in (".json", ".csv", ".parquet"):
        one = scored(scorer, told, tmp_path, ".csv", out).read_bytes()
        assert scored(scorer, told, tmp_path, ".csv", out).read_bytes() == one
