"""Methods whose behaviour is known beforehand, for tests of validation; importable by processes."""

from __future__ import annotations

import os

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from spinecast.errors import DataRefused
from spinecast.measures import logistic
from spinecast.measures.logistic import expit


def _both(risk):
    return np.column_stack([1 - risk, risk])


class FixedRule:
    """A published rule: it learns nothing."""

    def fit(self, codes, y, patients=None):
        return self

    def predict_proba(self, codes):
        return _both(expit(codes[:, 0] - 1.0))


class Constant(FixedRule):
    """Everyone has the rate of those learned from."""

    def fit(self, codes, y, patients=None):
        self.rate = y.mean()
        return self

    def predict_proba(self, codes):
        return _both(np.full(len(codes), self.rate))


class ByHeart:
    """A tree grown until it knows every patient."""

    def fit(self, codes, y, patients=None):
        self.tree = DecisionTreeClassifier(random_state=0).fit(codes, y)
        return self

    def predict_proba(self, codes):
        return self.tree.predict_proba(codes)


class Logistic:
    """A logistic model with a light ridge; unknown is 0."""

    def fit(self, codes, y, patients=None):
        columns = self._columns(codes)
        nothing, ones = np.zeros(len(y)), np.ones(len(y))
        self.fitted = logistic.fit(columns, y, offset=nothing, weights=ones, ridge=0.1)
        return self

    def predict_proba(self, codes):
        return _both(expit(self._columns(codes) @ self.fitted.coefficients))

    def _columns(self, codes):
        return np.column_stack([np.ones(len(codes)), np.nan_to_num(codes)])


class Moody(Logistic):
    """Refuses to learn where the first patient's first answer is high."""

    def fit(self, codes, y, patients=None):
        if codes[0, 0] > 0:
            raise DataRefused("It would not learn", [])
        return super().fit(codes, y)


class Deadly(FixedRule):
    """Ends the process that fits it, as a system short of memory does."""

    def fit(self, codes, y, patients=None):
        os._exit(9)


class Spy:
    """Remembers, for every fit, whom it learned from and whom it gave a risk (by row number)."""

    def __init__(self):
        self.fits = []

    def __call__(self):
        self.fits.append(({}, None))
        return _Spying(self.fits, len(self.fits) - 1)


class _Spying(FixedRule):
    def __init__(self, fits, at):
        self.fits, self.at = fits, at

    def fit(self, codes, y, patients=None):
        self.fits[self.at] = (codes[:, -1].astype(int), patients)
        return self

    def predict_proba(self, codes):
        self.fits[self.at] = (*self.fits[self.at], codes[:, -1].astype(int))
        return super().predict_proba(codes)


def drawn(patients, seed=0, columns=5):
    """Patients whose risk rises with their first answer, by as much as `FixedRule` says.

    The last column is the patient's row number.
    """
    random = np.random.default_rng(seed)
    codes = random.normal(size=(patients, columns))
    y = (random.random(patients) < expit(codes[:, 0] - 1.0)) * 1.0
    return np.column_stack([codes, np.arange(patients)]), y
