"""Distribution of trials over processes, GPUs and nodes with Ray Tune, and their execution on a worker. The
code of a trial is in trial; compare and tuning decide which trials run.

May import: datasets, methods, observe, plugins, spec, store, trial.
"""
