"""Observers of a run: live progress on the terminal, and the mirror in MLflow. Results are stored in store.

May import: store.
"""
