"""Assessments made by hand and by chance, for tests of how they are shown; no model is needed."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import strategies as st

from spinecast.explaining.assessment import (
    Action,
    Assessment,
    Caution,
    Contribution,
    Interval,
    ModelIdentity,
    Reason,
    UnknownFactor,
)

SOURCES = {"sanden2011": "Sandén B et al. Spine 2011;36:1059-1064", "qod": "QOD 2025"}
OUTCOME = "failed back surgery syndrome 12 months after surgery"
REASON = "{verb} the estimate against the reference patient."
AGREEMENT = {
    "agrees": " The model's cohort agrees with the literature.",
    "disagrees": " The model's cohort contradicts the literature here.",
    "not established": "",
}

# factor, label, value, value in words, points of 100, share from the literature, agreement, sources
ROWS = (
    ("operations", "Previous lumbar operations", 2, "2 operations", 9.34, 0.8, "agrees", ("qod",)),
    (
        "opioids",
        "Opioids",
        "daily_gt_6mo",
        "daily for over 6 months",
        7.12,
        0.6,
        "agrees",
        ("qod",),
    ),
    ("depression", "Depression", None, "not known", 3.01, 1.1, "not established", ()),
    ("smoking", "Smoking", "current", "current", 2.88, 0.9, "disagrees", ("sanden2011",)),
    ("pcs", "Pain catastrophizing", 26, "26 points", 1.74, 0.5, "not established", ()),
    ("nrs_leg", "Leg pain, 0 to 10", 8, "8 points", -1.31, 1.2, "agrees", ()),
    ("walking", "Walking distance", None, "not known", 1.01, 1.0, "not established", ()),
    ("bmi", "Body mass index", 34.2, "34.2 kg/m2", 0.62, 1.0, "not established", ()),
    ("anxiety", "Anxiety or distress", None, "not known", 0.32, 1.0, "not established", ()),
    ("asa", "ASA class", 2, "2", 0.24, 1.0, "not established", ()),
    ("age", "Age", 48, "48 years", -0.21, 1.0, "not established", ()),
    ("levels", "Levels", 2, "2 levels", 0.5, 1.0, "not established", ()),
    ("sex", "Sex", "female", "female", 0.0, 1.0, "not established", ()),
    ("diabetes", "Diabetes", "no", "no", 0.0, 1.0, "not established", ()),
)
# What a model without patients says of itself, beside the banner.
STANDING = {
    "simulated": (Caution("simulated", "This model was trained on simulated patients."),),
    "literature": (Caution("literature", "This model is the published evidence alone."),),
}


def logit(risk: float) -> float:
    return math.log(risk) - math.log1p(-risk)


def example(trained_on="patients", patient_id="SYN-0042") -> Assessment:
    """A patient with something in every part of the record."""
    reference = 0.0612
    risk = reference + sum(row[4] for row in ROWS) / 100
    per_point = (logit(risk) - logit(reference)) / (risk - reference) / 100
    contributions = [
        Contribution(
            factor=factor,
            label=label,
            value=value,
            log_odds=points * per_point,
            risk_points=points / 100,
            from_literature=points * per_point * share,
            from_cohort=points * per_point * (1 - share),
            agreement=agreement,
            mechanisms=("fibrosis",),
            sentence=f"{label}: {words}. "
            + REASON.format(verb="Raises" if points > 0 else "Lowers")
            + AGREEMENT[agreement],
            sources=sources,
        )
        for factor, label, value, words, points, share, agreement, sources in ROWS
    ]
    return Assessment(
        status="scored",
        reasons=(),
        risk=risk,
        interval=Interval(
            0.2411, 0.3902, 0.9, "normal on the log-odds scale; 200 bootstrap refits"
        ),
        reference_risk=reference,
        cohort_risk=0.2005,
        centile=83.2,
        margin=logit(risk),
        reference_margin=logit(reference),
        contributions=tuple(sorted(contributions, key=lambda c: -abs(c.log_odds))),
        unknown=(
            UnknownFactor("depression", "no (74% likely)", 0.287, 0.392),
            UnknownFactor("walking", "more than 1000 m (41% likely)", 0.290, 0.335),
            UnknownFactor("anxiety", "no (68% likely)", 0.3101, 0.3149),
        ),
        cautions=(
            *STANDING.get(trained_on, ()),
            Caution("unusual", "This combination is unusual for the cohort.", ("pcs", "nrs_leg")),
        ),
        actions=(
            Action("opioids", "Where feasible, taper opioids before surgery. No trial.", ("qod",)),
            Action("smoking", "Offer help to stop smoking.", ("sanden2011",)),
        ),
        model=identity(trained_on),
        patient_id=patient_id,
    )


def identity(trained_on="patients") -> ModelIdentity:
    return ModelIdentity("lumbar-1", trained_on, 2000, 401, OUTCOME, "lumbar-fbss 1.0.0", "0.1.0")


def refused(trained_on="patients") -> Assessment:
    """A patient who cannot be scored, for two reasons."""
    reasons = (
        Reason("range", "age", "age: 7; a number from 18 to 100. Check the date of birth."),
        Reason("excluded", "", "Spinal tumour: out of scope. Do not score this patient."),
    )
    cautions = STANDING.get(trained_on, ())
    return Assessment.refused(reasons, identity(trained_on), cautions, patient_id="SYN-0043")


LABELS = st.text("abc éß≥<&>\"'", min_size=1, max_size=12).map(lambda text: f"f{text}")
VALUES = st.one_of(
    st.none(),
    st.sampled_from(["no", "yes", "daily_gt_6mo", "<b>"]),
    st.integers(0, 100),
    st.floats(0, 200).map(lambda number: round(number, 2)),
)
RISKS = st.one_of(st.floats(1e-5, 1 - 1e-5), st.floats(0.01, 0.5))


@st.composite
def contributions(draw, gap: float, per_point: float) -> tuple[Contribution, ...]:
    """Any number of contributions that add up to `gap`, many of them nothing, largest first."""
    points = draw(
        st.lists(
            st.one_of(st.just(0.0), st.floats(-0.2, 0.2), st.floats(-0.004, 0.004)), max_size=44
        )
    )
    made = []
    for number, point in enumerate([*points, gap - math.fsum(points)]):
        share = draw(st.sampled_from([0.0, 0.3, 1.0, 1.4]))
        label, value = draw(LABELS), draw(VALUES)
        log_odds = point * per_point
        made.append(
            Contribution(
                factor=f"factor_{number}",
                label=label,
                value=value,
                log_odds=log_odds,
                risk_points=point,
                from_literature=share * log_odds,
                from_cohort=log_odds - share * log_odds,
                agreement=draw(st.sampled_from(["agrees", "disagrees", "not established"])),
                mechanisms=(),
                sentence=f"{label}: {'not known' if value is None else value}. It moves the "
                "estimate.",
                sources=tuple(draw(st.lists(st.sampled_from(["a", "b", "c"]), max_size=3))),
            )
        )
    return tuple(sorted(made, key=lambda c: -abs(c.log_odds)))


@st.composite
def assessments(draw) -> Assessment:
    """Any scored record that keeps the contract."""
    risk, reference = draw(RISKS), draw(RISKS)
    gap = risk - reference
    curve = 1 / (risk * (1 - risk))
    per_point = (logit(risk) - logit(reference)) / gap if abs(gap) > 1e-9 else curve
    made = draw(contributions(gap, per_point))
    unknown = tuple(
        UnknownFactor(c.factor, "no (60% likely)", min(pair), max(pair))
        for c in made
        if c.value is None
        for pair in [(draw(RISKS), draw(RISKS))]
    )
    return replace(
        example(draw(st.sampled_from(["patients", "simulated", "literature"]))),
        risk=risk,
        reference_risk=reference,
        margin=logit(risk),
        reference_margin=logit(reference),
        contributions=made,
        unknown=unknown,
        cautions=(),
        actions=(),
        centile=draw(st.one_of(st.none(), st.floats(0, 100))),
        cohort_risk=draw(st.one_of(st.none(), RISKS)),
        interval=draw(
            st.one_of(st.none(), st.builds(Interval, RISKS, RISKS, st.just(0.9), st.just("m")))
        ),
    )
