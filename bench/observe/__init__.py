"""Observers of a run: live progress on the terminal, and the mirror in MLflow, which can be read back.
Results are stored in store.

May import: spec, store.
"""
