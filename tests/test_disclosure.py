"""No count of one to four is shown, nor can it be worked out from what is shown."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spinecast.disclosure import FEWEST, may_be_shown

tables = st.integers(1, 3).flatmap(
    lambda columns: st.lists(
        st.lists(st.integers(0, 30), min_size=columns, max_size=columns), min_size=1, max_size=6
    )
)


def _whole(table):
    counts = np.array(table)
    return np.column_stack([counts, counts.sum(axis=1)]) if counts.shape[1] > 1 else counts


@given(tables)
def test_nothing_small_is_shown(table):
    counts = _whole(table)
    shown = may_be_shown(table)
    assert shown.shape == counts.shape
    assert not ((counts > 0) & (counts < FEWEST) & shown).any()


@given(tables)
def test_what_is_hidden_in_a_column_is_never_one_small_cell(table):
    counts, shown = _whole(table), may_be_shown(table)
    for column, told in zip(counts.T, shown.T, strict=True):
        hidden = column[~told]
        left = column[told & (column > 0)]
        if len(hidden) and len(left):
            assert len(hidden) > 1
            assert hidden.sum() >= FEWEST


@given(tables)
def test_a_total_beside_its_parts_gives_none_of_them_away(table):
    counts, shown = _whole(table), may_be_shown(table)
    if counts.shape[1] == 1:
        return
    for row, told in zip(counts, shown, strict=True):
        hidden = row[:-1][~told[:-1]]
        if told[-1] and len(hidden):
            assert len(hidden) > 1
            assert hidden.sum() >= FEWEST


@given(tables)
def test_large_counts_are_all_shown(table):
    assert may_be_shown(np.array(table) + FEWEST).all()


def test_by_hand():
    # 3 is small; its row mate and the smallest of its column follow, and that one's row mate.
    shown = may_be_shown([[3, 20], [10, 40], [30, 50]])
    assert shown.tolist() == [[False, False, True], [False, False, True], [True, True, True]]


def test_few_unknown_hide_only_themselves():
    shown = may_be_shown([[60, 90], [40, 110], [2, 3]], unknown_last=True)
    assert shown.tolist() == [[True] * 3, [True] * 3, [False, False, True]]
