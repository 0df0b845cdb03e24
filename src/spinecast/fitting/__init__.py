"""The researcher's door: from a cohort to a model, judged on patients it had not seen."""
