"""Searches over methods' options with Optuna: spaces, studies, budgets, and the comparison of the best.

What a spec may set for a search is in spec. How points run on a cluster is in cluster.

May import: cluster, compare, datasets, methods, observe, reports, spec, store, trial.
"""
