"""The numbers behind a report: one JSON document for each question that the checklists put.

Whatever was not done stays null and is said in words beside it; nothing is filled in.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import scipy
import sklearn
import xgboost

from spinecast import __version__
from spinecast.fitting.baselines import SIMPLE
from spinecast.measures.evaluation import plain
from spinecast.measures.metrics import MEASURES
from spinecast.measures.sample_size import SampleSize
from spinecast.reports.evidence import Evidence
from spinecast.reports.sentences import (
    NOT_RUN,
    POLICY,
    SELECTION,
    SHIFT,
    SITES,
    STEPS,
    UNALTERED,
    UPDATING,
    internal_in_words,
    limitations,
    one_risk,
    performance_in_words,
    scheme_in_words,
    simple_in_words,
)

PACKAGES = (np, scipy, sklearn, xgboost)
LICENCE = "Apache-2.0"


def documents(found: Evidence) -> dict[str, Any]:
    """The JSON files of a report by name; None for what could not be computed."""
    told: dict[str, Any] = {
        "performance.json": _performance(found),
        "data.json": found.described.to_dict(),
        "subgroups.json": found.groups.to_dict() | {"risks": one_risk(found)},
        "sample_size.json": _sample_size(found),
        "missing.json": _missing(found),
        "sites.json": _sites(found),
        "updating.json": {"not_applicable": UPDATING},
        "shift.json": {"not_applicable": SHIFT},
        "internal_validation.json": _internal(found),
        "definitions.json": _definitions(found),
        "software.json": _software(),
        "effects.json": {
            "agreement": _agreement(found),
            "importance": [asdict(one) for one in found.importance],
            "effects": [one.to_dict() for one in found.effects],
        },
    }
    curve = found.judged.to_dict()["decision_curve"]
    if curve is not None:
        told["decision_curve.json"] = dict(curve) | {"risks": one_risk(found)}
    return {name: plain(document) for name, document in told.items()}


def _performance(found: Evidence) -> dict[str, Any]:
    result, judged = found.result, found.judged.to_dict()
    rival = result.rival
    return {
        "trained_on": result.facts.trained_on,
        "standing": found.standing.to_dict(),
        "in_words": " ".join(performance_in_words(found)),
        "performance": {name: one.to_dict() for name, one in result.performance.items()},
        "comparison": result.comparison.to_dict(),
        "simple_model": {"simple": list(SIMPLE), "in_words": simple_in_words(found)},
        "model_in_use": None if rival is None else asdict(rival),
        "first_repeat": {
            "risks": one_risk(found),
            "auroc_delong": judged["auroc_delong"],
            "calibration_distances": judged["calibration_distances"],
            "notes": list(found.judged.notes),
        },
        "limitations": list(limitations(found)),
    }


def _definitions(found: Evidence) -> dict[str, Any]:
    registry = found.result.model.registry
    return {
        "registry": registry.id,
        "out_of_scope": [
            {"name": one.name, "question": one.question, "reason": one.reason}
            for one in registry.exclusions
        ],
        "factors": [
            {"name": f.name, "label": f.label, "kind": f.kind, "known_at": f.known_at}
            | {"question": f.question, "unit": f.unit, "definition": f.definition}
            for f in registry.factors
        ],
        "selection": SELECTION.format(factors=len(registry.factors)),
        "measures": [
            {"name": one.name, "label": one.label, "better": one.better, "ideal": one.ideal}
            for one in MEASURES
        ],
    }


def _software() -> dict[str, Any]:
    packages = {one.__name__: str(one.__version__) for one in PACKAGES}
    listed = ", ".join(f"{name} {version}" for name, version in packages.items())
    return {
        "name": "spinecast",
        "version": __version__,
        "licence": LICENCE,
        "python": platform.python_version(),
        "packages": packages,
        "in_words": f"spinecast {__version__}, {LICENCE}; Python {platform.python_version()}, "
        f"{listed}.",
    }


def _agreement(found: Evidence) -> list[dict[str, Any]]:
    factors = found.result.model.registry.factors
    return [
        {"factor": factor.name, "label": factor.label, **asdict(one), "verdict": one.verdict}
        for factor, one in zip(factors, found.result.facts.agreement, strict=True)
    ]


def _sample_size(found: Evidence) -> dict[str, Any]:
    def told(size: SampleSize | None) -> dict[str, Any] | None:
        return None if size is None else size.to_dict()

    words = "" if found.development else "Not computed: the model ranks no better than chance."
    return {
        "standing": found.standing.to_dict(),
        "development": told(found.development),
        "validation": told(found.validation),
        "not_computed": words,
    }


def _missing(found: Evidence) -> dict[str, Any]:
    internal = found.internal
    used = internal.to_dict()["in_use"] if internal else None
    return {"policy": POLICY, "shares": dict(found.described.missing), "in_use": used}


def _sites(found: Evidence) -> dict[str, Any]:
    named = sorted({str(site) for site in found.labelled.cohort.site if site})
    if len(named) < 2:
        known = "all patients come from one site" if named else "no site is known"
        return {"not_applicable": f"Not applicable: {known}."}
    internal = found.internal
    if internal is None or internal.sites is None:
        return {"method": None, "summary": None, "missing": NOT_RUN}
    told = internal.to_dict()["sites"]
    return {"method": SITES, "summary": told["summaries"], **told}


def _internal(found: Evidence) -> dict[str, Any]:
    internal, recipe = found.internal, found.result.recipe
    scheme = scheme_in_words(found)
    return {
        "scheme": scheme,
        "objective": "A model is developed, and judged by internal validation alone.",
        "test_type": _test_type(found),
        "in_words": " ".join(internal_in_words(found)),
        "steps_inside": list(STEPS),
        "analyses": list(analyses(found)),
        "class_imbalance_not_applicable": UNALTERED,
        "seed": recipe.seed,
        **(internal.to_dict() if internal else {"optimism": None, "missing": NOT_RUN}),
    }


def _test_type(found: Evidence) -> str:
    if found.result.apart:
        return "Internal validation: patients of the same file, set apart by chance."
    bootstrap = " and bootstrap" if found.internal and found.internal.optimism else ""
    return (
        f"Internal validation: cross-validation{bootstrap}, on the patients the model was "
        "developed with."
    )


def analyses(found: Evidence) -> Iterator[Mapping[str, Any]]:
    """Each analysis with its patients and events."""
    result, internal = found.result, found.internal
    counts = {"patients": len(result.y), "events": int(result.y.sum())}
    facts, apart = result.facts, result.apart
    if apart:
        yield {"analysis": "all patients", "patients": facts.patients, "events": facts.events}
        yield {"analysis": "patients set apart to judge", **counts}
    else:
        for name in ("development of the model", "cross-validation"):
            yield {"analysis": name, **counts}
    if internal is None:
        return
    if internal.optimism:
        yield {"analysis": f"bootstrap, {internal.optimism.used} samples", **counts}
    tested = [*(internal.sites.sites if internal.sites else ())]
    tested += [internal.period.later] if internal.period and internal.period.later else []
    for one in tested:
        tests = {"patients": one.performance.patients, "events": one.performance.events}
        learned = {"learned_from": one.learned_from, "learned_events": one.learned_events}
        yield {"analysis": f"tested on: {one.name}", **tests, **learned}
