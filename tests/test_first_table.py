from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest

from spinecast.judging.characteristics import Groups, by_outcome, characteristics_of
from spinecast.judging.first_table import KEPT_BACK, first_table, write_first_table
from spinecast.simulator.synthetic import simulate


@pytest.fixture(scope="module")
def made(registry):
    return simulate(registry, 300, 4)


@pytest.fixture(scope="module")
def failed(made):
    failed = made.outcome.astype(float)
    failed[::4] = math.nan
    return failed


def table(made, failed, **options):
    return first_table(made.registry, made.codes, failed, made.site_name, **options)


def counts(cells) -> list[int]:
    return [int(re.match(r"[\d,]+", cell).group().replace(",", "")) for cell in cells]


def test_outcomes_and_sites_add_up_to_all(made, failed):
    told = table(made, failed, keep_back=False)
    assert told.heads[:5] == ("", "All", "Failed", "Did not fail", "Outcome not known")
    assert told.heads[-1] == "Published"
    for row in told.rows:
        if "(" in row[1] and " to " not in row[1]:
            everyone, *parts = counts(row[1:-1])
            assert sum(parts[:3]) == everyone
            assert sum(parts[3:]) == everyone


def test_in_brief_it_has_no_sites(made, failed):
    told = table(made, failed, keep_back=False, in_brief=True)
    assert told.heads == ("", "All", "Failed", "Did not fail", "Published")
    assert {len(row) for row in told.rows} == {5}


def test_no_small_count_is_written_and_the_screen_shows_it(made, failed):
    kept = table(made, failed, keep_back=True)
    shown = table(made, failed, keep_back=False)
    small = 0
    for hidden, told in zip(kept.rows, shown.rows, strict=True):
        for one, other in zip(hidden[1:-1], told[1:-1], strict=True):
            if "(" in other and " to " not in other and 0 < counts([other])[0] < 5:
                assert one == KEPT_BACK
                small += 1
    assert small > 10
    assert "kept back" in kept.note
    assert "kept back" not in shown.note


@pytest.mark.parametrize("seed", range(6))
def test_no_small_count_can_be_worked_out_from_the_rest_of_its_row(registry, seed):
    # What is hidden in a block is the total less what is shown: one to four patients give it away.
    made = simulate(registry, 60, seed)
    failed = np.where(np.arange(60) % 5 == 0, math.nan, made.outcome)
    told = table(made, failed, keep_back=True)
    blocks = (slice(2, 5), slice(5, -1))
    hidden = 0
    for row in told.rows[1:]:
        if row[0].strip() == "not known" or row[1] in ("", KEPT_BACK) or " to " in row[1]:
            continue
        for block in blocks:
            cells = row[block]
            if KEPT_BACK in cells:
                left = counts(row[1:2])[0] - sum(counts([c for c in cells if c != KEPT_BACK]))
                assert left >= 5
                assert cells.count(KEPT_BACK) > 1
                hidden += 1
    assert hidden


def test_a_number_is_told_by_its_quartiles_beside_the_published(made, failed):
    told = table(made, failed, keep_back=False)
    age = next(row for row in told.rows if row[0] == "Age (years)")
    column = made.codes[:, made.registry.names.index("age")]
    low, median, high = np.nanquantile(column, (0.25, 0.5, 0.75))
    assert age[1] == f"{median:.3g} ({low:.3g} to {high:.3g})"
    published = float(age[-1].split()[0])
    assert published == pytest.approx(median, abs=4)


def test_any_groups_can_be_the_columns(made):
    everyone = Groups(("these",), np.zeros(len(made.codes), dtype=np.intp))
    for one in characteristics_of(made.registry, made.codes, everyone):
        assert one.known["these"] == one.known["all"]


def test_groups_by_outcome_are_those_of_the_report(made, failed):
    of = by_outcome(failed).of
    assert [(of == at).sum() for at in range(3)] == [
        (failed == 1).sum(),
        (failed == 0).sum(),
        np.isnan(failed).sum(),
    ]


@pytest.mark.parametrize("ending", [".csv", ".html", ".md"])
def test_it_is_written_whole_in_every_form(made, failed, tmp_path, ending):
    told = table(made, failed, keep_back=True)
    write_first_table(told, tmp_path / f"table{ending}")
    text = (tmp_path / f"table{ending}").read_text(encoding="utf-8")
    assert "Published" in text
    if ending == ".csv":
        again = pd.read_csv(tmp_path / "table.csv", dtype=str, keep_default_na=False)
        assert again.to_numpy().tolist() == [list(row) for row in told.rows]


def test_a_sites_name_cannot_break_out_of_the_page(made, failed):
    site = np.where(made.site == 0, "<script>|x", "b").astype(object)
    told = first_table(made.registry, made.codes, failed, site, keep_back=True)
    assert "<script>" not in told.to_html()
    assert "\\|x" in told.to_markdown()
