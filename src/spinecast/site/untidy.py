"""A tidy cohort as an invented hospital would have written it down: for trying a mapping.

Foreign names and words, other units, decimal commas, dates by day first, 1 for yes and 2 for no,
-9 for unknown, misspelt words, patients in several rows, columns nobody asked for. `untidy.toml`
says how; the same seed writes the same file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from spinecast.errors import Problem, UsageRefused
from spinecast.files import whole_file
from spinecast.knowledge.declared import Declared, Names, Share
from spinecast.patients.answers import INDEX_DATE
from spinecast.patients.patient import PATIENT_ID

ENDINGS = (".csv", ".xlsx")
ENCODING, DELIMITER = "cp1252", ";"
HEIGHT_CM = (155, 195)
DAYS_BETWEEN = (60, 900)
"""How long before the operation that counts a repeated patient's earlier one was."""


class Written(Declared):
    """How the hospital writes one of our columns (see `untidy.toml`)."""

    names: Names
    how: Literal["", "height and weight", "birth date", "since", "either"] = Field("", alias="as")
    times: float = 1.0
    levels: dict[str, str] = Field(default={})
    typos: dict[str, Names] = Field(default={})
    days: dict[str, tuple[int, int]] = Field(default={}, strict=False)
    unknown: str = ""


class Junk(Declared):
    """A column nobody asked for: its cells are drawn from some texts."""

    name: str
    texts: Names


class Hospital(Declared):
    """The whole hospital."""

    typo_share: Share
    repeated_share: Share
    junk: tuple[Junk, ...] = Field(strict=False)
    columns: Mapping[str, Written]


@cache
def hospital() -> Hospital:
    """The invented hospital that comes with spinecast."""
    text = resources.files("spinecast.site").joinpath("untidy.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    for table in tables["columns"].values():
        table["days"] = {k: tuple(v) for k, v in table.get("days", {}).items()}
    return Hospital.model_validate(tables)


def untidy(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A cohort in our columns, as the hospital would have written it; the same by the same seed.

    Args:
        table: text, as `Synthetic.frame` or `read_table` give it; columns the hospital does not
            keep are left out.
        seed: of the heights, birthdays, misspellings and repeated patients.
    """
    rng = np.random.default_rng(seed)
    told = hospital()
    ours = table.astype("str").fillna("")
    days = pd.to_datetime(ours[INDEX_DATE], errors="coerce")
    clerk = _Clerk(days, rng)
    written: dict[str, list[str]] = {}
    for name, how in told.columns.items():
        if name in ours:
            made = clerk.write(ours[name].tolist(), how)
            written.update(
                zip(how.names, (_misspelt(m, how, told, rng) for m in made), strict=True)
            )
    for junk in told.junk:
        written[junk.name] = rng.choice(junk.texts, len(ours)).tolist()
    return _repeated(pd.DataFrame(written, dtype="str"), told, rng)


def write_untidy(table: pd.DataFrame, path: Path | str) -> None:
    """Write the hospital's file: semicolons and cp1252 in a .csv, or an .xlsx.

    Raises:
        UsageRefused: another ending, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        problem = Problem(str(path), "its ending is not known", "allowed: " + ", ".join(ENDINGS))
        raise UsageRefused("The file was not written", [problem])
    with whole_file(path) as unfinished:
        if path.suffix.lower() == ".csv":
            table.to_csv(
                unfinished, sep=DELIMITER, encoding=ENCODING, index=False, lineterminator="\n"
            )
        else:
            table.to_excel(unfinished, index=False, engine="openpyxl")


# --- ways of writing ------------------------------------------------------------------------------


def _number(number: float, digits: int = 6) -> str:
    """A number with a decimal comma."""
    return f"{number:.{digits}g}".replace(".", ",")


def _day(date: pd.Timestamp) -> str:
    return "" if pd.isna(date) else date.strftime("%d.%m.%Y")


def _cell(text: str, how: Written) -> str:
    if not text:
        return how.unknown
    if how.levels:
        return how.levels[text]
    if len(text) == len("2024-05-31") and text[4] == "-":
        return _day(pd.Timestamp(text))
    try:
        return _number(float(text) * how.times)
    except ValueError:
        return text


@dataclass(frozen=True)
class _Clerk:
    """Who writes our columns down as the hospital's: the dates of the operations, and a chance."""

    days: pd.Series[Any]
    rng: np.random.Generator

    def write(self, cells: list[str], how: Written) -> list[list[str]]:
        """The cells of each of the hospital's columns for one of ours."""
        ways = {
            "": self.plainly,
            "height and weight": self.height_and_weight,
            "birth date": self.birth_date,
            "since": self.since,
            "either": self.either,
        }
        return ways[how.how](cells, how)

    def plainly(self, cells: list[str], how: Written) -> list[list[str]]:
        """Each cell in the hospital's words."""
        return [[_cell(text, how) for text in cells]]

    def height_and_weight(self, cells: list[str], how: Written) -> list[list[str]]:
        """A height is drawn; the weight follows from it and the index."""
        heights = self.rng.integers(*HEIGHT_CM, len(cells))
        weights = [
            _number(round(float(text) * (cm / 100) ** 2, 1)) if text else how.unknown
            for text, cm in zip(cells, heights.tolist(), strict=True)
        ]
        return [[str(cm) for cm in heights.tolist()], weights]

    def birth_date(self, cells: list[str], how: Written) -> list[list[str]]:
        """A day so many years and some days before the operation."""
        since = self.rng.integers(1, 360, len(cells)).tolist()
        return [
            [
                _day(day - pd.DateOffset(years=int(float(text))) - pd.Timedelta(days=more))
                if text and not pd.isna(day)
                else how.unknown
                for text, day, more in zip(cells, self.days, since, strict=True)
            ]
        ]

    def since(self, cells: list[str], how: Written) -> list[list[str]]:
        """A day before the operation, drawn from what the level allows."""
        before = [int(self.rng.integers(*how.days[text])) if text else 0 for text in cells]
        return [
            [
                _day(day - pd.Timedelta(days=more)) if text and not pd.isna(day) else how.unknown
                for text, day, more in zip(cells, self.days, before, strict=True)
            ]
        ]

    def either(self, cells: list[str], how: Written) -> list[list[str]]:
        """A yes goes to one of the two columns, a no to both."""
        no, yes = how.levels.values()
        first = self.rng.random(len(cells)) < 1 / 2
        return [
            [
                how.unknown if not text else yes if how.levels[text] == yes and mine else no
                for text, mine in zip(cells, here.tolist(), strict=True)
            ]
            for here in (first, ~first)
        ]


# --- what goes wrong ------------------------------------------------------------------------------


def _misspelt(
    cells: list[str], how: Written, told: Hospital, rng: np.random.Generator
) -> list[str]:
    slips = rng.random(len(cells)) < told.typo_share
    return [
        str(rng.choice(how.typos[text])) if slip and text in how.typos else text
        for text, slip in zip(cells, slips.tolist(), strict=True)
    ]


def _repeated(table: pd.DataFrame, told: Hospital, rng: np.random.Generator) -> pd.DataFrame:
    """Some patients also stand in a row of an earlier operation, without follow-up, anywhere."""
    date = told.columns[INDEX_DATE].names[0]
    again = table[rng.random(len(table)) < told.repeated_share].copy()
    operated = pd.to_datetime(again[date], format="%d.%m.%Y")
    earlier = operated - pd.to_timedelta(rng.integers(*DAYS_BETWEEN, len(again)), unit="D")
    again[date] = earlier.dt.strftime("%d.%m.%Y").astype("str")
    # What was asked back then differs: cells of another patient stand in for it.
    own = [name for key in (PATIENT_ID, INDEX_DATE) for name in told.columns[key].names]
    others = [str(name) for name in table if name not in own]
    if len(again):
        again[others] = (
            table[others].sample(len(again), random_state=int(rng.integers(1 << 31))).to_numpy()
        )
    order = rng.permutation(len(table) + len(again))
    return pd.concat([table, again]).iloc[order].reset_index(drop=True)
