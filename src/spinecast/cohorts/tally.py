"""What became of the rows of a cohort, in counts that add up over its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spinecast.cohorts.cohort import CheckedCohort
from spinecast.patients.reasons import Reasons


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows in counts; `+` of those of two neighbouring parts is that of both.

    Attributes:
        accepted: rows without a fault.
        rejected: rows with one.
        reasons: which, and where.
        unknown: for every factor, of how many accepted patients it is unknown.
        ignored_columns: columns that the registry does not know.
        absent_columns: factors and scope questions without a column.
        suggestions: ignored columns that look like a misspelt absent one, with its name.
        has_simulated: whether any accepted patient was simulated.
        remarks: how the rows were read, where that was not simply as they stand.
        empty_rows: rows without any entry, between others; they are no patients.
        set_aside: rows of a patient of whom a mapping chose another row.
        span: the places of the first and the last row with an entry, where parts are counted.
    """

    accepted: int
    rejected: int
    reasons: Reasons
    unknown: Mapping[str, int]
    ignored_columns: tuple[str, ...]
    absent_columns: tuple[str, ...]
    suggestions: Mapping[str, str]
    has_simulated: bool
    remarks: tuple[str, ...] = ()
    empty_rows: int = 0
    set_aside: int = 0
    span: tuple[int, int] | None = None

    @classmethod
    def of(
        cls,
        checked: CheckedCohort,
        reasons: Reasons | None = None,
        span: tuple[int, int] | None = None,
    ) -> Tally:
        """The counts of a table, or of a part of a cohort whose reasons name their place in it."""
        return cls(
            len(checked.accepted),
            len(checked.rejected),
            reasons or Reasons.of(checked.rejected),
            checked.unknown,
            checked.ignored_columns,
            checked.absent_columns,
            checked.suggestions,
            checked.accepted.has_simulated,
            checked.remarks,
            checked.empty_rows,
            checked.set_aside,
            span,
        )

    @property
    def rows_read(self) -> int:
        """How many rows there were, without those that are no patients or set aside."""
        return self.accepted + self.rejected

    @property
    def unknown_share(self) -> dict[str, float]:
        """For every factor the share of accepted patients where it is unknown."""
        return {name: count / self.accepted for name, count in self.unknown.items()}

    def __add__(self, other: Tally) -> Tally:
        factors = self.unknown or other.unknown
        spans = [span for span in (self.span, other.span) if span]
        return Tally(
            self.accepted + other.accepted,
            self.rejected + other.rejected,
            self.reasons + other.reasons,
            {name: self.unknown.get(name, 0) + other.unknown.get(name, 0) for name in factors},
            self.ignored_columns,
            self.absent_columns,
            self.suggestions,
            self.has_simulated or other.has_simulated,
            tuple(dict.fromkeys((*self.remarks, *other.remarks))),
            self.empty_rows + other.empty_rows + _between(spans),
            self.set_aside + other.set_aside,
            (spans[0][0], spans[-1][1]) if spans else None,
        )


def _between(spans: list[tuple[int, int]]) -> int:
    """Rows without any entry after the last row of one part and before the first of the next."""
    return spans[1][0] - spans[0][1] - 1 if len(spans) == 2 else 0
