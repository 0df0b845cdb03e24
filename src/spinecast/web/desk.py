"""Where a page is made: the model of one request, the language, and the templates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from spinecast.explaining.assessment import Assessment
from spinecast.language import Words
from spinecast.patients.patient import PATIENT_ID
from spinecast.showing.phrases import banner
from spinecast.showing.sheet import cited
from spinecast.web.answering import ESTIMATE, IF, LANGUAGE, MADE, NOT_KNOWN, UNKNOWN, Sent
from spinecast.web.current import Installed
from spinecast.web.result import Answer, answer_of
from spinecast.web.words import words


@dataclass(frozen=True)
class Desk:
    """The model of one request, the language it is answered in, and whether one had to log in."""

    installed: Installed
    words: Words
    locked: bool = False

    def assess(self, sent: Sent) -> Assessment:
        """The record of what was sent."""
        name = sent.typed.get(PATIENT_ID, "").strip()
        return self.installed.scorer.record(sent.codes, name, sent.unchecked)

    def spoken(self, sent: Sent) -> dict[str, str]:
        """The patient's answers by name, as one says them."""
        factors = self.installed.scorer.registry.factors
        row = sent.codes.tolist()
        return {f.name: f.in_plain_words(code) for f, code in zip(factors, row, strict=True)}

    def answer(self, assessment: Assessment) -> Answer:
        """The answer of a record."""
        return answer_of(assessment, self.installed.scorer.bundle, self.words)

    @property
    def counts(self) -> str:
        """What counts as the outcome, in a few words; empty where the registry does not say."""
        scorer = self.installed.scorer
        name = scorer.bundle.training.get("outcome", "")
        definition = scorer.registry.outcome.definitions.get(name)
        return definition.title if definition else ""

    def page(self, template: str, status: int = 200, **told: object) -> Response:
        """A page with the model's banner."""
        explainer = self.installed.scorer.explainer
        return page(
            template, self.words, status,
            banner=banner(explainer.identity.trained_on, self.words.language),
            languages=self.installed.languages, identity=explainer.identity, facts=explainer.facts,
            registry=self.installed.scorer.registry, name_of=self.installed.labels,
            locked=self.locked, **told,
        )  # fmt: skip


def page(template: str, told: Words, status: int = 200, **values: object) -> Response:
    """A page in a language."""
    nothing = {"banner": "", "identity": None, "languages": (), "sent": None, "locked": False}
    values = nothing | values
    text = _templates().get_template(template).render(t=told, **values)
    return HTMLResponse(text, status, {"content-language": told.language})


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("spinecast.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "ESTIMATE": ESTIMATE,
        "PATIENT_ID": PATIENT_ID,
        "MADE": MADE,
        "UNKNOWN": UNKNOWN,
        "PREFIX": IF,
        "NOT_KNOWN": NOT_KNOWN,
        "LANGUAGE": LANGUAGE,
        "name_of_language": lambda language: words(language)("page.language"),
    }
    environment.filters["cited"] = cited
    return environment
