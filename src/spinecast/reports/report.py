"""A report of a training: a folder of numbers, figures and checklists, and one page that shows it.

The page stands alone, needs no network, and prints in grey. The checklists are resolved against
the folder as it will be read, so an item counts as reported only if the folder says something.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup, escape

from spinecast.cohorts.labelled import LabelledCohort
from spinecast.errors import Problem, UsageRefused
from spinecast.files import tidy, whole_folder, write_text
from spinecast.fitting.internal import InternalValidation
from spinecast.fitting.training import TrainingResult
from spinecast.progress import Progress, silent
from spinecast.reports.card_xml import as_xml
from spinecast.reports.checklist_pages import address, anchor, as_html, as_markdown, summary
from spinecast.reports.checklists import Checklist, hti1, model_card, probast, tripod
from spinecast.reports.evidence import Evidence, gather
from spinecast.reports.figures import Drawn, figures
from spinecast.reports.groups import groups
from spinecast.reports.methods import asked, made
from spinecast.reports.numbers import documents
from spinecast.reports.parts import Chapter, Section, trail
from spinecast.reports.performance import performance
from spinecast.reports.reasons import reasons
from spinecast.reports.results import patients
from spinecast.reports.study import FILE as STUDY
from spinecast.reports.study import Study, read_study
from spinecast.reports.validation import elsewhere, validation
from spinecast.reports.verdict import banners, verdict
from spinecast.showing.html import templates

PAGE = "report.html"
COPIED = ("model.json", "training.json")
STANDARDS = (tripod, probast, hti1, model_card)
STAGE = "writing the report"


def write_report(
    result: TrainingResult,
    labelled: LabelledCohort,
    bundle_folder: Path,
    folder: Path,
    *,
    study: Path | None = None,
    internal: InternalValidation | None = None,
    progress: Progress = silent,
) -> Path:
    """Write the folder of a report in one step, in place of a former report of that name.

    Args:
        result: what training returned.
        labelled: the patients it was trained on.
        bundle_folder: the model folder written of it.
        folder: where the report goes.
        study: what a person wrote of the study; without it, that stays missing.
        internal: what internal validation found; None when it was not run.
        progress: told how far it is.

    Returns:
        The page.

    Raises:
        UsageRefused: the study or the folder cannot be used, or cannot be written to.
    """
    tidy(folder)
    refuse_foreign(folder)
    written = read_study(study) if study else Study()
    steps = 3
    progress(STAGE, 0, steps)
    found = gather(result, labelled, written, internal)
    drawn = figures(found)
    parts = _chapters(found, drawn)
    progress(STAGE, 1, steps)
    with whole_folder(folder) as scratch:
        for name, document in documents(found).items():
            text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
            write_text(scratch / name, text + "\n")
        for one in drawn:
            write_text(scratch / f"{one.name}.svg", one.svg)
        for name in COPIED:
            shutil.copyfile(bundle_folder / name, scratch / name)
        if study:
            shutil.copyfile(study, scratch / STUDY)
        # The checklists point into the page, so it is there before they are held against it.
        write_text(scratch / PAGE, _page(found, parts, ()))
        progress(STAGE, 2, steps)
        held = tuple(standard(written, scratch) for standard in STANDARDS)
        for one_list in held:
            write_text(scratch / f"{one_list.name}.md", as_markdown(one_list))
            write_text(scratch / f"{one_list.name}.html", _alone(one_list))
        write_text(scratch / "model_card.xml", as_xml(held[-1], scratch))
        write_text(scratch / PAGE, _page(found, parts, held))
    progress(STAGE, steps, steps)
    return folder / PAGE


def refuse_foreign(folder: Path) -> None:
    """Only a report gives way to a report.

    Raises:
        UsageRefused: something else of that name is there.
    """
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / PAGE).is_file():
        allowed = "only a report is replaced by a report"
        problem = Problem(str(folder), "it is not a report", allowed, "Choose another name.")
        raise UsageRefused("The report was not written", [problem])


def _chapters(found: Evidence, drawn: Sequence[Drawn]) -> tuple[Chapter, ...]:
    """The page from how good, where and for whom to how it was made."""

    def shown(sections: Iterable[Section]) -> tuple[Section, ...]:
        return tuple(
            replace(part, figures=tuple(one for one in drawn if one.section == part.id))
            for part in sections
        )

    return (
        Chapter("how-good", "How good", shown((*performance(found), *validation(found)))),
        Chapter("where", "Where and for whom", shown((*elsewhere(found), groups(found)))),
        Chapter("reasons", "What it says, and how surely", shown(reasons(found))),
        Chapter("patients", "The patients", shown((*patients(found), *asked(found)))),
        Chapter("made", "How it was made", shown(made(found))),
    )


def _page(found: Evidence, parts: Sequence[Chapter], held: Sequence[Checklist]) -> str:
    counts = [
        f"{one.title} {one.counts['reported']} of {len(one.items)} items reported" for one in held
    ]
    return (
        _templates()
        .get_template("report.html")
        .render(
            title=_title(found),
            data_name=found.labelled.name,
            banners=tuple(banners(found)),
            answers=tuple(verdict(found, counts)),
            chapters=parts,
            checklists=[
                (anchor(one), one.title, summary(one), Markup(as_html(one)))  # noqa: S704
                for one in held
            ],
        )
    )


def _title(found: Evidence) -> str:
    title = found.study.report.title or "Report of a training"
    return f"{title} (exploratory)" if found.standing.is_exploratory else title


def _alone(checklist: Checklist) -> str:
    """One checklist as a page of its own."""
    content = Markup(as_html(checklist))  # noqa: S704 - escaped by its own template
    return (
        _templates()
        .get_template("checklist_page.html")
        .render(title=checklist.title, content=content)
    )


def _inline(drawn: Drawn) -> Markup:
    """A figure as part of a page, its ids made its own."""
    own = re.sub(r'(\bid=")', rf"\g<1>{drawn.name}-", drawn.svg)
    own = re.sub(r'(url\(#|href="#)', rf"\g<1>{drawn.name}-", own)
    named = re.sub(
        r'aria-labelledby="([^"]*)"',
        lambda m: 'aria-labelledby="{}"'.format(
            " ".join(f"{drawn.name}-{one}" for one in m[1].split())
        ),
        own,
        count=1,
    )
    return Markup(named)  # noqa: S704 - drawn by us, its words escaped


def _limits(cell: str) -> Markup:
    """A cell in which a line may break before the limits of a number, and nowhere in them."""
    return Markup(re.sub(r" (\([^)]*\))", r" <span>\1</span>", str(escape(cell))))  # noqa: S704


def _words(text: str) -> Markup:
    """Text in which what stands between backticks is to be typed."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


@cache
def _templates() -> Environment:
    environment = templates()
    environment.filters |= {
        "address": address,
        "inline": _inline,
        "limits": _limits,
        "trail": trail,
        "words": _words,
    }
    return environment
