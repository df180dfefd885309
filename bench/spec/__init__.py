"""What users write: comparisons, searches, trials and training as validated configs, YAML, and the hash that
identifies a trial. Nothing here trains or touches results.

May import: datasets, methods, networks.
"""
