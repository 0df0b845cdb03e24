"""Text, page and notebook: the same numbers, nothing smuggled in, readable everywhere."""

from __future__ import annotations

import io
import os
import re
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from records import SOURCES, assessments, example, refused
from spinecast.explaining.assessment import Assessment, Reason, UnknownFactor
from spinecast.showing.display import as_fragment, as_html, as_text
from spinecast.showing.phrases import banner
from spinecast.showing.terminal import Terminal

SNAPSHOTS = Path(__file__).parent / "snapshots"
NUMBER = re.compile(r"[-+\u2212]?\d[\d,]*(?:\.\d+)?")
VOID = {"meta", "br", "col", "rect", "path"}
ATTACK = '</title></style><script>alert("x")</script>&amp;\x1b[31m\x07\u202e'


class Page(HTMLParser):
    """What a browser makes of a page: its elements, and its words outside head and pictures."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.cells, self.headings = [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        if tag in {"th", "td"}:
            self.cells.append("")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in {"th", "td", "li", "p"}:
            self.words.append(" ")

    def handle_data(self, data):
        if not {"head", "svg", "style"} & set(self.open):
            self.words.append(data)
            if {"th", "td"} & set(self.open):
                self.cells[-1] += data

    @property
    def text(self):
        return " ".join("".join(self.words).split())


def numbers(text):
    return NUMBER.findall(text)


def decimal(text):
    return Decimal(text.replace("\u2212", "-"))


def between(items, first, last):
    start = items.index(first)
    return items[start : items.index(last, start) + 1]


# --- laws of any record --------------------------------------------------------------------------


@given(assessments())
def test_text_and_page_show_the_same_numbers_in_the_same_order(record):
    assert numbers(as_text(record, width=5000)) == numbers(Page(as_html(record)).text)


@given(assessments())
def test_the_points_a_reader_sees_on_the_page_add_up(record):
    cells = Page(as_html(record)).cells
    rows = cells[cells.index("Points") + 2 :]
    shown = [decimal(cell) for cell in rows[1::3]]
    last = rows[0::3].index("This patient")
    assert sum(shown[:last]) == shown[last]


@given(assessments())
def test_the_points_a_reader_sees_in_the_terminal_add_up(record):
    lines = as_text(record, width=2000, ascii_only=True).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("From the reference"))
    bars = lines[start + 1 : lines.index("", start)]
    shown = [decimal(re.search(r" ([-+]?\d+\.\d)(?: [ =+-]*)?$", bar)[1]) for bar in bars]
    assert sum(shown[:-1]) == shown[-1]


@given(assessments(), st.integers(40, 120), st.booleans())
def test_no_line_is_wider_than_asked(record, width, ascii_only):
    for line in as_text(record, width=width, ascii_only=ascii_only).splitlines():
        assert len(line) <= width


@given(assessments())
def test_in_full_text_and_page_show_the_same_numbers_too(record):
    page = Page(as_html(record, full=True)).text
    assert numbers(as_text(record, width=5000, full=True)) == numbers(page)


@given(assessments())
def test_ascii_only_is_ascii_only(record):
    assert as_text([record, refused()], ascii_only=True, source_names=SOURCES).isascii()


@given(assessments())
def test_colour_adds_nothing_but_colour(record):
    coloured = as_text(record, colour=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == as_text(record)


@given(assessments())
def test_every_page_is_well_formed_and_shows_every_label_as_it_is(record):
    page = Page(as_html(record))
    assert "script" not in page.tags
    for why in sorted(record.contributions, key=lambda c: -abs(c.risk_points))[:1]:
        if abs(why.risk_points) > 0.001:
            assert " ".join(why.label.split()) in page.text


# --- nothing smuggled in -------------------------------------------------------------------------


def spoil(record, value=ATTACK):
    """The same record with every free string turned into an attack."""
    if isinstance(record, str):
        return value
    if isinstance(record, tuple):
        return tuple(spoil(one) for one in record)
    if is_dataclass(record):
        kept = {"status", "trained_on", "agreement", "factor"}
        return replace(
            record,
            **{
                f.name: spoil(getattr(record, f.name)) for f in fields(record) if f.name not in kept
            },
        )
    return record


@pytest.mark.parametrize("record", [example(), refused()], ids=["scored", "refused"])
def test_a_label_that_looks_like_a_script_stays_text(record):
    spoilt = spoil(record)
    named = {"source_names": {ATTACK: ATTACK}}
    for html in (
        as_html(spoilt, **named),
        as_html([spoilt], **named),
        as_fragment(spoilt, **named),
    ):
        page = Page(html)
        assert "script" not in page.tags
        assert "alert" not in str(page.attributes)
        assert '<script>alert("x")</script>&amp;' in page.text


@pytest.mark.parametrize("record", [example(), refused()], ids=["scored", "refused"])
def test_nothing_in_a_record_can_steer_a_terminal(record):
    spoilt = spoil(record)
    shown = as_text([spoilt, spoilt], source_names={ATTACK: ATTACK})
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown)
    assert '<script>alert("x")' in shown


def test_a_page_fetches_nothing_and_runs_nothing():
    html = as_html([example("simulated"), refused()], source_names=SOURCES)
    assert not re.search(r"(?i)https?:|url\(|@import|<script|<link|<img|<iframe|\son\w+=", html)
    assert not [a for a in Page(html).attributes if a[1] in {"src", "href", "srcset", "action"}]


# --- banners, refusals, unknowns -----------------------------------------------------------------

FORMS = {
    "text": as_text,
    "ascii": lambda record: as_text(record, ascii_only=True),
    "several": lambda record: as_text([record]),
    "page": lambda record: Page(as_html(record)).text,
    "pages": lambda record: Page(as_html([record])).text,
    "fragment": lambda record: Page(as_fragment(record)).text,
    "notebook": lambda record: Page(record._repr_html_()).text,
}


def flat(text):
    """Words without the banner's frame and line breaks."""
    return " ".join(text.replace("!!", " ").split())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("make", [example, refused])
@pytest.mark.parametrize("trained_on", ["simulated", "literature"])
def test_every_form_says_that_no_real_patients_stand_behind_it(form, make, trained_on):
    assert banner(trained_on) in flat(FORMS[form](make(trained_on)))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_refusal_gives_every_reason_and_what_to_do(form):
    reasons = tuple(Reason("c", f"factor_{n}", f"message {n} of many") for n in range(30))
    shown = flat(FORMS[form](replace(refused(), reasons=reasons)))
    for number in range(30):
        assert f"factor {number}: message {number} of many" in shown
    assert "Correct the entries and score again." in shown


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_answer_is_never_shown_as_no(form):
    shown = flat(FORMS[form](example()))
    assert "Depression: not known" in shown
    assert not re.search(r"(Depression|Walking distance|Anxiety or distress): no(?!t known)", shown)


@pytest.mark.parametrize("form", FORMS)
def test_more_unknowns_than_are_listed_are_named_all_the_same(form):
    unknown = tuple(UnknownFactor(f"thing_{n}", "", 0.2, 0.4) for n in range(20))
    shown = flat(FORMS[form](replace(example(), unknown=unknown)))
    assert all(f"thing {n}" in shown for n in range(20))


@pytest.mark.parametrize("form", FORMS)
def test_association_is_said_and_no_reduction_is_promised(form):
    shown = flat(FORMS[form](example()))
    assert "an association found among past patients, not a cause" in shown
    assert "No reduction of the risk is promised" in shown


# --- the order of reading, and the terminal -------------------------------------------------------

ORDER = (
    "SIMULATED PATIENTS",
    "31% risk of failed back surgery syndrome 12 months after surgery",
    "About 31 of 100",
    "Can I rely on this?",
    "From the reference patient",
    "Depression: not known. If it were",
    "What can be done beforehand",
    "Model lumbar-1",
)


@pytest.mark.parametrize("form", sorted({*FORMS} - {"several", "pages"}))
def test_the_answer_comes_first_then_whether_to_rely_on_it_then_why(form):
    shown = flat(FORMS[form](example("simulated")))
    places = [shown.index(words) for words in ORDER]
    assert places == sorted(places)


@pytest.mark.parametrize("make", [example, refused])
@pytest.mark.parametrize("several", [False, True])
def test_a_simulated_model_says_so_in_the_first_lines(make, several):
    record = make("simulated")
    text = as_text([record] if several else record, width=80)
    assert any("SIMULATED PATIENTS" in line for line in text.splitlines()[:3])


class Stream(io.StringIO):
    """A window, or a file, that carries the letters of an encoding."""

    def __init__(self, encoding, *, window):
        super().__init__()
        self._encoding, self._window = encoding, window

    @property
    def encoding(self):
        return self._encoding

    def isatty(self):
        return self._window


@pytest.mark.parametrize(
    ("window", "environment", "colour"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_colour_only_in_a_window_and_only_where_it_is_wanted(window, environment, colour):
    assert Terminal.of(Stream("utf-8", window=window), environment).colour == colour


@pytest.mark.parametrize(
    ("encoding", "ascii_only"),
    [("utf-8", False), ("ascii", True), ("latin-1", True), (None, True), ("nonsense", True)],
)
def test_signs_are_ascii_where_the_stream_has_no_others(encoding, ascii_only):
    assert Terminal.of(Stream(encoding, window=False), {}).ascii_only == ascii_only


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("100", 100), ("250", 100)])
def test_text_is_as_wide_as_the_window_but_stays_readable(columns, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert Terminal.of(Stream("utf-8", window=True), {}).width == width


# --- the page ------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [as_html(example()), as_html([example(), refused()])])
def test_headings_descend_one_level_at_a_time_from_a_single_first(made):
    headings = Page(made).headings
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(headings))


def test_the_page_names_its_language_and_every_table_and_picture():
    html = as_html([example(), refused()])
    page = Page(html)
    assert ("html", "lang", "en") in page.attributes
    assert page.tags.count("caption") == page.tags.count("table") == 3
    assert html.count("<svg") == html.count("<desc>") == html.count("</desc>")
    assert len(re.findall(r'role="img">\s*<title>[^<]+</title>', html)) == html.count("<svg")


def test_raising_and_lowering_bars_differ_in_shape_not_only_in_colour():
    text = as_text(example())
    css = as_html(example())
    assert "▓" in text
    assert "░" in text
    assert ".spinecast rect.lowers { fill: #fff; stroke:" in css


def test_a_fragment_styles_nothing_but_itself():
    style = re.search(r"<style>(.*?)</style>", as_fragment(example()), re.DOTALL)[1]
    rules = re.sub(r"@media [^{]+\{", "", style)
    for selector in re.findall(r"([^{}]+)\{", rules):
        assert all(part.strip().startswith(".spinecast") for part in selector.split(","))


def test_the_notebook_form_is_the_fragment():
    assert example()._repr_html_() == as_fragment(example())


# --- several patients ----------------------------------------------------------------------------


def test_several_patients_come_as_a_table_and_then_each():
    records = [example(), refused(), replace(example(), patient_id="")]
    for shown in (flat(as_text(records)), Page(as_html(records)).text):
        assert "SYN-0042 31 24 to 39 Previous lumbar operations: 2 operations" in shown
        assert "SYN-0043 refused for the reasons below" in shown
        assert shown.count("Estimated risk: Patient 3") == 1


def test_nobody_is_an_empty_table():
    assert "Patients" in as_text([])
    assert Page(as_html([])).tags


# --- as it was last read by a person -------------------------------------------------------------


def _kept(name: str, shown: str) -> None:
    """Compare with tests/snapshots; SPINECAST_SNAPSHOTS=write keeps the new one, to be read."""
    path = SNAPSHOTS / name
    if os.environ.get("SPINECAST_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("assessment", example("simulated")),
        ("refusal", refused("simulated")),
    ],
)
def test_text_and_page_are_as_they_were_last_read(name, record: Assessment):
    named = {"source_names": SOURCES}
    _kept(f"{name}.txt", as_text(record, **named))
    _kept(f"{name}.html", as_html(record, **named))
