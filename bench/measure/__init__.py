"""Measuring a network: accuracy, weights, densities, multiply-accumulates, dead units, latency. Nothing here
trains.

May import: datasets, methods, networks.
"""
