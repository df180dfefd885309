"""Comparisons from spec to report: plan, run the missing trials, report, send to MLflow and pull from it. A
single trial runs in trial, cluster distributes trials, and reports makes the tables.

May import: cluster, datasets, networks, observe, reports, spec, store, trained, trial.
"""
