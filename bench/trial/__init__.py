"""One trial: the training loop, optimisers, random streams, checkpoints, costs and their estimates.

Ray is in cluster, MLflow in observe, the ledger in store. What a method does is in methods.

May import: datasets, measure, methods, networks, spec, store.
"""
