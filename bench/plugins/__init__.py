"""Other people's methods, networks and data sets: loaded, sent to workers, and checked against the contract.
The contract itself is in methods.

May import: datasets, methods, networks, spec, trial.
"""
