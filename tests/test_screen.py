"""The screen in a real browser: by keyboard, without JavaScript, narrow, dark, grey, on paper."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from browsing import chromium, fill, served, tab_to
from spinecast.showing.sheet import Sheet
from spinecast.showing.wording import sheet_of
from spinecast.web.current import Current
from spinecast.web.gate import Gate
from spinecast.web.words import words

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="no chromium: install it, or name one in CHROMIUM_PATH"
)

EN = words("en")
DATA = Path(__file__).parents[1] / "data"
EXAMPLE = {
    "own_estimate": "25", "age": "54", "sex": "female", "bmi": "31.2", "nrs_back": "7",
    "lesion_type": "recurrent_disc_herniation", "prior_lumbar_surgeries": "1",
    "smoking_status": "current", "planned_procedure": "microdiscectomy",
}  # fmt: skip
TOKEN = "a-token-of-more-than-thirty-two-characters"
WIDE = {"width": 1280, "height": 900}
MIDDLING = {"width": 780, "height": 900}
# A window of 1280 at 200% has as much room as one of 640; WCAG 1.4.10 asks for 320.
NARROW = {"width": 320, "height": 640}
ZOOMED = {"width": 640, "height": 450}


@pytest.fixture(scope="module")
def current(bundle_folder) -> Current:
    return Current.start(bundle_folder)


@pytest.fixture(scope="module")
def address(current) -> Iterator[str]:
    with served(current) as where:
        yield where


@pytest.fixture(scope="module")
def locked(current) -> Iterator[str]:
    """Where one has to log in; a browser takes a secure cookie from this machine without TLS."""
    with served(current, Gate(frozenset({"127.0.0.1"}), TOKEN)) as where:
        yield where


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, request) -> Iterator:
    """A page, with what the test asks of it; anything the browser complains of fails the test."""
    context = browser.new_context(**{"viewport": WIDE, **getattr(request, "param", {})})
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    context.close()
    # A refusal is a 422, which the browser notes as well.
    assert [one for one in said if "422" not in one] == []


def sheet(scorer, **answers: str) -> Sheet:
    return sheet_of(scorer.assess({k: v for k, v in answers.items() if k != "own_estimate"}))


def show(page, address: str, answers: dict[str, str]) -> None:
    page.goto(address)
    fill(page, answers)
    press(page, EN("form.submit"))


def press(page, name: str) -> None:
    with page.expect_navigation(wait_until="load"):
        page.get_by_role("button", name=name, exact=True).click()


def test_a_patient_is_answered_by_keyboard_alone(page, address, scorer):
    page.goto(address)
    pressed = 0

    def to(name: str, *keys: str) -> None:
        nonlocal pressed
        tab_to(page, name)
        for key in keys:
            page.keyboard.press(key)
        pressed += len(keys)

    to("own_estimate", "2", "5")
    to("spinal_tumour", "Space")  # the first answer of each is no
    to("age", "5", "4")
    to("sex", "ArrowDown")
    to("lesion_type", "r", "e")
    to("nrs_back", "7")
    to("prior_lumbar_surgeries", "1")
    to("smoking_status", "ArrowUp", "ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**/result")
    expected = sheet(
        scorer, age="54", sex="female", lesion_type="recurrent_disc_herniation", nrs_back="7",
        prior_lumbar_surgeries="1", smoking_status="current", spinal_tumour="no",
    )  # fmt: skip
    assert page.locator("h1").inner_text() == expected.answer
    assert EN("result.own", count=25) in page.content()
    assert pressed < 30


def test_the_focus_is_always_seen(page, address):
    page.goto(address)
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_all_unknown_is_answered(page, address, scorer):
    page.goto(address)
    press(page, EN("form.submit"))
    assert page.locator("h1").inner_text() == sheet(scorer).answer


def test_errors_come_first_lead_to_their_field_and_lose_nothing(page, address, scorer):
    show(page, address, EXAMPLE | {"age": "17", "bmi": "31,2,0"})
    assert page.evaluate("document.activeElement.id") == "wrongs"
    assert page.locator("#wrongs li").count() == 2
    page.get_by_role("link", name="Age", exact=True).click()
    assert page.locator("#q-age").is_visible()
    assert page.locator("#bmi").input_value() == "31,2,0"
    fill(page, {"age": "54", "bmi": "31.2"})
    press(page, EN("form.submit"))
    assert page.locator("h1").inner_text() == sheet(scorer, **EXAMPLE).answer


def test_what_comes_next_is_in_reach_wherever_one_reads(page, address):
    show(page, address, EXAMPLE)
    print_it = page.get_by_role("button", name=EN("result.sheet"), exact=True)
    assert print_it.evaluate("one => one.getBoundingClientRect().bottom <= innerHeight")
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    assert print_it.evaluate("one => one.getBoundingClientRect().top >= 0")


def test_a_number_takes_back_not_known_and_the_other_way_round(page, address):
    page.goto(address)
    box, tick = page.locator("#age"), page.locator("[name='age.not_known']")
    tick.check()
    box.press_sequentially("54")
    assert not tick.is_checked()
    tick.check()
    assert box.input_value() == ""


def test_a_question_that_needs_no_answer_is_put_away_until_it_does(page, address):
    page.goto(address)
    fill(page, {"planned_procedure": "microdiscectomy"})
    page.locator("#q-pi_ll_mismatch").wait_for(state="hidden")
    fill(page, {"planned_procedure": "deformity_correction"})
    page.locator("#q-pi_ll_mismatch").wait_for(state="visible")


def test_out_of_scope_is_refused_and_can_be_corrected(page, address):
    show(page, address, EXAMPLE | {"spinal_tumour": "yes"})
    assert page.locator("h1").inner_text() == EN("refused.title")
    press(page, EN("result.change"))
    assert page.locator("#age").input_value() == "54"


def test_what_if_shows_both_side_by_side_and_leads_back(page, address, scorer):
    show(page, address, EXAMPLE)
    press(page, EN("what_if.title"))
    page.locator("[name='if.smoking_status']").select_option("never")
    press(page, EN("what_if.submit"))
    risks = [sheet(scorer, **EXAMPLE | {"smoking_status": s}).risk for s in ("current", "never")]
    figures = page.locator(".figure").all_inner_texts()
    assert [figure.split()[0] for figure in figures] == risks
    press(page, EN("what_if.back"))
    assert page.locator("h1").inner_text() == sheet(scorer, **EXAMPLE).answer


@pytest.mark.parametrize("page", [{"viewport": MIDDLING}], ids=["780 px"], indirect=True)
def test_answers_beside_each_other_stand_level_in_what_if(page, address):
    said = words("de")
    page.goto(f"{address}?lang=de")
    known = {
        "bmi": "31", "imaging_concordance": "partial_or_equivocal",
        # The name of the second takes two lines where that of the first takes one.
        "neuropathic_pain_features": "no", "widespread_pain_fibromyalgia": "no",
    }  # fmt: skip
    fill(page, known)
    press(page, said("form.submit"))
    press(page, said("what_if.title"))
    page.locator("[name='if.bmi']").fill("900")
    press(page, said("what_if.submit"))
    assert page.locator(".grid .wrong").count() == 1
    top = "all => all.map(one => Math.round(one.getBoundingClientRect().top))"
    boxes = page.locator(".grid input, .grid select").evaluate_all(top)
    assert len(boxes) == len(known)
    assert boxes[0] == boxes[1] < boxes[2] == boxes[3]


def test_going_back_loses_nothing(page, address):
    show(page, address, EXAMPLE)
    page.evaluate("setTimeout(() => history.back())")
    page.wait_for_url(address, wait_until="load")
    assert page.locator("#age").input_value() == "54"
    assert page.locator("[name='sex'][value='female']").is_checked()
    assert page.locator("#lesion_type").input_value() == EXAMPLE["lesion_type"]


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_sheet_prints_on_two_pages(page, address, language):
    said = words(language)
    told = json.loads((DATA / "example_patient.json").read_text())
    page.goto(f"{address}?lang={language}")
    fill(page, {name: str(value) for name, value in told.items() if value is not None})
    press(page, said("form.submit"))
    press(page, said("result.sheet"))
    page.get_by_role("button", name=said("sheet.print")).wait_for()
    printed = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type /Page\b", printed)) == 2


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_everything_works_without_javascript(page, address, scorer):
    page.goto(address)
    for name in ("sex", "smoking_status"):
        page.locator(f"[name='{name}'][value='{EXAMPLE[name]}']").check()
    page.locator("#age").fill("54")
    press(page, EN("form.submit"))
    expected = sheet(scorer, age="54", sex="female", smoking_status="current")
    assert page.locator("h1").inner_text() == expected.answer
    press(page, EN("what_if.title"))
    page.locator("[name='if.smoking_status']").select_option("former")
    press(page, EN("what_if.submit"))
    assert page.locator(".figure").count() == 2
    press(page, EN("what_if.back"))
    press(page, EN("result.sheet"))
    page.locator("article.patient").wait_for()


def log_in(page, address: str, language: str = "en") -> None:
    page.goto(f"{address}login?lang={language}")
    page.locator("#token").fill(TOKEN)
    press(page, words(language)("login.submit"))


@pytest.mark.parametrize(
    "page", [{}, {"java_script_enabled": False}], ids=["script", "no script"], indirect=True
)
def test_one_logs_out_by_keyboard_and_going_back_shows_no_patient(page, locked, scorer):
    from playwright.sync_api import Error

    log_in(page, locked)
    page.locator("#age").fill("54")
    press(page, EN("form.submit"))
    assert page.locator("h1").inner_text() == sheet(scorer, age="54").answer
    leave = page.get_by_role("button", name=EN("page.logout"), exact=True)
    for _ in range(10):
        page.keyboard.press("Tab")
        if leave.evaluate("one => one === document.activeElement"):
            break
    with page.expect_navigation(wait_until="load"):
        page.keyboard.press("Enter")
    assert page.locator("h1").inner_text() == EN("login.title")
    assert page.context.cookies() == []
    # The browser has kept no page, and would have to send the answers once more.
    with pytest.raises(Error, match="ERR_CACHE_MISS"):
        page.go_back()


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("page", [{"viewport": NARROW}], ids=["320 px"], indirect=True)
def test_logging_in_and_out_is_accessible_and_narrow_in_every_language(page, locked, language):
    from axe_playwright_python.sync_playwright import Axe

    log_in(page, locked, language)
    page.goto(f"{locked}?lang={language}")
    for leave in (True, False):
        assert Axe().run(page).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if leave:
            press(page, words(language)("page.logout"))
    assert page.locator("h1").inner_text() == words(language)("login.title")


def every_page(page, address: str) -> Iterator[str]:
    """Every kind of page, one after the other, everything on it unfolded."""

    def here(name: str) -> str:
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        return name

    page.goto(address)
    yield here("form")
    show(page, address, EXAMPLE | {"age": "17", "own_estimate": "x", "sex": "male"})
    yield here("errors")
    fill(page, EXAMPLE)
    press(page, EN("form.submit"))
    yield here("result")
    press(page, EN("what_if.title"))
    page.locator("[name='if.smoking_status']").select_option("never")
    press(page, EN("what_if.submit"))
    yield here("what if")
    press(page, EN("what_if.back"))
    press(page, EN("result.sheet"))
    yield here("sheet")
    page.goto(address + "model")
    yield here("model")
    show(page, address, {"spinal_tumour": "yes"})
    yield here("refusal")


@pytest.mark.parametrize(
    "page", [{}, {"color_scheme": "dark"}], ids=["light", "dark"], indirect=True
)
def test_no_page_has_an_accessibility_violation(page, address):
    from axe_playwright_python.sync_playwright import Axe

    for name in every_page(page, address):
        found = Axe().run(page).response["violations"]
        assert [(name, one["id"], one["nodes"][0]["html"]) for one in found] == []


@pytest.mark.parametrize(
    "page", [{"viewport": NARROW}, {"viewport": ZOOMED}], ids=["320 px", "200%"], indirect=True
)
def test_no_page_has_to_be_scrolled_sideways(page, address):
    for name in every_page(page, address):
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


@pytest.mark.parametrize(
    "page", [{}, {"color_scheme": "dark"}], ids=["light", "dark"], indirect=True
)
def test_raising_and_lowering_differ_in_grey_and_dark_is_dark(page, address):
    show(page, address, EXAMPLE | {"odi_baseline": "60", "nrs_leg": "9"})
    fill_of = "one => getComputedStyle(one).fill"
    raises = grey(page.locator("rect.raises").first.evaluate(fill_of))
    paper = grey(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    dark = grey(page.locator("circle.dark").first.evaluate(fill_of))
    light = grey(page.locator("circle.light").first.evaluate(fill_of))
    assert contrast(raises, paper) > 3
    assert contrast(dark, light) > 3
    assert (paper < 0.1) == page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")


def grey(colour: str) -> float:
    """The relative luminance of a colour, as WCAG 2.2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_a_page_is_light_and_comes_from_here_alone(page, address):
    asked: list[str] = []
    weight = 0

    def note(response) -> None:
        nonlocal weight
        asked.append(response.url)
        weight += len(response.body())

    page.on("response", note)
    page.goto(address, wait_until="networkidle")
    assert all(url.startswith(address) for url in asked)
    assert weight < 150_000


def test_the_switch_of_language_keeps_the_answers_and_enter_does_not_press_it(page, address):
    page.goto(address)
    fill(page, {"age": "54", "bmi": "31,2"})
    page.get_by_role("button", name="Deutsch").click()
    page.wait_for_selector("html[lang=de]")
    assert page.locator("#bmi").input_value() == "31,2"
    page.focus("#bmi")
    page.keyboard.press("Enter")
    page.wait_for_url("**/result")
    page.wait_for_selector("html[lang=de]")
    page.set_viewport_size(NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
