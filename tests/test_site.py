"""A hospital's own file in our columns: the laws of a mapping, and everything it refuses."""

from __future__ import annotations

import datetime as dt
import math
import re
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.cohorts.cohort import check, check_mapped
from spinecast.errors import DataRefused, UsageRefused
from spinecast.simulator.synthetic import simulate
from spinecast.site import dates, units
from spinecast.site.combinations import COMBINATIONS
from spinecast.site.declaration import FileForm
from spinecast.site.foreign_file import ForeignFile
from spinecast.site.mapping import map_file
from spinecast.site.overview import remarks, table, unmapped
from spinecast.site.reading import column_names, pieces
from spinecast.site.reconciling import read_site
from spinecast.site.targets import targets
from spinecast.site.untidy import hospital, untidy, write_untidy
from spinecast.site.words import looks_postoperative, words

ROOT = Path(__file__).parents[1]
WORKED_EXAMPLE = ROOT / "data" / "untidy" / "site.toml"
HEAD = 'unknown = ["-9", "k.A."]\ndecimal = ","\ndates = "DD.MM.YYYY"\nfile.delimiter = ";"\n'
TINY = """
[columns.patient_id]
column = "Nr"
[columns.pain]
column = "VAS"
unit = "0-100"
[columns.smoking]
column = "Raucher"
levels = { ja = "current", nein = "never" }
"""


@pytest.fixture
def write(tmp_path):
    """Writes a file of the given name and gives its path."""

    def write(name: str, text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.fixture(scope="module")
def cohorts(registry, tmp_path_factory):
    """A simulated cohort, tidy and as the invented hospital writes it."""
    folder = tmp_path_factory.mktemp("hospital")
    made = simulate(registry, 500, 7)
    tidy, theirs = folder / "tidy.csv", folder / "hospital.csv"
    made.frame().to_csv(tidy, index=False)
    write_untidy(untidy(made.frame(), 7), theirs)
    return tidy, theirs


# --- laws -----------------------------------------------------------------------------------------


def test_the_mapped_hospital_has_the_codes_of_the_tidy_cohort_it_came_from(registry, cohorts):
    tidy, theirs = cohorts
    site = read_site(WORKED_EXAMPLE, registry)
    ours, mapped = check(tidy, registry).accepted, check(theirs, registry, site).accepted
    order = {patient: at for at, patient in enumerate(mapped.patient_id)}
    mapped = mapped.take(np.array([order[patient] for patient in ours.patient_id]))
    for name in site.columns.keys() & ours.columns().keys():
        # A weight is written to 0.1 kg, which moves an index by 0.05 / 1.55 squared at most.
        near = 0.021 if name == "bmi" else 0.0
        np.testing.assert_allclose(
            mapped.columns()[name], ours.columns()[name], rtol=0, atol=near, err_msg=name
        )
    assert len(mapped) == len(ours) == 500


@pytest.mark.parametrize("rows", [1, 37, 1000])
def test_the_size_of_the_pieces_changes_nothing(registry, cohorts, rows):
    site = read_site(WORKED_EXAMPLE, registry)
    whole = map_file(cohorts[1], site, registry)
    if rows == 1:  # a few rows are enough to see it
        head = cohorts[1].read_bytes().split(b"\n")[:40]
        short = cohorts[1].with_name("short.csv")
        short.write_bytes(b"\n".join(head))
        parts, whole = (map_file(short, site, registry, rows=n) for n in (rows, 1000))
    else:
        parts = map_file(cohorts[1], site, registry, rows=rows)
    pd.testing.assert_frame_equal(parts.table.astype("str"), whole.table.astype("str"))
    assert parts.reach == whole.reach


@given(number=st.floats(0.01, 1e4), factor=st.sampled_from(["VAS", "age", "odi"]))
def test_a_unit_and_back_is_the_same_number(number, factor):
    ours = {"VAS": ("points", (0.0, 10.0)), "age": ("years", (18.0, 95.0))}
    unit, bounds = ours.get(factor, ("%", (0.0, 100.0)))
    for rate in units.choices(unit, bounds).values():
        assert units.tidy(units.tidy(number * rate) / rate) == pytest.approx(number, rel=1e-9)


def test_every_number_of_the_registry_can_be_given_in_its_own_unit(registry):
    for target in targets(registry).values():
        choices = units.choices(target.unit, target.bounds)
        if target.holds == "number" and choices:
            assert 1.0 in choices.values()


def test_a_vas_is_ten_times_the_nrs_and_a_raw_odi_half_the_index():
    assert units.choices("points", (0.0, 10.0)) == {"0-10": 1.0, "0-100": 0.1}
    assert units.choices("points", (0.0, 100.0))["0-50"] == 2.0
    # Another score of points is neither.
    assert units.choices("points", (0.0, 52.0)) == {}


@given(st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)), st.sampled_from(dates.PATTERNS))
def test_a_date_is_the_same_day_in_every_pattern(day, pattern):
    text = pattern.replace("DD", f"{day.day:02}").replace("MM", f"{day.month:02}")
    code = dates.day(text.replace("YYYY", str(day.year)), pattern)
    assert code == (day - dt.date(1970, 1, 1)).days


def test_day_and_month_are_never_guessed():
    assert dates.day("01.02.2020", "") is None
    assert dates.day("03/04/2020", "DD/MM/YYYY") != dates.day("03/04/2020", "MM/DD/YYYY")
    assert dates.day("31/02/2020", "DD/MM/YYYY") is None
    assert dates.parts("DD.MM.YY") is None


# --- ways of combining ----------------------------------------------------------------------------

nan = math.nan


@pytest.mark.parametrize(
    ("way", "columns", "made"),
    [
        ("body mass index", ([1.8, 0.0, nan], [81.0, 80.0, 80.0]), [25.0, nan, nan]),
        ("duration", ([0.0, 10.0, nan], [31.0, 5.0, 1.0]), [31.0, -5.0, nan]),
        ("pack-years", ([1.0, 0.0, nan, nan], [20.0, nan, 0.0, 5.0]), [20.0, 0.0, 0.0, nan]),
        (
            "never, former, current",
            ([1.0, 0.0, 0.0, 0.0, nan], [nan, 10.0, 0.0, nan, 5.0]),
            [2.0, 1.0, 0.0, nan, nan],
        ),
        ("any yes", ([1.0, 0.0, 0.0, nan], [nan, 0.0, nan, nan]), [1.0, 0.0, nan, nan]),
        ("how many yes", ([1.0, 0.0, 1.0], [1.0, 0.0, nan]), [2.0, 0.0, nan]),
        ("first recorded", ([nan, 1.0, nan], [2.0, 3.0, nan]), [2.0, 1.0, nan]),
        ("sum", ([1.0, nan], [2.0, 2.0]), [3.0, nan]),
        ("highest", ([1.0, nan], [2.0, 2.0]), [2.0, nan]),
    ],
)
def test_a_way_of_combining_knows_what_it_does_not_know(way, columns, made):
    found = COMBINATIONS[way].function(*map(np.array, columns))
    np.testing.assert_allclose(found, made)


@given(
    st.dates(dt.date(1920, 1, 1), dt.date(2000, 12, 31)),
    st.dates(dt.date(2001, 1, 1), dt.date(2030, 1, 1)),
)
def test_age_is_completed_years(birth, at):
    epoch = dt.date(1970, 1, 1)
    code = [np.array([float((day - epoch).days)]) for day in (birth, at)]
    # As a person counts: one less until the birthday has come.
    before = (at.month, at.day) < (birth.month, birth.day)
    assert COMBINATIONS["age"].function(*code)[0] == at.year - birth.year - before


def test_every_way_says_what_it_does():
    for name, way in COMBINATIONS.items():
        assert way.says.endswith("."), name
        assert way.needs, name


# --- what a mapping does --------------------------------------------------------------------------


def mapped(write, tiny, rows: str, site: str = TINY, head: str = HEAD, name: str = "a.csv"):
    """The hospital's file by a mapping, and what became of it."""
    path = write(name, rows)
    made = map_file(path, read_site(write("site.toml", head + site), tiny), tiny)
    return made, check_mapped(made, tiny, to_learn=False)


ROWS = "Nr;VAS;Raucher\np1;73;ja\np2;-9;nein\np3;5,5;k.A.\n"


def test_units_words_and_unknowns_become_ours(write, tiny):
    made, found = mapped(write, tiny, ROWS)
    assert made.table.astype("str").to_dict("list") == {
        "patient_id": ["p1", "p2", "p3"],
        "pain": ["7.3", "", "0.55"],
        "smoking": ["current", "never", ""],
    }
    assert len(found.accepted) == 3
    assert made.reach["pain"].before == (5.5, 73.0)
    assert made.reach["pain"].after == (0.55, 7.3)


def test_a_word_nobody_mapped_rejects_its_row_and_is_counted(write, tiny):
    made, found = mapped(write, tiny, ROWS + "p4;20;manchmal\np5;20;neinn\np6;20;manchmal\n")
    assert list(unmapped(found.rejected)) == [
        ("smoking from Raucher", "manchmal", 2),
        ("smoking from Raucher", "neinn", 1),
    ]
    first, misspelt, _ = found.rejected.problems()
    assert str(first).startswith("row 5, smoking from Raucher: given 'manchmal'; site.toml has no")
    assert "Is it a misspelt 'nein'?" in str(misspelt)
    assert any("'manchmal' 2, 'neinn' 1" in line for line in remarks(made, found.rejected))


def test_a_fault_names_the_mapping_and_its_word_as_they_are_written(write, tiny):
    ours = write("ours.toml", HEAD + TINY.replace("ja = ", "Ja = "))
    theirs = write("a.csv", "Nr;VAS;Raucher\np1;20;jaa\np2;20;Ja\n")
    (fault,) = check(theirs, tiny, read_site(ours, tiny)).rejected.problems()
    assert "ours.toml has no level for it. Is it a misspelt 'Ja'?" in str(fault)
    assert str(fault).endswith("(or to unknown) in ours.toml.")


def test_a_reason_names_the_hospitals_column_value_and_row(write, tiny):
    _, found = mapped(write, tiny, ROWS + "p4;730;ja\n")
    (problem,) = found.rejected.problems()
    assert str(problem).startswith("row 5, pain from VAS: given '730 (73)'; a number from 0 to 10")


def test_a_unit_by_which_everything_is_impossible_is_said_once(write, tiny):
    rows = "Nr;VAS;Raucher\n" + "".join(f"p{n};{n + 20};ja\n" for n in range(300))
    with pytest.raises(DataRefused) as refused:
        mapped(write, tiny, rows, TINY.replace('unit = "0-100"\n', ""))
    (problem,) = refused.value.problems
    assert "all 300 values come out impossible, from 20 to 319" in str(problem)
    few = "Nr;VAS;Raucher\n" + "".join(f"p{n};{n + 20};ja\n" for n in range(60))
    with pytest.raises(DataRefused, match="The unit is wrong: '0-100' would fit"):
        mapped(write, tiny, few, TINY.replace('"0-100"', '"0-10"'))


def test_a_unit_by_which_most_is_impossible_is_no_matter_of_rows(write, tiny):
    # A VAS of 100 mm holds values up to 10 that an NRS could be.
    rows = "Nr;VAS;Raucher\n" + "".join(f"p{n};{n};ja\n" for n in range(100))
    with pytest.raises(DataRefused, match="89 of 100 values in '0-10' come out impossible"):
        mapped(write, tiny, rows, TINY.replace('"0-100"', '"0-10"'))
    # One slip of the pen among many is one.
    rows = "Nr;VAS;Raucher\n" + "".join(f"p{n};{n % 10};ja\n" for n in range(50)) + "x;70;ja\n"
    assert len(mapped(write, tiny, rows, TINY.replace('"0-100"', '"0-10"'))[1].rejected) == 1


def test_dates_without_a_pattern_are_said_once(write, tiny):
    rows = "Nr;Tag\n" + "".join(f"p{n};01.02.20{n}\n" for n in range(10, 30))
    site = TINY.split("[columns.pain]")[0] + '[columns.index_date]\ncolumn = "Tag"\n'
    with pytest.raises(DataRefused, match="none of 20 values is a date") as refused:
        mapped(write, tiny, rows, site, HEAD.replace('dates = "DD.MM.YYYY"\n', ""))
    assert len(refused.value.problems) == 1


def test_a_file_of_three_rows_is_a_file(write, tiny):
    # Too few to judge a column by: each row says for itself what is wrong.
    _, found = mapped(write, tiny, "Nr;VAS;Raucher\np1;500;ja\np2;600;ja\np3;700;ja\n")
    assert (len(found.accepted), len(found.rejected)) == (0, 3)


@pytest.mark.parametrize(("which", "kept"), [("first", ["3"]), ("last", ["7"]), ("refuse", ["7"])])
def test_a_patient_in_several_rows_is_one_row_by_the_date(write, tiny, which, kept):
    site = TINY.split("[columns.smoking]")[0] + '[columns.index_date]\ncolumn = "Tag"\n'
    head = f'dates = "DD.MM.YYYY"\nrepeated = "{which}"\nfile.delimiter = ";"\n'
    rows = "Nr;VAS;Tag\np1;70;05.05.2020\np1;30;04.06.2019\n"
    made, found = mapped(write, tiny, rows, site, head)
    assert found.accepted.codes[:, tiny.names.index("pain")].tolist() == [float(k) for k in kept]
    assert made.set_aside == found.set_aside == (which != "refuse")
    assert len(found.rejected) == (which == "refuse")
    assert found.empty_rows == 0


def test_rows_of_a_patient_that_no_date_can_order_are_refused_not_chosen(write, tiny):
    site = TINY.split("[columns.smoking]")[0] + '[columns.index_date]\ncolumn = "Tag"\n'
    head = 'unknown = ["-9"]\ndates = "DD.MM.YYYY"\nrepeated = "last"\nfile.delimiter = ";"\n'
    rows = "Nr;VAS;Tag\np1;70;05.05.2020\np1;30;-9\np2;10;01.01.2020\np2;20;01.01.2020\n"
    made, found = mapped(write, tiny, rows, site, head)
    assert made.set_aside == 0
    assert found.rejected.rows.tolist() == [3, 5]


def test_codes_are_levels_by_their_longest_prefix(write, tiny):
    site = (
        TINY.split("[columns.smoking]")[0]
        + """
[columns.lesion]
column = "ICD"
prefixes = { "M51" = "Hernia", "M51.9" = "stenosis", "M48" = "stenosis" }
"""
    )
    made, found = mapped(
        write, tiny, "Nr;VAS;ICD\n1;5;M51.2\n2;5;m51.90\n3;5;M48.06\n4;5;S32\n", site
    )
    assert made.table["lesion"].tolist() == ["Hernia", "stenosis", "stenosis", ""]
    assert [word for _, word, _ in unmapped(found.rejected)] == ["S32"]


def test_numbers_become_levels_by_bands_and_a_constant_is_everyones(write, tiny):
    site = (
        TINY.split("[columns.smoking]")[0]
        + """
[columns.smoking]
column = "PY"
bands = { never = [0, 1], former = [1, 20], current = [20, 200] }
[columns.diabetes]
constant = "no"
"""
    )
    made, found = mapped(write, tiny, "Nr;VAS;PY\n1;5;0\n2;5;1\n3;5;20\n4;5;900\n", site)
    assert made.table["smoking"].tolist() == ["never", "former", "current", ""]
    assert made.table["diabetes"].tolist() == ["no"] * 4
    assert "no band in site.toml holds it" in str(next(found.rejected.problems()))


def test_the_first_recorded_of_two_columns_in_their_own_words(write, tiny):
    site = TINY.replace('column = "Raucher"', 'columns = ["R1", "R2"]\nby = "first recorded"')
    rows = "Nr;VAS;R1;R2\n1;5;ja;nein\n2;5;k.A.;nein\n3;5;;\n"
    made, _ = mapped(write, tiny, rows, site)
    assert made.table["smoking"].tolist() == ["current", "never", ""]


def test_a_code_written_by_a_program_as_1_0_is_the_code_1(write, tiny):
    site = TINY.replace("{ ja =", "{ 1 =").replace("nein =", "0 =")
    made, _ = mapped(write, tiny, "Nr;VAS;Raucher\n1;5;1,0\n2;5;0.0\n3;5;1\n", site)
    assert made.table["smoking"].tolist() == ["current", "never", "current"]


def test_a_file_without_ids_names_its_patients_by_their_row(write, tiny):
    site = TINY.replace('column = "Nr"', 'by = "row number"')
    _, found = mapped(write, tiny, ROWS, site)
    assert found.accepted.patient_id.tolist() == ["2", "3", "4"]


def test_the_overview_says_where_from_how_many_and_from_what_to_what(write, tiny):
    made, _ = mapped(write, tiny, ROWS)
    assert table(made)[2] == ["pain", "VAS", "2", "1", "5.5 to 73 [0-100]", "0.55 to 7.3"]


# --- what a mapping refuses -----------------------------------------------------------------------


def refused(write, tiny, site: str, head: str = HEAD) -> str:
    with pytest.raises(UsageRefused) as caught:
        read_site(write("site.toml", head + site), tiny)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("columns.pain]", "columns.pian]"), "[columns.pian]: is not known; .* Did you mean pain?"),
        (('unit = "0-100"', 'unit = "0-1000"'), "unit: given '0-1000'; allowed: 0-10, 0-100"),
        (('"current"', '"curent"'), "given 'curent'; allowed: .* Did you mean current?"),
        (('column = "VAS"', 'columns = ["A", "B"]'), "names 2 columns and no way to combine them"),
        (('column = "VAS"', 'columns = ["A"]\nby = "summ"'), "given 'summ'; allowed: .*mean sum?"),
        (
            ('column = "VAS"', 'columns = ["A"]\nby = "sum"'),
            "columns: names 1; 'sum' takes at least 2",
        ),
        (('column = "VAS"', 'column = "VAS"\nconstant = 3'), "has column and constant"),
        (('column = "VAS"', 'colum = "VAS"'), "colum: given 'VAS'; extra inputs are not permitted"),
        (('column = "VAS"', ""), "has none of them; one of column, columns and constant"),
        (
            ('column = "VAS"\nunit = "0-100"', "constant = 40"),
            "constant: given '40'; a number from 0",
        ),
        (('"0-100"', '"0-100"\nlevels = { a = "b" }'), "levels: is given; pain has no levels"),
        (('unit = "0-100"', 'dates = "DD.MM.YY"'), "given 'DD.MM.YY'; DD, MM and YYYY once each"),
        (
            ("[columns.pain]", '[columns.pain]\nunit = "0-10"\n[columns.pain]'),
            "Each of our columns",
        ),
        (
            ("levels = { ja", "bands = { never = [0, 5], former = [4, 9] }\n#"),
            "a number has one level",
        ),
        (('[columns.patient_id]\ncolumn = "Nr"', ""), "[columns.patient_id]: missing"),
        (('"VAS"', '"VAS_12M"'), "comes from 'VAS_12M'; only what is known beforehand"),
        (('"VAS"', '"pain_followup"'), "comes from 'pain_followup'; only what is known beforehand"),
    ],
)
def test_a_mistake_in_a_mapping_is_said_with_what_to_do(write, tiny, change, says):
    assert change[0] in TINY
    told = refused(write, tiny, TINY.replace(*change, 1))
    pattern = ".*".join(re.escape(part) for part in says.split(".*"))
    assert re.search(pattern, told), told


def test_every_mistake_is_said_at_once(write, tiny):
    site = (
        TINY.replace("0-100", "furlongs")
        .replace('"current"', '"x"')
        .replace("[columns.patient_id]", "[columns.id]")
    )
    told = refused(write, tiny, site)
    assert all(word in told for word in ("furlongs", "'x'", "[columns.id]", "patient_id"))


def test_one_column_for_a_factor_and_the_outcome_is_refused(write, tiny):
    told = refused(write, tiny, TINY + '[columns.pain_followup]\ncolumn = "VAS"\n')
    assert "column 'VAS': is used for pain, pain_followup" in told


def test_a_misleading_name_may_be_explained(write, tiny):
    site = TINY.replace('"VAS"', '"VAS_12M"\nbefore_surgery = "12M is the ward"')
    assert read_site(write("site.toml", HEAD + site), tiny).columns["pain"].column == "VAS_12M"


def test_open_decisions_are_all_listed_and_nothing_runs(write, tiny):
    site = (
        TINY.replace('"0-100"', '"?"')
        .replace('"current"', '"?"')
        .replace('column = "Nr"', 'column = ""')
    )
    told = refused(write, tiny, site)
    assert "has open decisions (3 problems)" in told
    assert "[columns.pain] unit: not decided" in told
    assert "[columns.smoking] levels of ja: not decided" in told


def test_what_cannot_be_read_as_a_mapping_is_no_traceback(write, tiny, tmp_path):
    for text, says in (
        ("columns = 3", "is no table"),
        ("[columns]\npain = 3\n[columns.patient_id]\ncolumn='a'", "given '3'"),
        ("a =", "a TOML file in UTF-8"),
        ("surprise = 1\n[columns.patient_id]\ncolumn='a'", "surprise"),
    ):
        assert says in refused(write, tiny, text, "")
    with pytest.raises(UsageRefused, match="spinecast map"):
        read_site(tmp_path / "nowhere.toml", tiny)


def test_columns_the_file_does_not_have_are_named_with_near_ones(write, tiny):
    with pytest.raises(
        DataRefused, match=r"column 'Raucher': is not in the file; .*mean raucher_1"
    ):
        mapped(write, tiny, "Nr;VAS;raucher_1\np1;5;ja\n")


# --- reading --------------------------------------------------------------------------------------


def texts(path: Path, **form) -> pd.DataFrame:
    return pd.concat(pieces(ForeignFile(path, FileForm(**form))))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_delimited_text_of_any_kind_is_read(write, encoding, mark):
    path = write("a.csv", f"Größe{mark}b\n1{mark}ü\n", encoding)
    said = "utf-8" if encoding.startswith("utf") else encoding
    found = texts(path, delimiter=mark, encoding=said)
    assert found.to_dict("list") == {"Größe": ["1"], "b": ["ü"]}
    assert found.index.tolist() == [2]


def test_a_wrong_encoding_is_refused_either_way(write):
    latin = write("a.csv", "a,b\n1,ü\n", "cp1252")
    with pytest.raises(DataRefused, match=r'line 2 .* not UTF-8.*encoding = "cp1252"'):
        texts(latin)
    with pytest.raises(DataRefused, match="it is UTF-8, and encoding says latin-1"):
        texts(write("b.csv", "a,b\n1,ü\n"), encoding="latin-1")
    with pytest.raises(DataRefused, match="Did you mean latin-1"):
        texts(latin, encoding="latin1")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("a,b\n", "a header and no rows"),
        ("a;b\n1;2\n", 'delimiter = ";"'),
        ("a,a\n1,2\n", "columns of the same name"),
        ("a,b\n1,2,3\n", "3 cells"),
        ("\n\n", "row 1 is empty"),
        ('a,b\n1,"2\n3,4\n5,6\n', "a quotation mark is opened and not closed"),
    ],
)
def test_what_is_no_table_is_refused(write, tiny, text, says):
    path = write("a.csv", text)
    site = read_site(write("site.toml", '[columns.patient_id]\ncolumn = "a"\n'), tiny)
    with pytest.raises(DataRefused, match=says):
        map_file(path, site, tiny)


def test_an_inch_is_no_quotation(write):
    assert texts(write("a.csv", 'a,b\n1,5"\n2,6\n'))["b"].tolist() == ['5"', "6"]


def test_rows_above_the_header_are_passed_over(write):
    path = write("a.csv", "Register 2021,\n,\na,b\n1,2\n")
    found = texts(path, header_row=3)
    assert (found.index.tolist(), found["b"].tolist()) == ([4], ["2"])


def test_a_workbook_is_read_as_typed(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Nr", "VAS", "Tag", None])
    sheet.append(["p1", 7.3, dt.date(2020, 5, 31), None])
    sheet.append([None] * 4)
    sheet.append([12, 54.0, "31.05.2020", None])
    path = tmp_path / "a.xlsx"
    book.save(path)
    file = ForeignFile(path, FileForm(), decimal=",")
    found = pd.concat(pieces(file))
    # Numbers come with the hospital's own decimal mark, so one rule reads them all.
    assert found["VAS"].tolist() == ["7,3", "54"]
    assert found["Tag"].tolist() == ["2020-05-31", "31.05.2020"]
    assert found.index.tolist() == [2, 4]


def test_a_merged_header_is_refused_and_a_lower_one_can_be_named(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Patient", None, "Schmerz", None])
    sheet.append(["Nr", "Alter", "VAS", "NRS"])
    sheet.append(["p1", 54, 70, 7])
    sheet.merge_cells("A1:B1")
    sheet.merge_cells("C1:D1")
    path = tmp_path / "a.xlsx"
    book.save(path)
    with pytest.raises(DataRefused, match=r"columns B, D have no name there.*say header_row = 2"):
        texts(path)
    assert texts(path, header_row=2)["VAS"].tolist() == ["70"]


def test_a_workbook_of_several_sheets_wants_one_named(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["a"])
    book.create_sheet("Daten").append(["a"])
    path = tmp_path / "a.xlsx"
    book.save(path)
    with pytest.raises(DataRefused, match="it has the sheets Sheet, Daten"):
        texts(path)
    with pytest.raises(DataRefused, match="Did you mean Daten"):
        texts(path, sheet="daten")
    path.write_bytes(b"PK but not a workbook")
    with pytest.raises(DataRefused, match="no Excel workbook"):
        texts(path)


@pytest.mark.parametrize("ending", [".dta", ".sav"])
def test_stata_and_spss_come_with_their_words(tmp_path, ending):
    import pyreadstat

    frame = pd.DataFrame({"nr": ["a", "b"], "rauch": [1.0, 2.0], "vas": [7.5, math.nan]})
    path = tmp_path / f"a{ending}"
    write = pyreadstat.write_dta if ending == ".dta" else pyreadstat.write_sav
    write(frame, str(path), variable_value_labels={"rauch": {1: "ja", 2: "nein"}})
    found = texts(path)
    assert found.to_dict("list") == {"nr": ["a", "b"], "rauch": ["ja", "nein"], "vas": ["7.5", ""]}
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataRefused, match="or damaged"):
        texts(path)


def test_parquet_is_read_in_pieces(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"a": range(10), "b": [0.5] * 10}).to_parquet(path)
    found = list(pieces(ForeignFile(path, decimal=","), ["b"], rows=4))
    assert [piece.index[0] for piece in found] == [2, 6, 10]
    assert pd.concat(found)["b"].tolist() == ["0,5"] * 10


def test_other_kinds_of_files_are_refused(tmp_path):
    with pytest.raises(UsageRefused, match=r"allowed: \.csv"):
        column_names(ForeignFile(tmp_path / "a.docx"))
    with pytest.raises(UsageRefused, match="cannot be read"):
        column_names(ForeignFile(tmp_path / "nowhere.csv"))


# --- words and the invented hospital --------------------------------------------------------------


def test_the_aliases_name_only_what_the_registry_has(registry):
    known = targets(registry)
    for name, alias in words().columns.items():
        levels = set(known[name].levels)
        assert not alias.levels or set(alias.levels) <= levels, name
        assert not alias.bands or set(alias.bands) == levels, name
        given = set(alias.prefixes.codes.values()) - {"?"} if alias.prefixes else set()
        assert given <= levels, name
        assert all(way.by in COMBINATIONS for way in alias.ways), name
        assert all(part in words().ingredients for way in alias.ways for part in way.of), name


def test_what_we_ask_before_surgery_looks_so_and_the_follow_up_does_not(registry):
    for target in targets(registry).values():
        for name in words().columns[target.name].names:
            if target.side == "before":
                assert not looks_postoperative(name), name
        if target.side == "after":
            assert looks_postoperative(target.name), target.name


@pytest.mark.parametrize(
    "name", ["ODI_12M", "VAS nach OP", "Nachuntersuchung_am", "pod1am_cough", "intraOp_size", "LOS"]
)
def test_what_came_after_the_operation_is_told_by_its_name(name):
    assert looks_postoperative(name)


@pytest.mark.parametrize("name", ["preOp_pain", "Schmerzdauer", "Alter", "OP_Datum", "VAS_Rücken"])
def test_what_is_known_before_is_not_taken_for_later(name):
    assert not looks_postoperative(name)


def test_the_invented_hospital_is_the_same_by_the_same_seed(registry, cohorts):
    made = simulate(registry, 500, 7).frame()
    pd.testing.assert_frame_equal(untidy(made, 7), untidy(made, 7))
    other = untidy(made, 8)
    assert not other.equals(untidy(made, 7))
    assert set(hospital().columns) <= set(targets(registry))
    # Its ids say that nobody in it is real.
    assert other["Fallnummer"].str.startswith("simulated-").all()


def test_the_invented_hospital_has_what_makes_a_file_untidy(cohorts):
    text = cohorts[1].read_bytes().decode("cp1252")
    assert all(sign in text for sign in (";", "-9", "k.A.", "92,1", "weibl.", "Opioide_12M"))
    frame = pd.read_csv(cohorts[1], sep=";", encoding="cp1252", dtype="str")
    assert frame["Fallnummer"].duplicated().sum() > 10
