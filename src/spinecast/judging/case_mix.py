"""Whether the patients of another hospital are like those a model learned from.

Two answers, of which neither needs an outcome. The linear predictor: its mean says whether patients
are at higher risk there, its SD whether they differ more among each other. And a membership model:
a logistic model that tries to tell the patients of one hospital from those of the other; an AUROC
near 0.5 means it cannot, and a test there shows that results repeat; far above, patients differ,
and the test shows whether the model travels.

Source: Debray 2015, doi:10.1016/j.jclinepi.2014.06.018. A model folder keeps no patient, so home
patients are drawn from the population it keeps, with the same answers blanked as there; outcomes,
which Debray lets into the membership model, are not part of that population.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecast.explaining.facts import CohortFacts
from spinecast.measures import logistic
from spinecast.measures.delong import AurocInterval, auroc_interval
from spinecast.measures.logistic import Matrix, Vector, logit
from spinecast.measures.resampling import folds
from spinecast.modelling.model import Model

SEED = 20_250_101
MOST = 2000
"""Patients of either side that the membership model sees; more would make it only slower."""
SPLITS = 5
RIDGE = 10.0
"""On columns of SD 1, in natural-log units: as if ten patients said that no column differs. The
membership model has a hundred columns and may have as few patients."""
FEWEST = 20
"""Patients below whom a hundred columns tell any two groups apart, or none; a convention."""


@dataclass(frozen=True, slots=True)
class CaseMix:
    """How patients there differ from those at home; log-odds, NaN for what could not be computed.

    Attributes:
        home_mean: Mean of the linear predictor among the patients the model learned from.
        home_sd: Its standard deviation there.
        mean: The same among these patients.
        sd: Likewise.
        membership: AUROC of telling these patients from those at home, cross-validated.
        patients: How many the first four rest on.
    """

    home_mean: float
    home_sd: float
    mean: float
    sd: float
    membership: AurocInterval
    patients: int

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def case_mix(
    model: Model, facts: CohortFacts, codes: npt.NDArray[np.float64], *, seed: int = SEED
) -> CaseMix:
    """Compare patients, rows of codes (n, F) with NaN for unknown, with those of a model's cohort.

    The same seed gives the same membership model, whatever the order of the rows.
    """
    margin = model.margin(model.rows(codes))
    home_mean, home_sd = _home(facts)
    return CaseMix(
        home_mean,
        home_sd,
        float(margin.mean()) if len(margin) else np.nan,
        float(margin.std(ddof=1)) if len(margin) > 1 else np.nan,
        membership(model, codes, seed=seed),
        len(codes),
    )


def membership(model: Model, codes: npt.NDArray[np.float64], *, seed: int = SEED) -> AurocInterval:
    """How well patients can be told from those a model learned from; 0.5 is not at all."""
    there = codes[np.lexsort(codes.T)][:: max(1, -(-len(codes) // MOST))]
    home = model.population.sample(len(there), np.random.default_rng(seed))
    home[np.isnan(there)] = np.nan
    y = np.repeat([1.0, 0.0], len(there))
    if len(there) < FEWEST:
        return auroc_interval(y, np.full(len(y), np.nan))
    columns = model.rows(np.vstack([there, home])).columns
    varied = columns[:, columns.std(axis=0) > 0]
    return auroc_interval(y, _foretold(varied / varied.std(axis=0), y, seed))


def _foretold(columns: Matrix, y: Vector, seed: int) -> Vector:
    """Log-odds of being from there, each by a fit that had not seen the patient."""
    design = np.column_stack([np.ones(len(y)), columns - columns.mean(axis=0)])
    margin = np.empty(len(y))
    for learn, test in folds(y, repeats=1, splits=SPLITS, seed=seed):
        nothing, one = np.zeros(len(learn)), np.ones(len(learn))
        found = logistic.fit(design[learn], y[learn], offset=nothing, weights=one, ridge=RIDGE)
        margin[test] = design[test] @ found.coefficients
    return margin


def _home(facts: CohortFacts) -> tuple[float, float]:
    """Mean and SD of the linear predictor at home, from the percentiles of risk that are kept.

    Between two percentiles the predictor is taken as spread evenly.
    """
    margins = logit(np.clip(facts.risk_quantiles, 1e-12, 1 - 1e-12))
    low, high = margins[:-1], margins[1:]
    mean = float(((low + high) / 2).mean())
    square = float(((low**2 + low * high + high**2) / 3).mean())
    return mean, float(np.sqrt(max(square - mean**2, 0.0)))
