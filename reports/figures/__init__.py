"""Figures as SVG, PDF and PNG, drawn without a display."""
