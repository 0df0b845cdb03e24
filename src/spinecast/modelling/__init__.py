"""From codes to a margin: columns, coefficients, trees, recalibration."""
