"""The figures of a report: each with what it shows, how it was made, and where its numbers are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spinecast.drawing.effect_figures import effect_plot
from spinecast.drawing.figures import decision_plot, risk_plot
from spinecast.drawing.forest import forest_plot
from spinecast.drawing.learning_figures import instability_plot, learning_plot
from spinecast.drawing.plots import calibration_plot, comparison_plot
from spinecast.fitting.elsewhere import SCALES, OtherSites
from spinecast.fitting.training import OURS
from spinecast.reports.evidence import Evidence
from spinecast.reports.sentences import alike, one_risk, unseen_in_words

BOOTSTRAP = "95% intervals by the bootstrap over patients."


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure of a report.

    Attributes:
        name: Of its file, without the ending; it is also its id on the page.
        section: In which section it stands.
        svg: The figure.
        caption: What it shows.
        method: How it was made.
        source: A pointer to the file of the report, and the place in it, that hold its numbers.
    """

    name: str
    section: str
    svg: str
    caption: str
    method: str
    source: str


def figures(found: Evidence) -> tuple[Drawn, ...]:
    """Every figure for which there are numbers."""
    return (*_performance(found), *_groups(found), *_model(found), *_internal(found))


def _remark(found: Evidence) -> str:
    return "Simulated patients" if found.is_simulated else ""


def _performance(found: Evidence) -> Iterator[Drawn]:
    result, remark = found.result, _remark(found)
    yield Drawn(
        "figure-calibration",
        "calibration",
        calibration_plot(result.performance[OURS], remark=remark),
        "Observed against predicted risk.",
        unseen_in_words(found) + "Groups of equal size and a smooth curve; " + BOOTSTRAP,
        "performance.json#/performance/spinecast/curve",
    )
    yield Drawn(
        "figure-comparison",
        "comparison",
        comparison_plot(result.performance, remark=remark),
        "The model beside its baselines.",
        f"All methods on {alike(found)}. " + BOOTSTRAP,
        "performance.json#/performance",
    )
    yield Drawn(
        "figure-risks",
        "performance",
        risk_plot(result.y, found.risk, remark=remark),
        "Predicted risks of patients with and without the outcome.",
        one_risk(found),
        "performance.json#/performance/spinecast/curve/histogram",
    )
    judged = found.judged
    if judged.decisions is not None and judged.thresholds is not None:
        yield Drawn(
            "figure-decision",
            "decisions",
            decision_plot(judged.decisions, action=judged.thresholds.action, remark=remark),
            "Net benefit over the declared thresholds.",
            one_risk(found) + " Pointwise 95% intervals by the bootstrap.",
            "decision_curve.json#/net_benefit",
        )


def _groups(found: Evidence) -> Iterator[Drawn]:
    judged = found.groups.judged
    if not judged:
        return
    rows = [found.groups.overall, *judged] if found.groups.overall.measures else judged
    told = [group["auroc"].measured for group in rows]
    yield Drawn(
        "figure-subgroups",
        "subgroups",
        forest_plot(
            [group.named for group in rows],
            [one.value for one in told],
            [one.low for one in told],
            [one.high for one in told],
            measure="AUROC, higher is better",
            title="Group by group",
            remark=_remark(found),
        ),
        "AUROC in each group that is large enough to be judged.",
        one_risk(found) + " Intervals by DeLong.",
        "subgroups.json#/groups",
    )


def _model(found: Evidence) -> Iterator[Drawn]:
    level = f"the middle {found.result.model.level:.0%} of {len(found.result.model.refits)} refits"
    yield Drawn(
        "figure-importance",
        "model",
        forest_plot(
            [one.label for one in found.importance],
            [one.value for one in found.importance],
            [one.low for one in found.importance],
            [one.high for one in found.importance],
            measure="Mean absolute contribution to the log-odds",
            interval=level,
            title="Which factors move risks most",
            remark=_remark(found),
        ),
        "How much each factor moves the risks of these patients.",
        f"Contributions against the reference patient; lines are {level}.",
        "effects.json#/importance",
    )
    by_name = {one.factor: one for one in found.effects}
    places = {one.factor: place for place, one in enumerate(found.effects)}
    for one in found.importance:
        yield Drawn(
            f"figure-effect-{one.rank}",
            "effects",
            effect_plot(by_name[one.factor], remark=_remark(found)),
            f"{one.label}: odds ratios of its values.",
            f"The model's, with {level}, beside the literature's with its plausible range.",
            f"effects.json#/effects/{places[one.factor]}",
        )
    yield from _agreement(found)


def _agreement(found: Evidence) -> Iterator[Drawn]:
    """Each factor's effect in the cohort alone, as a multiple of what is published."""
    factors = found.result.model.registry.factors
    told = [
        (factor.label, one.multiple, one.low, one.high)
        for factor, one in zip(factors, found.result.facts.agreement, strict=True)
        if one.multiple is not None and one.low is not None and one.high is not None
    ]
    if told:
        labels, values, lows, highs = zip(*told, strict=True)
        yield Drawn(
            "figure-agreement",
            "agreement",
            forest_plot(
                labels,
                values,
                lows,
                highs,
                ideal=1.0,
                measure="Multiple of the published effect; dashed: as published, 0: no effect",
                title="The cohort alone beside the literature",
                remark=_remark(found),
                digits=1,
            ),
            "What these patients alone say of each published effect.",
            "Logistic regression without the literature; 95% intervals. An interval wholly below "
            "0 contradicts the literature, one wholly above agrees.",
            "effects.json#/agreement",
        )


def _internal(found: Evidence) -> Iterator[Drawn]:
    internal, remark = found.internal, _remark(found)
    if internal is None:
        return
    source = "internal_validation.json#"
    if internal.learning and internal.learning.sizes:
        sizes = internal.learning.sizes
        told = [next(m for m in size.measures if m.measure == "auroc") for size in sizes]
        yield Drawn(
            "figure-learning",
            "learning",
            learning_plot(
                [size.patients for size in sizes],
                [one.mean for one in told],
                [one.lowest for one in told],
                [one.highest for one in told],
                measure="AUROC, higher is better",
                events=[round(size.events) for size in sizes],
                interval="lowest and highest of the repeats",
                remark=remark,
            ),
            "How good the method is when it learns from fewer patients.",
            f"{internal.learning.repeats} repeats at each size; judged on patients left out.",
            source + "/learning/sizes",
        )
    if internal.optimism and internal.optimism.instability:
        steady = internal.optimism.instability
        yield Drawn(
            "figure-stability",
            "stability",
            instability_plot(
                steady.risk, steady.low, steady.high, level=steady.level, remark=remark
            ),
            "How far a patient's risk would differ had other patients been learned from.",
            f"{internal.optimism.used} bootstrap refits of the whole method; the file holds the "
            "mean error and no single patient.",
            source + "/optimism/instability/mean_error",
        )
    if internal.sites and internal.sites.sites:
        yield _sites(internal.sites, remark)


def _sites(told: OtherSites, remark: str) -> Drawn:
    """The AUROC of every site, and over all of them where they were pooled."""
    areas = [site.performance["auroc"] for site in told.sites]
    pooled = next((one.pooled for one in told.summaries if one.measure == "auroc"), None)
    return Drawn(
        "figure-sites",
        "sites",
        forest_plot(
            [site.name for site in told.sites],
            [one.value for one in areas],
            [one.low for one in areas],
            [one.high for one in areas],
            pooled.shown(SCALES["auroc"].back) if pooled else None,
            measure="AUROC, higher is better",
            remark=remark,
        ),
        "Each site predicted by a model that learned at all the others.",
        "Random effects on the log-odds scale; " + BOOTSTRAP,
        "sites.json#/sites",
    )
