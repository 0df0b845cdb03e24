"""Figures as SVG: drawn from records, nothing computed."""
