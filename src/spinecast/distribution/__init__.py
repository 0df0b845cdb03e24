"""What patients look like: one copula completes unknowns, judges likeness, draws patients."""
