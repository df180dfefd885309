"""The command line: parse, call, print. What a command does lives in the packages below.

May import: cluster, compare, datasets, measure, methods, networks, observe, plugins, reports, spec, store,
trained, trial, tuning.
"""
