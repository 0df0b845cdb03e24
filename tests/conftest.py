"""What every test shares: the packaged registry, a tiny one, and tests that repeat themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from spinecast.factors import Registry
from spinecast.loading import load_registry

# The same examples on every machine; `--hypothesis-profile deep` looks further, overnight.
settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("deep", parent=settings.get_profile("ci"), max_examples=2_000)
settings.load_profile("ci")

TINY = Path(__file__).parent / "tiny_registry"


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The registry that comes with the program."""
    return load_registry()


@pytest.fixture(scope="session")
def tiny() -> Registry:
    """Five factors, one of each kind: small enough to reason about in a test."""
    return load_registry(TINY)
