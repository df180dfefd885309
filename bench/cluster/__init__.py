"""Trials over processes, GPUs and nodes with Ray Tune, and what a worker does with one. What a trial does is
in trial, which trials there are is decided above.

May import: datasets, methods, observe, plugins, spec, store, trial.
"""
