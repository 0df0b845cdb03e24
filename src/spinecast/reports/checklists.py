"""What journals, reviewers and regulators ask, and where a report answers it.

The questions and the places that answer them are facts in `standards/*.toml`, in our own words. An
item is "reported" only if every place it needs says something; no verdict is drawn from that.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from spinecast.errors import Problem, UsageRefused
from spinecast.knowledge.declared import Declared, record
from spinecast.reports.pointers import Pointer, ReportFolder
from spinecast.reports.study import Study

__all__ = ["Checklist", "Item", "hti1", "model_card", "probast", "tripod"]

FACTS = Path(__file__).parent / "standards"
# Between places of which one is enough.
OR = " | "

Status = Literal["reported", "partial", "missing", "not applicable"]
STATUSES: tuple[Status, ...] = ("reported", "partial", "missing", "not applicable")
Answer = Literal["Y", "PY", "PN", "N", "NI", "NA"]
Shows = Literal["places", "answers", "drafts"]
Concern = Literal["development", "evaluation", "both"]


def _pointers(place: str) -> str:
    for pointer in place.split(OR):
        Pointer.parse(pointer)
    return place


Place = Annotated[str, AfterValidator(_pointers)]
Places = Annotated[tuple[Place, ...], Field(strict=False)]


class Rule(Declared):
    """A draft answer to a question, given when a place says something, or says just this."""

    place: Place
    says: str | bool | int | None = None
    answer: Answer
    because: str


class Entry(Declared):
    """One thing asked, and where a report answers it.

    Attributes:
        concerns: The kind of study it is asked of.
        optional: Whether the standard lets it be left out.
        answered_by: Places that together answer it; of those with ` | ` between, one is enough.
        moot_by: Places that say why it does not arise.
        drafts: Rules for a draft answer, of which the first that holds is taken.
    """

    number: str
    section: str
    text: str
    concerns: Concern = "both"
    optional: bool = False
    answered_by: Places
    moot_by: Places = ()
    drafts: Annotated[tuple[Rule, ...], Field(strict=False)] = ()


class Standard(Declared):
    """A published list of things to report.

    `shows`: beside the places that answer an item, nothing more, what stands there, or a draft.
    """

    title: str
    source: str
    remark: str
    shows: Shows = "places"
    items: Annotated[tuple[Entry, ...], Field(strict=False, min_length=1)]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing asked and how a report stands to it.

    Attributes:
        where: The places that answer it.
        note: What is lacking, or why it does not arise.
        said: What stands there, where that is a few words; in the order of `where`.
        draft: A draft answer for a reviewer to judge; "" where the standard has none.
    """

    number: str
    section: str
    text: str
    status: Status
    where: tuple[str, ...]
    note: str
    said: tuple[str, ...] = ()
    draft: str = ""
    draft_reason: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Checklist:
    """A standard held against one report; `name` is that of its file of facts."""

    name: str
    title: str
    source: str
    remark: str
    shows: Shows
    items: tuple[Item, ...]

    @property
    def counts(self) -> dict[Status, int]:
        """How many items have each status."""
        found = Counter(item.status for item in self.items)
        return {status: found[status] for status in STATUSES}

    def __getitem__(self, number: str) -> Item:
        """The item of that number."""
        return {item.number: item for item in self.items}[number]

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        rows = [
            asdict(item) | {"where": list(item.where), "said": list(item.said)}
            for item in self.items
        ]
        head = {name: getattr(self, name) for name in ("name", "title", "source", "remark")}
        return {**head, "counts": self.counts, "items": rows}


def tripod(study: Study, files: Path) -> Checklist:
    """TRIPOD+AI: its 52 sub-items, held against a report's folder.

    Args:
        study: whose objective says which items are asked.
        files: the report's folder, with its `study.toml`.
    """
    return _held("tripod_ai", study, files)


def probast(study: Study, files: Path) -> Checklist:
    """PROBAST+AI: evidence for its 34 signalling questions with draft answers; a person judges.

    Arguments as in `tripod`. There is no rating of a domain and no overall verdict on purpose.
    """
    return _held("probast_ai", study, files)


def hti1(study: Study, files: Path) -> Checklist:
    """HTI-1: the 31 source attributes of predictive decision support; arguments as in `tripod`."""
    return _held("hti1", study, files)


def model_card(study: Study, files: Path) -> Checklist:
    """CHAI's applied model card: its elements in their order; arguments as in `tripod`."""
    return _held("model_card", study, files)


@cache
def standard(name: str) -> Standard:
    """The facts of `standards/NAME.toml`.

    Raises:
        UsageRefused: with everything that does not fit, numbers given twice among it.
    """
    path = FACTS / f"{name}.toml"
    problems: list[Problem] = []
    found = record(Standard, path.name, tomllib.loads(path.read_text(encoding="utf-8")), problems)
    if found is not None:
        numbers = Counter(entry.number for entry in found.items)
        problems.extend(
            Problem(f"{path.name} {number}", f"stands there {times} times", "once")
            for number, times in numbers.items()
            if times > 1
        )
    if found is None or problems:
        raise UsageRefused(f"The list {path.name} cannot be used", problems)
    return found


def _held(name: str, study: Study, files: Path) -> Checklist:
    asked = standard(name)
    folder = ReportFolder(files)
    items = tuple(_item(entry, study, folder) for entry in asked.items)
    return Checklist(name, asked.title, asked.source, asked.remark, asked.shows, items)


def _item(entry: Entry, study: Study, folder: ReportFolder) -> Item:
    """What a report has to say to one entry."""
    answers = [_first(place, folder) for place in entry.answered_by]
    where = tuple(pointer for pointer in answers if pointer)
    lacking = [
        place for place, pointer in zip(entry.answered_by, answers, strict=True) if not pointer
    ]
    moot = _moot(entry, study, folder)
    status: Status = (
        "not applicable"
        if moot
        else "reported"
        if where and not lacking
        else "partial"
        if where
        else "missing"
    )
    draft, because = ("", "") if moot else _draft(entry.drafts, folder)
    return Item(
        number=entry.number,
        section=entry.section,
        text=entry.text,
        status=status,
        where=where,
        note=moot or _lacking(lacking),
        said=tuple(_few_words(pointer, folder) for pointer in where),
        draft=draft,
        draft_reason=because,
        optional=entry.optional,
    )


def _first(place: str, folder: ReportFolder) -> str:
    """The first of several pointers that resolves, or none."""
    return next((pointer for pointer in place.split(OR) if folder.resolves(pointer)), "")


def _moot(entry: Entry, study: Study, folder: ReportFolder) -> str:
    """Why an entry does not arise, in words; "" when it does."""
    objective = study.report.objective
    if objective in ("development", "evaluation") and entry.concerns not in ("both", objective):
        return f"Asked only of {entry.concerns}; this study is {objective}."
    reasons = (folder.find(place) for place in entry.moot_by)
    return next((reason for reason in reasons if isinstance(reason, str)), "")


def _lacking(places: Iterable[str]) -> str:
    told = "; ".join(place.replace(OR, " or ") for place in places)
    return f"Lacking: {told}." if told else ""


def _draft(rules: tuple[Rule, ...], folder: ReportFolder) -> tuple[str, str]:
    """The draft answer of the first rule that holds, and its reason."""
    if not rules:
        return "", ""
    for rule in rules:
        if any(_holds(rule, found) for found in _found(rule.place, folder)):
            return rule.answer, rule.because
    return "NI", "Nothing in the run answers this by itself."


def _found(place: str, folder: ReportFolder) -> Iterator[object]:
    for pointer in place.split(OR):
        found = folder.find(pointer)
        if found is not None:
            yield found


def _holds(rule: Rule, found: object) -> bool:
    return rule.says is None or (type(found) is type(rule.says) and found == rule.says)


def _few_words(pointer: str, folder: ReportFolder) -> str:
    """A person's text or a single value; of anything longer only the place is shown."""
    value = folder.find(pointer)
    if Pointer.parse(pointer).is_long or not isinstance(value, bool | int | float | str):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
