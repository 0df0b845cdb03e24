"""Predict, before lumbar spine surgery, the risk of failed back surgery syndrome, and say why."""

__version__ = "0.1.0"
