"""One trial: the training loop, optimisers, random streams, checkpoints, costs and their estimates. Here is no
Ray, no MLflow and no ledger; what methods do is in methods.

May import: datasets, measure, methods, spec, store.
"""
