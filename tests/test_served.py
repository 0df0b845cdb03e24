"""The model as MLflow hands tables to it, also from Spark: as `mlflow.pyfunc.spark_udf` makes them.

PySpark is not among what is installed. What it hands over is: pandas frames of plain types, one for
each batch of Arrow rows, some of them empty; and it takes the columns its result type names.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def signature(registry):
    from spinecast.runs.run_files import _signature

    with warnings.catch_warnings():  # MLflow warns of its own affairs when it is imported
        warnings.simplefilter("ignore")
        return _signature(registry)


@pytest.fixture(scope="module")
def predictions(signature):
    """Imported once MLflow has been."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from spinecast.runs.served import predictions
    return predictions


@pytest.fixture(scope="module")
def struct(registry, candidates) -> pd.DataFrame:
    """A struct column as a frame: text with None, numbers with NaN; one row cannot be scored."""
    columns = {}
    for factor, codes in zip(registry.factors, candidates[:200].T, strict=True):
        values = [None if np.isnan(code) else factor.value_of(code) for code in codes.tolist()]
        kind = np.float64 if factor.is_numeric else object
        columns[factor.name] = pd.Series(values, dtype=kind)
    told = pd.DataFrame(columns)
    told.loc[7, "age"] = 400.0
    return told


@pytest.fixture(scope="module")
def output(signature):
    """The declared columns and their types."""
    return {spec.name: spec.type.to_pandas() for spec in signature.outputs.inputs}


def test_batches_of_any_size_add_up_to_the_whole(scorer, struct, predictions):
    whole = predictions(scorer.explainer, struct)
    parts = [predictions(scorer.explainer, struct[a:b]) for a, b in ((0, 0), (0, 1), (1, 200))]
    together = pd.concat([pd.DataFrame(part) for part in parts if len(part)])
    pd.testing.assert_frame_equal(together, pd.DataFrame(whole), rtol=0, atol=1e-12)


@pytest.mark.parametrize("rows", [slice(0, 0), slice(7, 8), slice(0, 1), slice(0, 200)])
def test_every_batch_has_the_declared_columns_in_plain_types(
    scorer, struct, output, predictions, rows
):
    told = predictions(scorer.explainer, struct[rows])
    assert list(told) == list(output)
    for name, kind in output.items():
        if kind == np.float64:
            assert told[name].dtype == np.float64
        else:
            words = told[name].dropna()
            assert all(isinstance(value, str) for value in words)
            # What a refused row does not have is null; who it is and why it was refused is said.
            assert len(words) == len(told) or name in ("unknown", "cautions")
            assert told["status"].eq("refused")[told[name].isna()].all()


def test_columns_given_one_by_one_are_those_of_the_struct(scorer, struct, signature, predictions):
    names = [spec.name for spec in signature.inputs.inputs]
    series = {name: struct[name] for name in struct}
    # As MLflow joins them: every declared name is a column, those not given are empty.
    joined = pd.DataFrame(data=series, columns=names)
    pd.testing.assert_frame_equal(
        pd.DataFrame(predictions(scorer.explainer, joined)),
        pd.DataFrame(predictions(scorer.explainer, struct)),
    )


def test_it_says_what_a_file_of_scores_says(scorer, struct, predictions):
    told = predictions(scorer.explainer, struct)
    known = {name: value for name, value in struct.iloc[3].items() if not pd.isna(value)}
    one = scorer.assess(known)
    assert told.loc[3, "risk"] == pytest.approx(one.risk, abs=1e-12)
    assert told.loc[7, "status"] == "refused"
    assert np.isnan(told.loc[7, "risk"])
