"""Patients' answers as they come: files read, answers coded, rows accepted or refused."""
