"""A validation kept in a folder: its numbers, and the calibration curve as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spinecast.drawing import plots
from spinecast.errors import Problem, UsageRefused
from spinecast.files import reason, write_text
from spinecast.judging.judgement import Judgement


def write_judged(told: Mapping[str, Any], judgement: Judgement, remark: str, folder: Path) -> None:
    """Keep a validation: `validation.json` and `calibration.svg`, each whole or not at all.

    Raises:
        UsageRefused: the folder cannot be written to.
    """
    text = json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False)
    plot = plots.calibration_plot(judgement.performance, remark=remark)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = Problem(str(folder), reason(error), "a folder that can be written to is needed")
        raise UsageRefused("The validation was not written", [problem]) from None
    write_text(folder / "validation.json", text + "\n")
    write_text(folder / "calibration.svg", plot)
