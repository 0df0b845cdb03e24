"""Dates as a hospital writes them: the order of day and month is said, never guessed."""

from __future__ import annotations

import datetime as dt
import re
from functools import cache

PATTERNS = ("DD.MM.YYYY", "DD/MM/YYYY", "MM/DD/YYYY", "DD-MM-YYYY", "YYYY/MM/DD", "YYYYMMDD")
ALLOWED = "DD, MM and YYYY once each, in the order they are written, as " + ", ".join(PATTERNS)
REMEDY = "A year of two digits leaves the century open: write it out in the file."

_TOKENS = {"DD": r"(?P<day>\d{1,2})", "MM": r"(?P<month>\d{1,2})", "YYYY": r"(?P<year>\d{4})"}
_CLOCK = r"(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"
_ISO = "YYYY-MM-DD"
EPOCH = dt.date(1970, 1, 1).toordinal()


@cache
def parts(pattern: str) -> re.Pattern[str] | None:
    """What a pattern matches, with the parts named; None when it is no pattern for dates."""
    found = re.findall(r"YYYY|DD|MM", pattern)
    rest = re.sub(r"YYYY|DD|MM", "", pattern)
    if sorted(found) != ["DD", "MM", "YYYY"] or re.search(r"[A-Za-z\d]", rest):
        return None
    expression = re.escape(pattern)
    for token, matched in _TOKENS.items():
        # Without a separator every part has all its digits.
        exact = matched if rest else matched.replace("{1,2}", "{2}")
        expression = expression.replace(token, exact)
    return re.compile(expression + _CLOCK, re.ASCII)


def day(text: str, pattern: str) -> float | None:
    """Days since 1970-01-01; None when the text is no day in this pattern or in YYYY-MM-DD.

    A time of day is passed over.
    """
    for known in (pattern, _ISO):
        expression = parts(known) if known else None
        match = expression.fullmatch(text) if expression else None
        if match:
            return _day(int(match["year"]), int(match["month"]), int(match["day"]))
    return None


def _day(year: int, month: int, at: int) -> float | None:
    try:
        return float(dt.date(year, month, at).toordinal() - EPOCH)
    except ValueError:  # no such day, as 30 February
        return None
