"""The drafted mapping: what it is sure of, what it leaves open, what it never shows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecast.errors import DataRefused, UsageRefused
from spinecast.simulator.synthetic import simulate
from spinecast.site.declaration import parse_site
from spinecast.site.draft_text import as_toml, written
from spinecast.site.drafting import Draft, draft
from spinecast.site.proposing import QUOTED
from spinecast.site.reconciling import read_site
from spinecast.site.untidy import untidy, write_untidy
from test_cli import spinecast

ROOT = Path(__file__).parents[1]
WORKED_EXAMPLE = ROOT / "data" / "untidy" / "site.toml"


@pytest.fixture(scope="module")
def theirs(registry, tmp_path_factory) -> Path:
    """The invented hospital's file."""
    path = tmp_path_factory.mktemp("hospital") / "hospital.csv"
    write_untidy(untidy(simulate(registry, 500, 7).frame(), 7), path)
    return path


@pytest.fixture(scope="module")
def drafted(registry, theirs) -> Draft:
    return draft(theirs, registry)


def columns(path: Path, cells: dict[str, list[object]]) -> Path:
    """A CSV file of these columns."""
    rows = zip(*cells.values(), strict=True)
    lines = [",".join(cells), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def line_of(made: Draft, name: str):
    return next((line for line in made.lines if line.name == name), None)


# --- what it writes -------------------------------------------------------------------------------


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4))
def test_whatever_a_hospital_calls_it_is_written_as_toml(words):
    words = {key: text for key, text in words.items() if "\x7f" not in key}
    text = f"levels = {written(words)}"
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, which no file can hold
        return
    assert tomllib.loads(text)["levels"] == words


def test_the_draft_is_a_mapping_that_waits_for_its_decisions(registry, drafted, tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(as_toml(drafted), encoding="utf-8")
    assert len(list(parse_site(path).open())) == len(drafted.decisions) > 0
    with pytest.raises(UsageRefused, match="has open decisions"):
        read_site(path, registry)


def test_the_worked_example_is_the_draft_with_its_decisions(registry, drafted, tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(as_toml(drafted), encoding="utf-8")
    proposed, decided = parse_site(path), read_site(WORKED_EXAMPLE, registry)
    # A person added what the draft cannot know, and took nothing else back.
    assert set(decided.columns) - set(proposed.columns) == {"diabetes"}
    for name, line in proposed.columns.items():
        mine = decided.columns[name]
        assert (mine.sources, mine.by, mine.units) == (line.sources, line.by, line.units), name
        assert mine.unit == line.unit or line.unit == "?", name
        for word, level in line.levels.items():
            assert level in ("?", mine.levels[word]), (name, word)
    assert (
        (decided.decimal, decided.dates)
        == (proposed.decimal, proposed.dates)
        == (",", "DD.MM.YYYY")
    )


def test_every_line_says_how_sure_it_is_and_why(drafted):
    text = as_toml(drafted)
    for line in drafted.lines:
        assert line.reasons, line.name
        assert line.confidence is None or 0.5 < line.confidence <= 1
    top = text.split("site = ")[0]
    assert all(
        " ".join(decision.split()[:2]) in " ".join(top.split()) for decision in drafted.decisions
    )


# --- what it leaves open --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "values", "unit"),
    [
        ("rueckenschmerz", [0, 3, 7, 9, 10], "?"),  # 0-10, or a VAS nobody marked beyond 10 mm
        ("rueckenschmerz", [0, 30, 70, 90, 100], "0-100"),
        ("nrs ruecken", [0, 3, 7, 9, 10], "0-10"),  # the name says so
        ("rueckenschmerz mm", [0, 3, 7, 9, 10], "0-100"),
    ],
)
def test_a_unit_is_never_guessed_when_two_are_possible(registry, tmp_path, header, values, unit):
    made = draft(columns(tmp_path / "a.csv", {"id": range(50), header: values * 10}), registry)
    line = line_of(made, "nrs_back")
    assert line.keys["unit"] == unit
    assert bool(line.open) == (unit == "?")


def test_an_odi_below_50_may_be_raw_and_one_above_may_not(registry, tmp_path):
    for top, unit in ((50, "?"), (80, "0-100")):
        odi = [top - 2 * n for n in range(25)] * 2
        made = draft(columns(tmp_path / "a.csv", {"id": range(50), "odi": odi}), registry)
        assert line_of(made, "odi_baseline").keys["unit"] == unit


@pytest.mark.parametrize(
    ("height", "weight", "units"),
    [
        ([178, 165], [80, 70], ["cm", "kg"]),
        ([1.78, 1.65], [80, 70], ["m", "kg"]),
        ([70, 65], [198, 176], ["inch", "lb"]),
    ],
)
def test_height_and_weight_make_an_index_in_the_only_units_that_can_be(
    registry, tmp_path, height, weight, units
):
    cells = {"id": range(50), "height": height * 25, "weight": weight * 25}
    line = line_of(draft(columns(tmp_path / "a.csv", cells), registry), "bmi")
    assert (line.keys["columns"], line.keys["by"]) == (["height", "weight"], "body mass index")
    assert line.keys["units"] == units


def test_ones_and_twos_are_a_question(registry, tmp_path):
    cells = {
        "id": range(50),
        "diabetes": [1, 2] * 25,
        "sex": [1, 2] * 25,
        "hypertension": [0, 1] * 25,
    }
    made = draft(columns(tmp_path / "a.csv", cells), registry)
    assert line_of(made, "diabetes").keys["levels"] == {"1": "?", "2": "?"}
    assert line_of(made, "sex").keys["levels"] == {"1": "?", "2": "?"}
    assert line_of(made, "hypertension").keys["levels"] == {"0": "no", "1": "yes"}


def test_a_day_that_may_be_a_month_is_a_question(registry, tmp_path):
    for last, dates in (
        ("12/11/2020", "?"),
        ("31/12/2020", "DD/MM/YYYY"),
        ("12/31/2020", "MM/DD/YYYY"),
    ):
        days = [f"0{n % 9 + 1}/0{n % 7 + 1}/2020" for n in range(39)] + [last] * 11
        cells = {"id": range(50), "surgery date": days}
        assert draft(columns(tmp_path / "a.csv", cells), registry).head["dates"] == dates


def test_columns_that_write_dates_differently_each_say_how(registry, tmp_path):
    cells = {
        "id": range(50),
        "surgery date": [f"{n % 28 + 1}.01.2020" for n in range(50)],
        "follow up date": [f"01/{n % 28 + 1}/2021" for n in range(50)],
    }
    made = draft(columns(tmp_path / "a.csv", cells), registry)
    assert "dates" not in made.head
    assert line_of(made, "index_date").keys["dates"] == "DD.MM.YYYY"
    assert line_of(made, "followup_date").keys["dates"] == "MM/DD/YYYY"


def test_minus_nine_is_unknown_only_where_it_cannot_be_an_answer(registry, tmp_path):
    cells = {"id": range(50), "nrs back": [-9, 1, 2, 3, 10] * 10, "pi ll": [-9, -8, 2, 3, 40] * 10}
    made = draft(columns(tmp_path / "a.csv", cells), registry)
    assert line_of(made, "nrs_back").keys["unknown"] == ["-9"]
    assert "unknown" not in line_of(made, "pi_ll_mismatch").keys


def test_codes_of_a_classification_are_proposed_where_they_leave_no_choice(registry, tmp_path):
    cells = {"id": range(50), "icd10": ["M48.06", "M51.2", "M51.2", "M41.8", "M48.06"] * 10}
    line = line_of(draft(columns(tmp_path / "a.csv", cells), registry), "lesion_type")
    assert line.keys["prefixes"]["M51.2"] == "?"
    assert line.keys["prefixes"]["M48.0"] != "?"
    assert any("Recalled" in reason for reason in line.reasons)


def test_a_column_that_could_be_either_is_named_beside_and_not_chosen(registry, tmp_path):
    cells = {"id": range(50), "vas back a": [1, 90] * 25, "vas back b": [2, 80] * 25}
    line = line_of(draft(columns(tmp_path / "a.csv", cells), registry), "nrs_back")
    assert line.keys == {"column": ""}
    assert "vas back a" in line.open[0]
    assert "vas back b" in line.open[0]


# --- what it never does ---------------------------------------------------------------------------


def test_what_came_after_the_operation_is_never_offered_as_a_factor(registry, drafted, tmp_path):
    assert drafted.later == ("Opioide_12M",)
    cells = {
        "id": range(50),
        "depression nach op": ["ja", "nein"] * 25,
        "age at discharge": [50, 60] * 25,
    }
    made = draft(columns(tmp_path / "a.csv", cells), registry)
    assert line_of(made, "depression") is None
    assert line_of(made, "age") is None
    assert set(made.later) == {"depression nach op", "age at discharge"}


def test_no_patient_can_be_told_from_a_draft(registry, tmp_path):
    rare = ["Müller", "gelegentlich, nur bei Familienfeiern"]
    cells = {
        "id": [f"case-{n}" for n in range(50)],
        "name": [f"Name{n}" for n in range(50)],
        "raucher": ["nie"] * (50 - QUOTED - 1) + ["ehemalig"] * (QUOTED - 1) + [*rare[:1], "ex"],
        "surgery date": [f"2020-01-{n % 28 + 1:02}" for n in range(50)],
        "odi": [13] + [20] * 48 + [47],
    }
    text = as_toml(draft(columns(tmp_path / "a.csv", cells), registry))
    assert "nie = " in text
    for hidden in ("case-1", "Name1", "Müller", "ehemalig", "2020-01", "13", "47"):
        assert hidden not in text


def test_a_file_without_ids_is_asked_about(registry, tmp_path):
    made = draft(
        columns(tmp_path / "a.csv", {"age": [50, 60] * 25, "bmi": [22, 30] * 25}), registry
    )
    assert line_of(made, "patient_id").keys == {"by": "?"}


def test_an_open_word_is_asked_with_the_answers_there_are(registry, tmp_path):
    rows = {"patient_id": [f"p{at}" for at in range(50)], "hypertension": ["1", "2"] * 25}
    made = draft(columns(tmp_path / "a.csv", rows), registry)
    asked = "levels: what '1', '2' mean, of no, yes"
    assert line_of(made, "hypertension").open == (asked,)
    assert f"# DECIDE {asked}\n" in as_toml(made)


def test_what_is_open_for_the_whole_file_is_asked_where_it_stands(registry, theirs):
    lines = as_toml(draft(theirs, registry)).splitlines()
    at = lines.index('repeated = "?"')
    assert any(line.startswith("# DECIDE repeated: ") for line in lines[at - 2 : at])


def test_an_empty_file_cannot_be_drafted(registry, tmp_path):
    path = tmp_path / "a.csv"
    for text in ("", "a,b\n"):
        path.write_text(text)
        with pytest.raises(DataRefused):
            draft(path, registry)


# --- the commands ---------------------------------------------------------------------------------


def test_the_journey_from_the_hospitals_file_to_scores(registry, theirs, bundle_folder, tmp_path):
    out = tmp_path / "site.toml"
    made = spinecast("map", theirs, "--out", out)
    assert made.code == 0
    assert "A person has to decide" in made.out
    assert spinecast("map", theirs, "--out", out).code == UsageRefused.exit_code
    for command in (["check", theirs], ["score", theirs, "--model", bundle_folder]):
        refused = spinecast(*command, "--site", out)
        assert refused.code == UsageRefused.exit_code
        assert "not decided" in refused.err

    checked = spinecast("check", theirs, "--site", WORKED_EXAMPLE)
    assert checked.code == 0
    assert "ODI_Summe" in checked.out
    assert "500 rows: 500 accepted, 0 rejected." in checked.out
    assert "another row of the same patient is used: 2" in checked.out

    scores = tmp_path / "scores.csv"
    scored = spinecast(
        "score", theirs, "--model", bundle_folder, "--site", WORKED_EXAMPLE, "--out", scores
    )
    assert (scored.code, len(scores.read_text().splitlines())) == (0, 501)
    judged = spinecast(
        "validate",
        theirs,
        "--model",
        bundle_folder,
        "--site",
        WORKED_EXAMPLE,
        "--out",
        tmp_path / "v",
    )
    assert judged.code == 0
    assert "AUROC" in judged.out


def test_a_hospitals_workbook_scores_as_its_text_does(registry, bundle_folder, tmp_path):
    made = untidy(simulate(registry, 60, 3).frame(), 3)
    files = [tmp_path / "a.csv", tmp_path / "a.xlsx"]
    told = []
    for path in files:
        write_untidy(made, path)
        answer = spinecast(
            "score", path, "--model", bundle_folder, "--site", WORKED_EXAMPLE, "--format", "json"
        )
        assert answer.code == 0
        told.append(answer.out)
    assert told[0] == told[1]


def test_a_training_remembers_through_which_mapping_it_read(registry, theirs):
    from spinecast.cohorts.labelled import read_labelled

    site = read_site(WORKED_EXAMPLE, registry)
    assert read_labelled(theirs, registry, site=site).facts.mapping_sha256 == site.sha256 != ""


@pytest.mark.parametrize("own", ["hospital.csv", "hospital.xlsx", "semicolons.csv", "strange.csv"])
def test_a_hospitals_file_without_its_mapping_is_told_of_map(theirs, tmp_path, own):
    (tmp_path / "hospital.csv").write_bytes(theirs.read_bytes())
    (tmp_path / "hospital.xlsx").write_bytes(b"")
    (tmp_path / "semicolons.csv").write_text("Nr;Alter\n1;50\n")
    (tmp_path / "strange.csv").write_text("Nr,Alter\n1,50\n")
    assert "`spinecast map FILE --out site.toml`" in spinecast("check", tmp_path / own).err
