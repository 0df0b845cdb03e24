"""Many patients: rows accepted or refused, outcomes derived, groups formed."""
