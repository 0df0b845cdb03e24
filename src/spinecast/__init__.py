"""Predict, before lumbar spine surgery, the risk of failed back surgery syndrome, and say why."""

import importlib
import os
from typing import Any

__version__ = "0.1.0"

# What a notebook needs, in one place; see `notebook`. Fetched when asked for, so that importing
# spinecast stays quick, and by name, so that scoring is not seen to depend on training.
_ROOMS = dict.fromkeys(
    ("check", "load_registry", "read_cohort", "score", "simulate", "validate"), "doing"
) | dict.fromkeys(("promote", "train", "update"), "making")
__all__ = [*_ROOMS]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of several functions
    if name in _ROOMS:
        return getattr(importlib.import_module(f"spinecast.notebook.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'spinecast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]


# XGBoost's threads spin while they wait, unless told otherwise before the OpenMP runtime loads. On
# a machine with other work that turned 0.6 s of training into 11.6 s.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
