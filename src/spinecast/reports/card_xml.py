"""CHAI's applied model card as XML, its elements in the order of schema v0.2.

What is missing is said to be missing where the schema wants an element, and left out where it does
not. Text is Markdown, as the schema has it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from spinecast.reports.checklists import Checklist, Item
from spinecast.reports.pointers import ReportFolder

NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"
MISSING = "Missing: not stated."
RESULT = "MetricResult"

# Characters XML 1.0 has no way to write.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_xml(card: Checklist, files: Path) -> str:
    """The model card as an XML document.

    Args:
        card: what `checklists.model_card` made of the folder.
        files: the report's folder, from which the measures are taken.
    """
    folder = ReportFolder(files)
    root = ET.Element("AppliedModelCard", xmlns=NAMESPACE)
    for item in card.items:
        if item.optional and not item.where:
            continue
        *above, name = item.number.split("/")
        parent = root
        for step in above:
            parent = _last(parent, step)
        if name == RESULT:
            _results(parent, item, folder)
        else:
            ET.SubElement(parent, name).text = _writable(_text(item))
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _last(parent: ET.Element, name: str) -> ET.Element:
    """The element being filled; elements of one name follow each other."""
    if len(parent) and parent[-1].tag == name:
        return parent[-1]
    return ET.SubElement(parent, name)


def _text(item: Item) -> str:
    told = [said or f"See {pointer}." for said, pointer in zip(item.said, item.where, strict=True)]
    if item.status == "partial":
        told.append(item.note)
    return "\n\n".join(told) or MISSING


def _results(parent: ET.Element, item: Item, folder: ReportFolder) -> None:
    """One result for each place; at least one is wanted, so a missing one is null."""
    for pointer in item.where or ("",):
        value = folder.find(pointer) if pointer else None
        result = ET.SubElement(parent, RESULT)
        ET.SubElement(result, "Label").text = pointer or MISSING
        text = json.dumps(value, ensure_ascii=False)
        ET.SubElement(result, "ValueJson").text = _writable(text)


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
