from __future__ import annotations

import json
from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from spinecast.errors import UsageRefused
from spinecast.reports import checklists
from spinecast.reports.card_xml import MISSING, NAMESPACE, as_xml
from spinecast.reports.checklist_pages import anchor, as_html, as_markdown
from spinecast.reports.checklists import OR, Rule, hti1, model_card, probast, standard, tripod
from spinecast.reports.pointers import Pointer, ReportFolder
from spinecast.reports.study import KEYS, Study, read_study

LISTS = {"tripod_ai": tripod, "probast_ai": probast, "hti1": hti1, "model_card": model_card}
DATES = ("data.accrual_start", "data.accrual_end", "data.followup_end", "release.released")


def pointers(name):
    """Every pointer of a list, of answers alone."""
    return {
        p for entry in standard(name).items for place in entry.answered_by for p in either(place)
    }


def either(place):
    return place.split(OR)


def put(document, tokens, value):
    """Make a JSON pointer lead somewhere."""
    for token in tokens[:-1]:
        document = document.setdefault(token, {})
        assert isinstance(document, dict)
    document.setdefault(tokens[-1], value)


def made_up_study():
    lines = []
    for key in KEYS:
        table, name = key.split(".")
        if f"[{table}]" not in lines:
            lines.append(f"[{table}]")
        special = {"report.objective": '"both"', "use.thresholds": "[0.1, 0.4]"}
        special |= {"report.authors": '["A"]', "release.keywords": '["spine"]'}
        special |= dict.fromkeys(DATES, "2021-03-01")
        lines.append(f"{name} = {special.get(key, repr(f'what {key} asks'))}")
    return "\n".join(lines)


@pytest.fixture
def report(tmp_path):
    """A report's folder in which every place of every list says something, and nothing is moot."""
    (tmp_path / "study.toml").write_text(made_up_study())
    documents, ids = {}, set()
    # The longest first: a table may be asked for whole, and for a part of it.
    for text in sorted(set().union(*map(pointers, LISTS)), key=len, reverse=True):
        pointer = Pointer.parse(text)
        if pointer.file.endswith(".json"):
            put(documents.setdefault(pointer.file, {}), pointer.tokens, ["something"])
        elif pointer.file.endswith(".html"):
            ids.add(pointer.place)
    for file, document in documents.items():
        (tmp_path / file).write_text(json.dumps(document))
    sections = (f'<section id="{name}"><h2>{name}</h2><p>Words.</p></section>' for name in ids)
    (tmp_path / "report.html").write_text("<!doctype html>" + "".join(sorted(sections)))
    return tmp_path


def held(folder):
    """Every list held against a folder."""
    path = folder / "study.toml"
    study = read_study(path) if path.exists() else Study(report={"objective": "both"})
    return {name: function(study, folder) for name, function in LISTS.items()}


def change(path, edit):
    document = json.loads(path.read_text()) if path.exists() else {}
    edit(document)
    path.write_text(json.dumps(document))


# --- the lists themselves ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"), [("tripod_ai", 52), ("probast_ai", 34), ("hti1", 31), ("model_card", 56)]
)
def test_a_list_has_as_many_items_as_were_published(name, count):
    assert len(standard(name).items) == count


def test_tripod_is_numbered_as_published():
    parts = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef"}
    parts |= {20: "abc", 23: "ab", 27: "abc"}
    numbers = [f"{n}{part}" for n in range(1, 28) for part in parts.get(n, [""])]
    assert [entry.number for entry in standard("tripod_ai").items] == numbers


def test_tripod_asks_of_development_and_of_evaluation_what_was_published():
    concerns = {entry.number: entry.concerns for entry in standard("tripod_ai").items}
    only = {kind: [n for n, c in concerns.items() if c == kind] for kind in concerns.values()}
    assert only["development"] == ["9a", "12a", "12b", "12c", "15", "22", "27a", "27b"]
    assert only["evaluation"] == ["12f", "12g", "20c", "24"]


def test_probast_has_16_questions_on_development_and_18_on_evaluation():
    items = standard("probast_ai").items
    assert Counter(e.concerns for e in items) == {"development": 16, "evaluation": 18}
    domains = Counter((e.concerns, e.number.split()[1][0]) for e in items)
    assert [domains["development", d] for d in "1234"] == [3, 4, 4, 5]
    assert [domains["evaluation", d] for d in "1234"] == [3, 4, 4, 7]


def test_not_applicable_is_drafted_only_where_probast_allows_it():
    allowed = {"dev 4.4", "eval 4.4", "eval 4.5", "eval 4.6"}
    items = standard("probast_ai").items
    assert {e.number for e in items for rule in e.drafts if rule.answer == "NA"} <= allowed


def test_hti1_is_counted_in_the_order_of_the_rule():
    items = standard("hti1").items
    assert [entry.number for entry in items] == [str(n) for n in range(1, 32)]
    sizes = Counter(entry.section for entry in items)
    assert list(sizes.values()) == [4, 4, 2, 4, 2, 4, 5, 4, 2]


def test_the_model_card_keeps_the_order_of_the_schema():
    tops = dict.fromkeys(entry.section for entry in standard("model_card").items)
    assert list(tops) == [
        "BasicInfo", "ReleaseInfo", "ModelSummary", "UsesAndDirections", "Warnings",
        "TrustIngredients", "KeyMetrics", "Resources", "Bibliography",
    ]  # fmt: skip
    optional = {e.number.rpartition("/")[2] for e in standard("model_card").items if e.optional}
    assert optional == {
        "EHR", "RegulatoryApproval", "FoundationModels", "Security", "Transparency",
        "ThirdPartyInformation", "EvaluationReferences", "ClinicalTrial", "ReimbursementStatus",
    }  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_every_pointer_is_well_formed(name):
    for entry in standard(name).items:
        places = (*entry.answered_by, *entry.moot_by, *(rule.place for rule in entry.drafts))
        for place in places:
            for pointer in either(place):
                assert Pointer.parse(pointer).has_place
        assert entry.answered_by


def test_a_list_with_a_broken_pointer_or_a_number_twice_is_refused(tmp_path, monkeypatch):
    item = '[[items]]\nnumber = "1"\nsection = "s"\ntext = "t"\nanswered_by = ["{}"]\n'
    head = 'title = "t"\nsource = "s"\nremark = "r"\n'
    monkeypatch.setattr(checklists, "FACTS", tmp_path)
    (tmp_path / "bad.toml").write_text(head + item.format("../a.json#/b"))
    (tmp_path / "twice.toml").write_text(head + 2 * item.format("a.json#/b"))
    for name in ("bad", "twice"):
        with pytest.raises(UsageRefused):
            standard(name)


# --- held against a folder -----------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
def test_everything_is_reported_where_everything_is_said(name, report):
    for item in held(report)[name].items:
        assert item.status == "reported", item
        assert item.where
        assert not item.note


@pytest.mark.parametrize("name", LISTS)
def test_every_place_of_a_reported_item_resolves(name, report):
    for item in held(report)[name].items:
        assert all(ReportFolder(report).resolves(pointer) for pointer in item.where)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("folder", ["absent", "blank"])
def test_a_blank_study_reports_nothing(name, folder, tmp_path):
    if folder == "blank":
        (tmp_path / "study.toml").write_text("[conduct]\nfunding = ''\n")
    checklist = LISTS[name](Study(), tmp_path / ("nowhere" if folder == "absent" else ""))
    assert {item.status for item in checklist.items} == {"missing"}
    assert checklist.counts["missing"] == len(checklist.items)
    assert all(item.note.startswith("Lacking: ") for item in checklist.items)


def test_without_one_file_just_the_items_that_point_to_it_change(report):
    before = held(report)
    files = sorted(path.name for path in report.iterdir())
    assert len(files) > 10
    for file in files:
        path = report / file
        content = path.read_bytes()
        path.unlink()
        after = held(report)
        path.write_bytes(content)
        for name in LISTS:
            for entry in standard(name).items:
                # A place is lost when the file held all of its pointers.
                lost = [
                    place
                    for place in entry.answered_by
                    if all(Pointer.parse(pointer).file == file for pointer in either(place))
                ]
                item = after[name][entry.number]
                whole = len(lost) == len(entry.answered_by)
                expected = "missing" if whole else "partial" if lost else "reported"
                assert item.status == expected, (file, name, item)
                if not any(
                    Pointer.parse(pointer).file == file
                    for place in entry.answered_by
                    for pointer in either(place)
                ):
                    assert item.where == before[name][entry.number].where
    assert held(report) == before


def test_an_evaluation_is_not_asked_for_what_only_a_development_has(report):
    text = (report / "study.toml").read_text()
    (report / "study.toml").write_text(text.replace('"both"', '"evaluation"'))
    found = held(report)
    away = [i.number for i in found["tripod_ai"].items if i.status == "not applicable"]
    assert away == ["9a", "12a", "12b", "12c", "15", "22", "27a", "27b"]
    assert found["probast_ai"].counts["not applicable"] == 16
    assert {i.draft for i in found["probast_ai"].items if i.number.startswith("dev")} == {""}


def test_what_does_not_arise_says_why(report):
    why = "All patients come from one site."
    (report / "sites.json").write_text(json.dumps({"not_applicable": why}))
    found = held(report)["tripod_ai"]
    away = {item.number: item.note for item in found.items if item.status == "not applicable"}
    assert away == {"12d": why, "23b": why}


def test_a_flag_is_no_reason_why_something_does_not_arise(report):
    (report / "sites.json").write_text('{"not_applicable": true}')
    assert held(report)["tripod_ai"]["12d"].status == "missing"


# --- drafts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "draft"), [("enough", "PY"), ("too few", "N"), ("other", "NI"), (None, "NI")]
)
def test_a_draft_on_sample_size_follows_the_verdict_of_the_run(report, verdict, draft):
    size = {"development": {"verdict": verdict}, "validation": {"verdict": verdict}}
    (report / "sample_size.json").write_text(json.dumps(size))
    found = held(report)["probast_ai"]
    assert found["dev 4.1"].draft == found["eval 4.2"].draft == draft


@pytest.mark.parametrize(("same", "draft"), [(True, "N"), (False, "PY")])
def test_patients_the_model_was_fitted_to_are_no_evaluation(report, same, draft):
    change(report / "validation.json", lambda document: document.update(same_file=same))
    assert held(report)["probast_ai"]["eval 4.1"].draft == draft


def test_a_draft_never_rests_on_a_person_and_never_rates_a_domain():
    for entry in standard("probast_ai").items:
        assert not any("study.toml" in rule.place for rule in entry.drafts)
    assert not hasattr(probast(Study(), checklists.FACTS), "verdict")


def test_one_and_yes_are_different_answers():
    rule = Rule(place="a.json#/b", says=1, answer="Y", because="")
    assert not checklists._holds(rule, found=True)
    assert checklists._holds(rule, found=1)


# --- shown ---------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """The ids, links and tags of a piece of HTML."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.open, self.cells = [], [], [], Counter()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.cells[tag] += 1
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", LISTS)
def test_html_is_whole_and_every_link_leads_into_the_folder(name, report):
    checklist = held(report)[name]
    outline = Outline(as_html(checklist))
    assert outline.cells["tr"] == len(checklist.items) + 1
    assert len(set(outline.ids)) == len(outline.ids) == len(checklist.items) + 1
    assert anchor(checklist, checklist.items[-1]) in outline.ids
    for link in outline.links:
        assert (report / link.partition("#")[0]).is_file()
        assert "#" not in link or ReportFolder(report).resolves(link)


@pytest.mark.parametrize("name", LISTS)
def test_markdown_is_a_table_of_equal_rows(name, report):
    for folder in (report, report / "nowhere"):
        checklist = LISTS[name](Study(), folder)
        rows = [line for line in as_markdown(checklist).splitlines() if line.startswith("|")]
        assert len(rows) == len(checklist.items) + 2
        assert len({row.replace("\\|", "").count("|") for row in rows}) == 1


def test_what_a_person_wrote_cannot_break_the_page(report):
    nasty = '<script>alert(1)</script> | "quoted" [a](javascript:b) *x*\\n\\n# heading & more'
    text = (report / "study.toml").read_text()
    text = text.replace("'what conduct.funding asks'", '"' + nasty.replace('"', '\\"') + '"')
    (report / "study.toml").write_text(text)
    checklist = held(report)["hti1"]
    assert "<script>" in checklist["2"].said[0]
    page, table = as_html(checklist), as_markdown(checklist)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "script" not in Outline(page).cells
    assert "<script" not in table
    assert "\\[a\\](javascript" in table
    assert not any(line.startswith("# heading") for line in table.splitlines())


def test_statuses_are_told_in_words(report):
    (report / "sites.json").write_text('{"not_applicable": "One site."}')
    (report / "missing.json").unlink()
    checklist = held(report)["tripod_ai"]
    for shown in (as_html(checklist), as_markdown(checklist)):
        assert "● reported" in shown
        assert "◐ partial" in shown
        assert "- not applicable" in shown
        assert "One site." in shown


def test_a_checklist_as_json_says_what_the_page_says(report):
    told = json.loads(json.dumps(held(report)["probast_ai"].to_dict()))
    assert told["counts"]["reported"] == 34
    assert told["items"][0]["where"]


# --- the model card as XML -----------------------------------------------------------------------

# The sequences of schema v0.2 as its XSD states them; `?` may be left out.
METRIC = "MetricGoal Results Interpretation TestType TestingDataDescription "
METRIC += "ValidationProcessAndJustification"
SCHEMA = {
    "AppliedModelCard": "BasicInfo ReleaseInfo ModelSummary UsesAndDirections Warnings "
    "TrustIngredients KeyMetrics Resources Bibliography",
    "BasicInfo": "ModelName ModelDeveloper DeveloperContact",
    "ReleaseInfo": "ReleaseStage ReleaseDate ReleaseVersion GlobalAvailability "
    "EHRCompatibility? RegulatoryApproval?",
    "EHRCompatibility": "EHR?",
    "ModelSummary": "Summary Keywords",
    "Keywords": "Keyword?",
    "UsesAndDirections": "IntendedUseAndWorkflow PrimaryIntendedUsers HowToUse "
    "TargetedPatientPopulation CautionedOutOfScopeSettings",
    "Warnings": "KnownRisksAndLimitations KnownBiasesOrEthicalConsiderations ClinicalRiskLevel",
    "TrustIngredients": "AISystemFacts TransparencyInformation",
    "AISystemFacts": "OutcomesAndOutputs ModelType FoundationModels? InputDataSource "
    "OutputAndInputDataTypes DevelopmentDataCharacterization BiasMitigationApproaches "
    "OngoingMaintenance Security? Transparency?",
    "TransparencyInformation": "FundingSource ThirdPartyInformation? StakeholdersConsulted",
    "KeyMetrics": "UsefulnessUsabilityEfficacy FairnessEquity SafetyReliability",
    "UsefulnessUsabilityEfficacy": METRIC,
    "FairnessEquity": METRIC,
    "SafetyReliability": METRIC,
    "Results": "MetricResult",
    "MetricResult": "Label ValueJson",
    "Resources": "EvaluationReferences? ClinicalTrial? PeerReviewedPublications "
    "ReimbursementStatus? PatientConsentOrDisclosure",
}


def assert_fits(element):
    name = element.tag.removeprefix(f"{{{NAMESPACE}}}")
    assert element.tag != name
    children = [child.tag.removeprefix(f"{{{NAMESPACE}}}") for child in element]
    assert bool(children) == (name in SCHEMA)
    wanted = SCHEMA.get(name, "").split()
    kept = [w.rstrip("?") for w in wanted if not w.endswith("?") or w.rstrip("?") in children]
    assert children == kept
    for child in element:
        assert_fits(child)


@pytest.mark.parametrize("blank", [True, False])
def test_the_model_card_as_xml_fits_the_sequences_of_the_schema(report, blank):
    folder = report / "nowhere" if blank else report
    card = ET.fromstring(as_xml(model_card(Study(), folder), folder))
    assert_fits(card)
    said = card.find("{*}TrustIngredients/{*}TransparencyInformation/{*}FundingSource").text
    assert said == (MISSING if blank else "what conduct.funding asks")
    value = card.find("{*}KeyMetrics/{*}FairnessEquity/{*}Results/{*}MetricResult/{*}ValueJson")
    assert json.loads(value.text) == (None if blank else ["something"])


def test_what_xml_cannot_write_does_not_break_the_card(report):
    text = (report / "study.toml").read_text()
    nasty = '"<b> & ]]> \\u0001 \\uFFFE x"'
    (report / "study.toml").write_text(text.replace("'what release.name asks'", nasty))
    card = ET.fromstring(as_xml(held(report)["model_card"], report))
    assert card.find("{*}BasicInfo/{*}ModelName").text == "<b> & ]]> \ufffd \ufffd x"


def test_a_person_is_asked_for_nothing_that_no_list_wants():
    used = {Pointer.parse(p) for name in LISTS for p in pointers(name)}
    # Authors stand on the report itself.
    assert {key for key in KEYS if Pointer("study.toml", key, has_place=True) not in used} == {
        "report.authors"
    }
