from __future__ import annotations

import csv
import datetime as dt
import io
import math

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from spinecast.errors import DataRefused, UsageRefused
from spinecast.patients.tables import file_fingerprint, read_table, write_table

names = st.lists(st.text("abcdefgh_", min_size=1, max_size=5), min_size=1, max_size=5, unique=True)
cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)
shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def refusal(tmp_path):
    """What is said about a file with this content."""

    def read(content: bytes, name: str = "cohort.csv") -> str:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataRefused) as refused:
            read_table(tmp_path / name)
        assert refused.value.__cause__ is None
        return str(refused.value)

    return read


def read(tmp_path, content: bytes) -> pd.DataFrame:
    (tmp_path / "cohort.csv").write_bytes(content)
    return read_table(tmp_path / "cohort.csv")


# --- laws ----------------------------------------------------------------------------------------


@shared_folder
@given(names, st.data())
def test_text_comes_back_as_it_was_written(tmp_path, header, data):
    row = st.lists(cells, min_size=len(header), max_size=len(header)).filter(any)
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    for ending in (".csv", ".parquet"):
        path = tmp_path / f"table{ending}"
        write_table(pd.DataFrame(rows, columns=header, dtype="str"), path)
        assert read_table(path).to_numpy().tolist() == rows


@shared_folder
@given(st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=5))
def test_a_row_keeps_the_number_a_spreadsheet_shows(tmp_path, rows):
    text = io.StringIO()
    csv.writer(text).writerows([["a", "b"], *rows, ["last", "row"]])
    table = read(tmp_path, text.getvalue().encode())
    shown = [number for number, row in enumerate(rows, start=2) if any(row)]
    assert table.index.tolist() == [*shown, len(rows) + 2]


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".CSV"])
def test_writing_leaves_nothing_else_behind(tmp_path, ending):
    write_table(pd.DataFrame({"a": ["1"]}), tmp_path / f"out{ending}")
    assert [path.name for path in tmp_path.iterdir()] == [f"out{ending}"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.parquet"
    write_table(pd.DataFrame({"a": ["1"]}), path)
    before = file_fingerprint(path)
    with pytest.raises(pa.ArrowException):
        write_table(pd.DataFrame({"a": [object()]}), path)
    assert file_fingerprint(path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


# --- CSV as it comes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,NA\n",
        b"a,b\r\n1,NA\r\n",
        b"\xef\xbb\xbfa,b\n1,NA",
        b' a ,"b"\n1,"NA"\n\n',
        b"a,b\n1,NA\n,\n\n",
    ],
)
def test_line_ends_marks_quotes_and_empty_lines_do_not_matter(tmp_path, content):
    table = read(tmp_path, content)
    assert table.to_dict("list") == {"a": ["1"], "b": ["NA"]}


def test_nothing_is_guessed(tmp_path):
    cells = ["007", "1e3", "nan", "TRUE", "2020-01-01", " x "]
    table = read(tmp_path, ("a\n" + "\n".join(cells)).encode())
    assert table["a"].tolist() == cells


def test_columns_without_a_name_are_kept_apart(tmp_path):
    table = read(tmp_path, b"a,,\n1,2,3\n")
    assert table.columns.tolist() == ["a", "(column 2)", "(column 3)"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"\xef\xbb\xbf\n \n", "it is empty"),
        (b"a,b\n", "a header and no rows"),
        (b"a,b\n,\n\n", "a header and no rows"),
        (b"a;b\n1;2\n", "separated by semicolons"),
        (b"a\tb\n1\t2\n", "separated by tabs"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "not text"),
        (b"a,b\n1,2\n1,\xe9\n", "line 3 has a character that is not UTF-8"),
        (b"PK\x03\x04...", "a spreadsheet or zip archive"),
        (b"PAR1...", "a Parquet file"),
        (b"a,b\n1,\0\n", "not text"),
        (b'"a,b\n1,2\n', "quotation mark is opened and not closed"),
    ],
)
def test_what_is_not_a_table_is_refused_with_what_to_do(refusal, content, says):
    assert says in refusal(content)
    assert "cohort.csv" in refusal(content)


def test_all_repeated_names_are_told(refusal):
    said = refusal(b"a,b,a, b\n1,2,3,4\n")
    assert "a: names columns 1, 3" in said
    assert "b: names columns 2, 4" in said


def test_every_ragged_row_is_told_with_its_number(refusal):
    said = refusal(b'a,b\n1,2\n"x\ny",2\n\n1\n1,2,3\n')
    assert "row 5: 1 cells: '1'; the header has 2" in said
    assert "row 6: 3 cells" in said
    assert "(2 problems)" in said


def test_a_thousand_ragged_rows_are_counted_not_listed(refusal):
    said = refusal(b"a,b\n" + b"1\n" * 1000)
    assert "980 more rows" in said
    assert len(said.splitlines()) == 22


# --- Parquet -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1, None], ["1", ""]),
        ([1.0, 2.5, None], ["1", "2.5", ""]),
        ([math.nan, math.inf], ["nan", "inf"]),
        ([True, None, False], ["true", "", "false"]),
        ([dt.date(2020, 1, 31), None], ["2020-01-31", ""]),
        ([dt.datetime(2020, 1, 31), None], ["2020-01-31", ""]),  # noqa: DTZ001
        (pa.array(["x", None]).dictionary_encode(), ["x", ""]),
        (pa.array([0.1, 3], pa.float32()), ["0.1", "3"]),
        (pa.array([[1], [2]]), ["<list<element: int64>>"] * 2),
    ],
)
def test_typed_values_become_what_a_person_would_type(tmp_path, values, texts):
    table = pa.table({"a": values, "id": [f"P{i}" for i in range(len(values))]})
    parquet.write_table(table, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["a"].tolist() == texts


def test_a_damaged_parquet_file_is_refused(refusal):
    assert "damaged" in refusal(b"PAR1 and then nothing", "cohort.parquet")
    assert "damaged" in refusal(b"", "cohort.parquet")


# --- use -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["absent.csv", "cohort.xlsx", "cohort", "folder.csv"])
def test_a_file_that_cannot_be_read_is_wrong_use(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageRefused, match=name):
        read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["no/such/folder.csv", "out.txt"])
def test_a_file_that_cannot_be_written_is_wrong_use(tmp_path, name):
    with pytest.raises(UsageRefused):
        write_table(pd.DataFrame({"a": ["1"]}), tmp_path / name)
