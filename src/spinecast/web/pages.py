"""The pages: a form, an answer, what if, the sheet. Each is made from what was sent, and forgotten.

State lives in the page: what was typed comes back with every answer, so that nothing is lost on an
error or on going back, and no value ever stands in an address.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from spinecast.explaining.assessment import Assessment
from spinecast.knowledge.rules import parse
from spinecast.language import languages
from spinecast.showing.sheet import of_hundred
from spinecast.web import alternatives
from spinecast.web.answering import (
    IF,
    LANGUAGE,
    MADE,
    NOT_KNOWN,
    Sent,
    empty,
    language_of,
    read_form,
)
from spinecast.web.audit import Audit
from spinecast.web.current import NO_MODEL, Current
from spinecast.web.desk import Desk, page
from spinecast.web.gate import COOKIE, SESSION_SECONDS, Gate
from spinecast.web.printing import Handout, handout, pdf
from spinecast.web.problems import Problem
from spinecast.web.result import Answer, performance
from spinecast.web.words import wanted, words

Telling: TypeAlias = Callable[[Desk, Sent], Awaitable[Response]]

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Pages:
    """Answers browsers from the model in use."""

    current: Current
    gate: Gate
    audit: Audit

    # --- the form ----------------------------------------------------------------------------

    async def form(self, request: Request) -> Response:
        """The empty form; with POST the form with what was typed, to change an answer."""
        return await self._about(request, self._form)

    async def result(self, request: Request) -> Response:
        """The answer, or the form with everything that is wrong."""
        return await self._of_answer(request, self._result)

    async def what_if(self, request: Request) -> Response:
        """This patient beside others who differ in something that can be changed."""
        return await self._of_answer(request, self._what_if)

    async def sheet(self, request: Request) -> Response:
        """Two pages to print: one for the notes, one for the patient."""
        return await self._of_answer(request, self._sheet)

    async def sheet_pdf(self, request: Request) -> Response:
        """The same two pages as PDF."""
        return await self._of_answer(request, self._pdf)

    async def asked(self, request: Request) -> Response:
        """The names of questions that need no answer, given the others."""
        return await self._about(request, self._not_asked)

    async def model(self, request: Request) -> Response:
        """Model, data, version, limits."""
        desk = self._desk(request)
        if desk is None:
            return self._no_model(request)
        scorer = desk.installed.scorer
        return desk.page(
            "model.html",
            training=scorer.bundle.training,
            counts=desk.counts,
            performance=performance(scorer.bundle.training, desk.words),
            cohort_risk=of_hundred(scorer.explainer.facts.cohort_risk, desk.words.language),
        )

    # --- login -------------------------------------------------------------------------------

    async def login(self, request: Request) -> Response:
        """Exchange the token for a session."""
        told = words(_language(request, languages()))
        if not self.gate.token:
            return RedirectResponse("/", 303)
        if request.method != "POST":
            return page("login.html", told, wrong=False)
        address = request.client.host if request.client else ""
        token = (await self._typed(request)).get("token", "")
        refused = self.gate.refuses(token.strip(), address)
        if refused == "too-many":
            return page("problem.html", told, 429, problem=Problem(refused))
        if refused:
            return page("login.html", told, 401, wrong=True)
        response = RedirectResponse("/", 303)
        response.set_cookie(
            COOKIE, self.gate.sessions.begin(time.time()), SESSION_SECONDS,
            secure=True, httponly=True, samesite="strict", path="/",
        )  # fmt: skip
        return response

    async def logout(self, request: Request) -> Response:
        """End the session: the browser forgets it, and here it is worth nothing any more."""
        self.gate.sessions.end(request.cookies.get(COOKIE, ""))
        language = wanted((await self._typed(request)).get(LANGUAGE, ""), "", languages())
        response = RedirectResponse(f"/login?{LANGUAGE}={language}", 303)
        response.delete_cookie(COOKIE, "/", secure=True, httponly=True, samesite="strict")
        return response

    # --- pieces ------------------------------------------------------------------------------

    async def _of_answer(self, request: Request, tell: Telling) -> Response:
        """A page about a patient who can be scored; or why there is none."""

        async def tell_if_scored(desk: Desk, sent: Sent) -> Response:
            return await (tell if sent.can_be_scored else self._refused)(desk, sent)

        return await self._about(request, tell_if_scored)

    async def _about(self, request: Request, tell: Telling) -> Response:
        """A page about what was sent; or why there is none."""
        desk = self._desk(request)
        if desk is None:
            return self._no_model(request)
        if request.method != "POST":
            sent = empty(desk.installed.scorer)
            return await self._form(desk, sent)
        sent_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if sent_type != FORM:
            return desk.page("problem.html", 415, problem=Problem("media-type", f"Send {FORM}."))
        try:
            body = await request.body()
            desk = self._desk(request, language_of(body)) or desk
            installed = desk.installed
            sent = read_form(installed.scorer, installed.form.questions, body)
        except ValueError:
            return desk.page("problem.html", 400, problem=Problem("not-json", "Send a form."))
        return await tell(desk, sent)

    async def _form(self, desk: Desk, sent: Sent, status: int = 200) -> Response:
        form = desk.installed.form
        # What was answered, or is wrong, is not folded away.
        told = {name.removesuffix(NOT_KNOWN.format("")) for name in sent.typed}
        told.update(name for wrong in sent.wrong for name in wrong.fields)
        return desk.page(
            "form.html", status, form=form, sent=sent, open_names=told, counts=desk.counts
        )

    async def _result(self, desk: Desk, sent: Sent) -> Response:
        answer = desk.answer(desk.assess(sent))
        self.audit.note("page", desk.installed.scorer, sent.codes, "scored")
        return desk.page(
            "result.html",
            sent=sent,
            answer=answer,
            made=self.audit.clock().isoformat(),
        )

    async def _refused(self, desk: Desk, sent: Sent) -> Response:
        self.audit.note("page", desk.installed.scorer, sent.codes, "refused")
        if sent.wrong:
            everything = replace(sent, wrong=(*sent.wrong, *sent.excluded))
            return await self._form(desk, everything, 422)
        return desk.page("refused.html", 422, sent=sent)

    async def _what_if(self, desk: Desk, sent: Sent) -> Response:
        installed = desk.installed
        other = alternatives.alternative(installed.scorer, sent.codes, sent.typed)
        changeable = alternatives.changeable(installed.scorer.registry, installed.form, sent.codes)
        self.audit.note("what-if", installed.scorer, other.codes, "scored")
        own = desk.assess(sent)
        answer, beside, unusual = desk.answer(own), None, False
        if other.changes:
            theirs = desk.assess(replace(sent, codes=other.codes))
            unusual = _is_unusual(theirs) and not _is_unusual(own)
            beside = None if unusual else desk.answer(theirs)
        return desk.page(
            "what_if.html",
            422 if other.wrong else 200,
            sent=sent,
            other=other,
            answer=answer,
            beside=beside,
            unusual=unusual,
            span=_span(answer, beside or answer),
            changeable=changeable,
            changeable_names={IF + question.name for question in changeable},
            own_values=desk.spoken(sent),
        )

    async def _sheet(self, desk: Desk, sent: Sent) -> Response:
        self.audit.note("sheet", desk.installed.scorer, sent.codes, "scored")
        return desk.page("sheet.html", sent=sent, out=self._handout(desk, sent))

    async def _pdf(self, desk: Desk, sent: Sent) -> Response:
        self.audit.note("sheet", desk.installed.scorer, sent.codes, "scored")
        body = await asyncio.to_thread(pdf, self._handout(desk, sent))
        named = {"content-disposition": 'attachment; filename="spinecast.pdf"'}
        return Response(body, media_type="application/pdf", headers=named)

    def _handout(self, desk: Desk, sent: Sent) -> Handout:
        made = _time(sent.typed.get(MADE, "")) or self.audit.clock()
        return handout(
            desk.assess(sent), desk.installed.scorer, sent.codes, made, sent.estimate, desk.words
        )

    async def _not_asked(self, desk: Desk, sent: Sent) -> Response:
        registry = desk.installed.scorer.registry
        known = dict(zip(registry.names, sent.codes.tolist(), strict=True))
        told = [
            factor.name
            for factor in registry.factors
            if factor.asked_when and parse(factor.asked_when, registry.levels).value(known) == 0
        ]
        return Response("\n".join(told), media_type="text/plain")

    def _desk(self, request: Request, typed: str = "") -> Desk | None:
        installed = self.current.installed
        if installed is None:
            return None
        language = _language(request, installed.languages, typed)
        return Desk(installed.in_language(language), words(language), locked=bool(self.gate.token))

    def _no_model(self, request: Request) -> Response:
        refused = "" if self.current.refused == NO_MODEL else self.current.refused
        told = words(_language(request, languages()))
        return page("no_model.html", told, 503, refused=refused, locked=bool(self.gate.token))

    @staticmethod
    async def _typed(request: Request) -> Mapping[str, str]:
        return dict(parse_qsl((await request.body()).decode("utf-8", "replace")))


def _language(request: Request, spoken: Sequence[str], typed: str = "") -> str:
    """What a button asked for, else the address, else the browser."""
    asked = typed or request.query_params.get(LANGUAGE, "")
    return wanted(asked, request.headers.get("accept-language", ""), spoken)


def _span(one: Answer, other: Answer) -> tuple[int, int]:
    """The scale on which both can be drawn, so that equal bars mean equal points."""
    lows, highs = zip(one.short.span, other.short.span, strict=True)
    return min(lows), max(highs)


def _is_unusual(assessment: Assessment) -> bool:
    return alternatives.UNUSUAL in {caution.code for caution in assessment.cautions}


def _time(text: str) -> dt.datetime | None:
    """The time a page was made, as it stands in the page; None when it is none."""
    try:
        made = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if made.tzinfo is None or not 2000 <= made.year < 2200:
        return None
    return made.astimezone(dt.UTC).replace(microsecond=0)
