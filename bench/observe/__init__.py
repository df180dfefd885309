"""What watches a run: live progress on the terminal, and the mirror in MLflow. The truth is in store.

May import: store.
"""
