"""Searches over methods' options with Optuna: spaces, studies, budgets, and the comparison of the best. What
a spec may say of a search is in spec, how points run on a cluster in cluster.

May import: cluster, compare, datasets, methods, observe, reports, spec, store, trial.
"""
