"""One trial: the training loop, optimisers, random streams, checkpoints, costs and their estimates. Ray,
MLflow and the ledger are elsewhere; what methods do is in methods.

May import: datasets, measure, methods, spec, store.
"""
