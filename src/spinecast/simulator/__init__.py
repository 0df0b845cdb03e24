"""Patients with a known truth."""
