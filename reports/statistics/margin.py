"""When two accuracies count as equal."""

MARGIN = 0.003
"""Default margin of equality: 0.3 percentage points of accuracy."""
