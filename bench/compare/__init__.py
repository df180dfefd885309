"""Comparisons from spec to report: plan, run what the ledger lacks, report, send to MLflow. How one trial
runs is in trial, how trials are spread in cluster, what tables show in reports.

May import: cluster, datasets, networks, observe, reports, spec, store, trial.
"""
