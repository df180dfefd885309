"""Finished networks of stored trials: found or trained again, inspected layer by layer, exported. How they
are counted and timed is in measure.

May import: datasets, measure, networks, plugins, reports, spec, store, trial.
"""
