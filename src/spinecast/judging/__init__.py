"""Risks held against outcomes, and who the patients were."""
