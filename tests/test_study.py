from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from spinecast.errors import UsageRefused
from spinecast.reports.study import KEYS, TABLES, Study, read_study

EXAMPLE = Path(__file__).parents[1] / "experiments" / "study.example.toml"


def written(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path) -> UsageRefused:
    with pytest.raises(UsageRefused) as refused:
        read_study(path)
    assert refused.value.exit_code == 2
    assert refused.value.__cause__ is None
    return refused.value


# --- the template --------------------------------------------------------------------------------


def test_the_example_is_a_blank_study():
    study = read_study(EXAMPLE)
    assert study == Study()
    assert study.blanks() == KEYS


def test_the_example_names_every_key_and_no_other():
    text = EXAMPLE.read_text(encoding="utf-8")
    shown = tomllib.loads(text)
    assert list(shown) == list(TABLES)
    for table, model in TABLES.items():
        part = text.split(f"\n[{table}]")[1].split("\n[")[0]
        named = set(re.findall(r"(?m)^(?:# )?(\w+) =", part))
        assert named == set(model.model_fields), table


# --- blanks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", ["", "  ", "TODO", "to do: ask Ann", "tbd", "...", "???", "-", "\n"]
)
def test_words_that_say_nothing_are_missing(tmp_path, words):
    study = read_study(written(tmp_path, f'[conduct]\nfunding = """{words}"""'))
    assert study.get("conduct.funding") == ""
    assert "conduct.funding" in study.blanks()


@pytest.mark.parametrize("words", ["None", "none", "Today's committee", "Stodden fund", "0"])
def test_words_that_say_that_there_is_none_are_an_answer(tmp_path, words):
    study = read_study(written(tmp_path, f'[conduct]\nfunding = "{words}"'))
    assert study.get("conduct.funding") == words
    assert "conduct.funding" not in study.blanks()


def test_dates_thresholds_and_lists_are_read_back_as_words(tmp_path):
    text = "[data]\naccrual_start = 2021-03-01\n[use]\nthresholds = [0.1, 0.4]\n"
    study = read_study(written(tmp_path, f'{text}[release]\nkeywords = ["spine", "TBD", "risk"]'))
    assert study.get("data.accrual_start") == "2021-03-01"
    assert study.use.thresholds == (0.1, 0.4)
    assert study.get("use.thresholds") == "0.1 to 0.4"
    assert study.get("release.keywords") == "spine, risk"


def test_a_key_that_does_not_exist_is_not_merely_blank():
    for key in ("conduct.founding", "conduct", "", "nothing.at_all", "conduct.funding.more"):
        with pytest.raises(KeyError):
            Study().get(key)


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[conduct]\nfounding = "x"', "[conduct] founding"),
        ('[condukt]\nfunding = "x"', "condukt"),
        ("conduct = 3", "conduct"),
        ("[conduct]\nfunding = 3", "[conduct] funding"),
        ('[report]\nobjective = "fun"', "[report] objective"),
        ('[data]\naccrual_start = "2021-03-01"', "[data] accrual_start"),
        ("[use]\nthresholds = [0.4, 0.1]", "[use] thresholds"),
        ("[use]\nthresholds = [0.0, 0.1]", "[use] thresholds"),
        ("[use]\nthresholds = [0.2]", "[use] thresholds"),
        ("[use]\nthresholds = [10, 40]", "[use] thresholds"),
        ("[use]\nthresholds = [nan, 0.4]", "[use] thresholds"),
        ("[data]\naccrual_start = 2021-03-01\nfollowup_end = 2020-01-01", "[data] followup_end"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_stands(tmp_path, text, where):
    (problem, *_) = refusal(written(tmp_path, text)).problems
    assert problem.where.startswith(f"study.toml {where}")


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    text = '[conduct]\na = "x"\nb = "y"\n[use]\nthresholds = [0.4, 0.1]\nrole = 1\n[nowhere]\n'
    text += "[data]\naccrual_start = 2021-03-01\naccrual_end = 2020-03-01"
    assert len(refusal(written(tmp_path, text)).problems) == 6


@pytest.mark.parametrize("content", [b"[conduct", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_refused(tmp_path, content):
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    assert "TOML" in str(refusal(path))


def test_a_missing_file_is_refused_with_where_to_start(tmp_path):
    assert "study.example.toml" in str(refusal(tmp_path / "study.toml"))
    assert refusal(tmp_path).problems
