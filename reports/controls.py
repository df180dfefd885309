"""Names of the methods that every comparison should hold, and that reports compare with."""

DENSE = "dense"
"""Trained without any pruning, under the same budget."""
RANDOM = "random"
"""Connections chosen at random: the lowest bar."""
MAGNITUDE = "magnitude"
"""The baseline of the field."""
